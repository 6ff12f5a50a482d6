//! Flags of `forebay experiment scale-in`, and the half sine that its clients and servers follow.

use super::reject_alarm_args::seconds;
use crate::sample::Millis;
use clap::Args;
use ipnet::Ipv4Net;
use std::path::PathBuf;
use std::time::Duration;

/// Steps of the half sine.
const STEPS: u16 = 19;
/// Radians from one step to the next, as published.
const RADIANS: f64 = 0.168;

/// Flags of `forebay experiment scale-in`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Servers and clients follow half a sine in 19 steps. Each client sends one POST after another, each on its own connection, and counts
the answers by status. There are two turns. Before: surplus servers are killed (SIGKILL) while they are targets, and the Auto Scaling
group is not told. After: the group's desired capacity is changed, and the group takes surplus servers out of the target group, waits
for their requests, and ends them. In both, a server that is told to end does so at once, without regard to its requests. A server is
a process of this program, run as the same user. With --simulated nothing is started, and a server is in service --boot seconds after
it was ordered.

Examples:
  forebay experiment scale-in                                       two turns of 19 steps of 15 s
  forebay experiment scale-in --step-seconds 2 --plot p.svg         sooner, with a picture
  forebay experiment scale-in --servers 100 --clients 600 --simulated")]
pub struct ScaleInArgs {
    /// Servers at the peak
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=500))]
    pub(crate) servers: u16,
    /// Clients at the peak
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=5000))]
    pub(crate) clients: u16,
    /// Seconds of a step
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    step_seconds: u64,
    /// Milliseconds that a server works on a request, at random
    #[arg(long, default_value = "100-2000", value_name = "MS|MS-MS")]
    pub(crate) request: Millis,
    /// Milliseconds from an answer to the client's next request
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pause: u64,
    /// Clients send GET instead of POST. If a connection that was used before breaks, Forebay sends a GET again, to another
    /// server
    #[arg(long, conflicts_with = "simulated")]
    pub(crate) get: bool,
    /// Run in virtual time
    #[arg(long)]
    pub(crate) simulated: bool,
    /// Seconds until a simulated server is in service
    #[arg(long, default_value_t = 1.0, value_parser = seconds, requires = "simulated")]
    pub(crate) boot: f64,
    /// Draw failures of both turns, and servers, into this SVG file
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Also write all figures into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Seed of requests, and of the choice of killed servers
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Pool of the experiment's addresses
    #[arg(long, default_value = "127.224.0.0/12", value_name = "CIDR")]
    pub(crate) address_pool: Ipv4Net,
}

/// How surplus servers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Killed while they are targets.
    Before,
    /// Taken out by the group, in its order.
    After,
}

impl Turn {
    pub(crate) const BOTH: [Turn; 2] = [Turn::Before, Turn::After];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Turn::Before => "before: killed without a drain",
            Turn::After => "after: by the Auto Scaling group",
        }
    }
}

/// The numbers of servers and clients in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) servers: u16,
    pub(crate) clients: u16,
}

impl ScaleInArgs {
    /// All steps.
    pub(crate) fn steps(&self) -> Vec<Wanted> {
        let part = |step: u16, peak: u16| {
            let share = (f64::from(step) * RADIANS).sin();
            (share * f64::from(peak)) as u16 + 1
        };
        (0..STEPS)
            .map(|step| Wanted {
                servers: part(step, self.servers),
                clients: part(step, self.clients),
            })
            .collect()
    }

    pub(crate) fn step(&self) -> Duration {
        Duration::from_secs(self.step_seconds)
    }

    pub(crate) fn pause(&self) -> Duration {
        Duration::from_millis(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: ScaleInArgs,
    }

    #[test]
    fn steps_are_half_a_sine() {
        let args = Cli::parse_from(["scale-in"]).args;
        let steps = args.steps();
        let servers: Vec<u16> = steps.iter().map(|step| step.servers).collect();
        assert_eq!(servers, [1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8, 8, 7, 6, 5, 4, 3, 1]);
        assert_eq!(steps.iter().map(|step| step.clients).max(), Some(24));
    }
}
