//! Flags of `forebay experiment queue-backlog`.

use super::reject_alarm_args::seconds;
use clap::Args;
use ipnet::Ipv4Net;
use std::path::PathBuf;

/// Flags of `forebay experiment queue-backlog`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Workers receive one message at a time, work on it, delete it, and receive the next, with long polls of 5 s, as the published worker does.
Without --live everything runs in virtual time: messages by the code of the queue service, Forebay's orders by the code that orders live, AWS's
alarms and target tracking by the code of the Auto Scaling API. Scenes:

  25s, 50s     50 messages at once, of 25 or 50 s each, to be done within 300 s; one worker at first
  images-1s    1000 images at once, of 1 s each, to be done within 100 s; ten workers at first
  images-2s    the same, but now of 2 s each

Controllers:

  aws-moving        as published: backlog per instance (BPI) and its target, latency over duration, each minute; 3 of 3 points; --boot
  aws-static        the same with a target that stays what it was for 25 s (12), or for 1 s (100)
  aws-moving-quick  aws-moving whose instances start as quickly as Forebay's
  law-moving        BPI over latency and duration alone, at each second, instances at once: the published arithmetic
  law-static        the same with a target that stays
  forebay           the group's tag forebay:backlog-queue; --start-up
  forebay-told-25   the same, told that a message takes 25 s where it takes 50 s
  forebay-boot-120  the same with instances that take --boot

With --live the experiment starts its own Forebay, and for each scene a queue and an Auto Scaling group whose instances are processes that make
the calls of the published worker (forebay sample-worker), all scenes side by side; the tags of `forebay` size the groups, and the same scenes in
virtual time are shown for comparison. It runs in real time, some 260 s. Changes are seen within 0.2 s, and instances count until they have
ended. With --scale 10 all times are a tenth: messages of 2.5 and 5 s, to be done within 30 s.

Examples:
  forebay experiment queue-backlog                                   all scenes, 20 seeds
  forebay experiment queue-backlog --scenes 50s --plot p.svg         one, with the published dashboard as a picture
  forebay experiment queue-backlog --controllers aws-moving,forebay --spread 30
  forebay experiment queue-backlog --start-up 30 --json figures.json
  forebay experiment queue-backlog --live --plot p.svg               25s and 50s with real workers
  forebay experiment queue-backlog --live --scale 10                 the same in half a minute
  forebay experiment queue-backlog --live --after 90 --json f.json   and until surplus instances are gone")]
pub struct QueueBacklogArgs {
    /// Scenes to play, by name and separated by commas [default: all; with --live 25s and 50s]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) scenes: Vec<String>,
    /// Controllers to compare, by name and separated by commas [default: all of a scene]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) controllers: Vec<String>,
    /// Per cent by which the time of a message varies, at random
    #[arg(long, default_value_t = 5, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) spread: u32,
    /// Seconds from an order to a working instance
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub(crate) start_up: f64,
    /// Seconds from an order to a working instance where instances boot as in the published runs
    #[arg(long, default_value_t = 120.0, value_parser = seconds)]
    pub(crate) boot: f64,
    /// Run with real workers, sized by Forebay
    #[arg(long, conflicts_with = "controllers")]
    pub(crate) live: bool,
    /// Factor by which everything is faster
    #[arg(long, default_value_t = 1.0, value_name = "TIMES", value_parser = times, requires = "live")]
    pub(crate) scale: f64,
    /// Seconds to observe after the last message is done
    #[arg(long, default_value_t = 0.0, value_parser = seconds, requires = "live")]
    pub(crate) after: f64,
    /// Pool of the addresses of live instances [default: 127.224.0.0/12, or another that no running Forebay uses]
    #[arg(long, value_name = "CIDR", requires = "live")]
    pub(crate) address_pool: Option<Ipv4Net>,
    /// Runs of each controller in virtual time, each with its own seed
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) seeds: u64,
    /// First seed
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Draw the published dashboard of the first seed into this SVG file, one per scene: with several scenes, each scene's
    /// name is appended to the file's
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Also write all figures into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl QueueBacklogArgs {
    /// The same flags with all times divided by the scale.
    pub(crate) fn scaled(&self) -> QueueBacklogArgs {
        QueueBacklogArgs {
            start_up: self.start_up / self.scale,
            boot: self.boot / self.scale,
            ..self.clone()
        }
    }
}

/// The scale; faster would not leave enough for what is measured in seconds.
fn times(text: &str) -> anyhow::Result<f64> {
    let times: f64 = text.parse()?;
    anyhow::ensure!((0.1..=25.0).contains(&times), "it must be from 0.1 to 25");
    Ok(times)
}
