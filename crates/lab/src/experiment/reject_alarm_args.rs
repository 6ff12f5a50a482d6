//! Flags of `forebay experiment reject-alarm`.

use super::users::Arrivals;
use clap::Args;
use ipnet::Ipv4Net;
use std::path::PathBuf;
use std::time::Duration;

/// Flags of `forebay experiment reject-alarm`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Each instance has an agent that admits one request at a time to its application. There is no queue: a request that finds no permit gets
503. An alarm on TargetControlRequestRejectCount (Sum > 0 in one period) runs a step policy, which adds --more instances.
Instances are processes of this program, run as the same user; for root each has its own network namespace, otherwise they
share this machine's network. With --simulated nothing is started: the same code decides in virtual time, a limit at the load balancer
refuses requests, periods begin with the load, and an instance is in service --boot seconds after it was ordered.

Examples:
  forebay experiment reject-alarm                                   as published: periods of a minute
  forebay experiment reject-alarm --period 10 --plot p.svg          sooner, with a picture
  forebay experiment reject-alarm --arrivals poisson --simulated    users at random, in virtual time")]
pub struct RejectAlarmArgs {
    /// Instances at first
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub(crate) instances: u16,
    /// Instances that the policy adds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub(crate) more: u16,
    /// Most instances
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) most: u16,
    /// Offered load, in percent of what the first instances can serve
    #[arg(long, default_value_t = 133, value_name = "PERCENT", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) load: u16,
    /// Milliseconds that a target works on a request
    #[arg(long, default_value_t = 800, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) service: u64,
    /// How requests arrive
    #[arg(long, value_enum, default_value = "even")]
    pub(crate) arrivals: Arrivals,
    /// Period of the alarm in seconds: 10 or 60
    #[arg(long, default_value_t = 60, value_parser = period)]
    pub(crate) period: u32,
    /// Seconds for which an instance warms up [default: two periods]. Meanwhile the policy adds no more for the same
    /// refusals. The load begins when the first instances have warmed up
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=3600))]
    warm_up: Option<u64>,
    /// Seconds in which requests arrive [default: two periods and 30]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: Option<u64>,
    /// Run in virtual time
    #[arg(long)]
    pub(crate) simulated: bool,
    /// Seconds until a simulated instance is in service
    #[arg(long, default_value_t = 2.0, value_parser = seconds, requires = "simulated")]
    pub(crate) boot: f64,
    /// Draw requests and instances over time into this SVG file
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Also write all figures into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Seed of requests
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Pool of the experiment's addresses
    #[arg(long, default_value = "127.224.0.0/12", value_name = "CIDR")]
    pub(crate) address_pool: Ipv4Net,
}

fn period(text: &str) -> Result<u32, String> {
    match text {
        "10" => Ok(10),
        "60" => Ok(60),
        _ => Err("10 or 60".to_owned()),
    }
}

/// Seconds, with a fraction.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok();
    let seconds = seconds.filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "seconds, 0 to 3600".to_owned())
}

impl RejectAlarmArgs {
    pub(crate) fn service(&self) -> Duration {
        Duration::from_millis(self.service)
    }

    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.load) / 100.0 * f64::from(self.instances) / self.service().as_secs_f64()
    }

    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(2 * u64::from(self.period) + 30))
    }

    pub(crate) fn warm_up(&self) -> u64 {
        self.warm_up.unwrap_or(2 * u64::from(self.period))
    }
}
