//! Flags of the experiments with a group whose capacity follows its load: `forebay experiment step`, `ramp` and `day`.

use super::reject_alarm_args::seconds;
use crate::sample::Millis;
use clap::Args;
use ipnet::Ipv4Net;
use std::path::PathBuf;
use std::time::Duration;

/// Flags that all three have.
#[derive(Args, Debug, Clone)]
pub(crate) struct CapacityArgs {
    /// Controllers to compare, by name and separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) controllers: Vec<String>,
    /// Requests that an instance serves at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) slots: u32,
    /// Milliseconds that a request holds its slot, at random
    #[arg(long, default_value = "1000-3000", value_name = "MS|MS-MS")]
    pub(crate) service: Millis,
    /// Seconds from an order to an instance in service
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    pub(crate) start_up: f64,
    /// Percentage of launches that fail, which shows only when the start-up is over
    #[arg(long, default_value_t = 0, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=99))]
    pub(crate) failing: u32,
    /// Seconds that a request may wait for a slot
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub(crate) wait: f64,
    /// Requests that may wait; with 0 a request that finds no slot is refused
    #[arg(long, default_value_t = 10_000)]
    pub(crate) length: u32,
    /// Most instances
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) most: u32,
    /// Runs of each controller, each with its own seed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) seeds: u64,
    /// First seed
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Run in virtual time, with models of other controllers. Live there are only `planner`, `aws-tracking-10s` and
    /// `aws-tracking-60s`
    #[arg(long)]
    pub(crate) simulated: bool,
    /// Pool of the addresses of live instances
    #[arg(long, default_value = "127.208.0.0/12", value_name = "CIDR")]
    pub(crate) address_pool: Ipv4Net,
    /// Draw slots, waiting and refused requests of the first seed over time into this SVG file
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Also write all figures into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl CapacityArgs {
    /// Mean seconds that a request holds its slot.
    pub(crate) fn mean_service(&self) -> f64 {
        let (least, most) = self.service.bounds();
        ((least + most) / 2).as_secs_f64().max(1e-3)
    }

    pub(crate) fn wait(&self) -> Duration {
        Duration::from_secs_f64(self.wait)
    }
}

/// Flags of `forebay experiment step`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
The load is the mean number of busy slots: random requests a second, times their mean duration. It rises from --from slots to --to slots
at once. Next to the longest waits are two bounds for a group that orders what the new load needs at once: T1, (1 - K0/R') of a start-up,
where K0 slots were ready and R' are needed; and T5, which holds for any course of arrivals: a start-up plus S_max (sigma + K0) / K', where
K' slots are ready a start-up later and sigma requests come beyond the mean rate. Controllers other than the planner are models of what
their makers describe (see docs/experiments.md).

Examples:
  forebay experiment step --simulated                                  from 20 to 200 slots
  forebay experiment step --simulated --start-up 30 --wait 40 --plot p.svg
  forebay experiment step --simulated --length 0                       no request may wait
  forebay experiment step --simulated --failing 50 --controllers planner,knative-kpa")]
pub struct StepArgs {
    /// Slots needed at first
    #[arg(long, default_value_t = 20.0, value_parser = slots)]
    pub(crate) from: f64,
    /// Slots needed after the step
    #[arg(long, default_value_t = 200.0, value_parser = slots)]
    pub(crate) to: f64,
    /// Seconds before the step
    #[arg(long, default_value_t = 120.0, value_parser = seconds)]
    pub(crate) before: f64,
    /// Seconds after the step
    #[arg(long, default_value_t = 300.0, value_parser = seconds)]
    pub(crate) after: f64,
    #[command(flatten)]
    pub(crate) common: CapacityArgs,
}

/// Flags of `forebay experiment ramp`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
The load is the mean number of busy slots: random requests a second, times their mean duration. It grows from --from to --to slots in
--over seconds, stays for --stays seconds, and drops back at once. Controllers other than the planner are models of what their makers
describe (see docs/experiments.md).

Examples:
  forebay experiment ramp --simulated                                  from 20 to 400 slots in a minute
  forebay experiment ramp --simulated --over 10 --plot p.svg           six times as steep, with a picture
  forebay experiment ramp --simulated --start-up 60 --wait 60 --seeds 20")]
pub struct RampArgs {
    /// Slots needed at first, and in the end
    #[arg(long, default_value_t = 20.0, value_parser = slots)]
    pub(crate) from: f64,
    /// Slots needed at the top
    #[arg(long, default_value_t = 400.0, value_parser = slots)]
    pub(crate) to: f64,
    /// Seconds before the load grows
    #[arg(long, default_value_t = 120.0, value_parser = seconds)]
    pub(crate) before: f64,
    /// Seconds in which it grows
    #[arg(long, default_value_t = 60.0, value_parser = seconds)]
    pub(crate) over: f64,
    /// Seconds at the top
    #[arg(long, default_value_t = 300.0, value_parser = seconds)]
    pub(crate) stays: f64,
    /// Seconds after the drop
    #[arg(long, default_value_t = 300.0, value_parser = seconds)]
    pub(crate) after: f64,
    #[command(flatten)]
    pub(crate) common: CapacityArgs,
}

/// Flags of `forebay experiment day`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
A day: the load goes from --low slots (at 4 o'clock) to --high (at 16) and back, with bursts of --burst times as many requests, five minutes
apart and 20 s long on average. The day passes --compress times as fast: its curve is that much steeper, while requests, start-ups and bursts
keep their durations. With --trace, requests are those of an access log in the format of Forebay and ALB (.gz too): each comes when it was
received, counted from the first and --compress times as fast, and holds a slot for its target's time; lines without a target's time are
left out.

Examples:
  forebay experiment day --simulated                                   a day in an hour
  forebay experiment day --simulated --compress 96 --burst 3 --plot p.svg
  forebay experiment day --simulated --trace access.log.gz --compress 1 --slots 4")]
pub struct DayArgs {
    /// Slots needed at night
    #[arg(long, default_value_t = 40.0, value_parser = slots)]
    pub(crate) low: f64,
    /// Slots needed by day
    #[arg(long, default_value_t = 400.0, value_parser = slots)]
    pub(crate) high: f64,
    /// Factor of the load in a burst; 1 for no bursts
    #[arg(long, default_value_t = 1.5, value_name = "TIMES", value_parser = times)]
    pub(crate) burst: f64,
    /// Factor by which the day passes faster
    #[arg(long, default_value_t = 24.0, value_name = "TIMES", value_parser = times)]
    pub(crate) compress: f64,
    /// Replay the requests of this access log
    #[arg(long, value_name = "FILE", conflicts_with_all = ["low", "high", "burst"])]
    pub(crate) trace: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: CapacityArgs,
}

fn between(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("a number from {least} to {most}"))
}

fn slots(text: &str) -> Result<f64, String> {
    between(text, 0.0, 80_000.0)
}

fn times(text: &str) -> Result<f64, String> {
    between(text, 1.0, 10_000.0)
}
