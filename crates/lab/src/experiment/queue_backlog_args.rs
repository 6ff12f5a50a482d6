//! Flags of `forebay experiment queue-backlog`.

use super::reject_alarm_args::seconds;
use clap::Args;
use ipnet::Ipv4Net;
use std::path::PathBuf;

/// Flags of `forebay experiment queue-backlog`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Workers receive one message at a time, work on it, delete it, and receive the next, with long polls of 5 s, as the published worker does.
Without --live all is in virtual time: messages by the code of the queue service, Forebay's orders by the code that orders live, AWS's alarms and target
tracking by the code of the Auto Scaling API. Scenes:

  25s, 50s     50 messages at once, of 25 or 50 s each, to be done within 300 s; one worker is there
  images-1s    1000 images at once, of 1 s each, to be done within 100 s; ten workers are there
  images-2s    the same, but now they take 2 s each

Controllers:

  aws-moving        as published: backlog per instance (BPI) and its target, latency over duration, each minute; 3 of 3 points; --boot
  aws-static        the same with a target that stays what it was for 25 s (12), or for 1 s (100)
  aws-moving-quick  aws-moving whose instances start as quickly as Forebay's
  law-moving        BPI over latency and duration alone, at each second, instances at once: the published arithmetic
  law-static        the same with a target that stays
  forebay           the group's tag forebay:backlog-queue; --start-up
  forebay-told-25   the same, told that a message takes 25 s where it takes 50 s
  forebay-boot-120  the same with instances that take --boot

With --live there are a Forebay of its own, and for each scene a queue and an Auto Scaling group whose instances are processes that make the
calls of the published worker (forebay sample-worker), all scenes side by side; the tags of `forebay` size the groups, and the same in virtual
time is beside. It takes as long as it says, some 260 s. Whoever looks sees each change within 0.2 s, and instances count until they have ended.
With --scale 10 all times are a tenth: messages of 2.5 and 5 s, to be done within 30 s.

Examples:
  forebay experiment queue-backlog                                   all scenes, 20 seeds
  forebay experiment queue-backlog --scenes 50s --plot p.svg         one, with the published dashboard as a picture
  forebay experiment queue-backlog --controllers aws-moving,forebay --spread 30
  forebay experiment queue-backlog --start-up 30 --json figures.json
  forebay experiment queue-backlog --live --plot p.svg               25s and 50s with real workers
  forebay experiment queue-backlog --live --scale 10                 the same in half a minute
  forebay experiment queue-backlog --live --after 90 --json f.json   and until what is too much has gone")]
pub struct QueueBacklogArgs {
    /// Scenes to play, by name with commas between them; all if left out, and live 25s and 50s
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) scenes: Vec<String>,
    /// Controllers to compare, by name with commas between them; all of a scene if left out
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) controllers: Vec<String>,
    /// Per cent by which the time of a message is longer or shorter, at random
    #[arg(long, default_value_t = 5, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) spread: u32,
    /// Seconds from an order to an instance that works
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub(crate) start_up: f64,
    /// The same where instances boot as in the published runs
    #[arg(long, default_value_t = 120.0, value_parser = seconds)]
    pub(crate) boot: f64,
    /// With real workers, sized by Forebay
    #[arg(long, conflicts_with = "controllers")]
    pub(crate) live: bool,
    /// Everything so many times as quick
    #[arg(long, default_value_t = 1.0, value_name = "TIMES", value_parser = times, requires = "live")]
    pub(crate) scale: f64,
    /// Seconds that it is looked at after the last message is done
    #[arg(long, default_value_t = 0.0, value_parser = seconds, requires = "live")]
    pub(crate) after: f64,
    /// Where the addresses of live instances come from [default: 127.224.0.0/12, or another that no running Forebay has]
    #[arg(long, value_name = "CIDR", requires = "live")]
    pub(crate) address_pool: Option<Ipv4Net>,
    /// Runs of each controller in virtual time, each with a seed of its own
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Draw the published dashboard of the first seed into this SVG file, for each scene: with several scenes its name ends with the
    /// scene's
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Write all figures into this file, too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl QueueBacklogArgs {
    /// The same so many times as quick.
    pub(crate) fn scaled(&self) -> QueueBacklogArgs {
        QueueBacklogArgs {
            start_up: self.start_up / self.scale,
            boot: self.boot / self.scale,
            ..self.clone()
        }
    }
}

/// How many times as quick: no quicker than what is measured in seconds still shows.
fn times(text: &str) -> anyhow::Result<f64> {
    let times: f64 = text.parse()?;
    anyhow::ensure!((0.1..=25.0).contains(&times), "it is to be 0.1 to 25");
    Ok(times)
}
