//! The load of a group whose capacity follows it.

use super::access_log::Trace;
use super::capacity_args::CapacityArgs;
use forebay_sim::{Burst, Flow, Rate, bursts};
use std::sync::Arc;
use std::time::Duration;

const BURST_GAP: Duration = Duration::from_secs(300);
const BURST_LENGTH: Duration = Duration::from_secs(20);

/// A load.
pub(crate) enum Load {
    /// The slots needed at these seconds, and the factor of bursts.
    Curve { points: Vec<(f64, f64)>, burst: f64 },
    /// The requests of a trace.
    Trace(Trace),
}

impl Load {
    /// When the last request comes.
    pub(crate) fn end(&self) -> Duration {
        match self {
            Load::Curve { points, .. } => Duration::from_secs_f64(points.last().map_or(0.0, |point| point.0)),
            Load::Trace(trace) => trace.asked.last().map_or(Duration::ZERO, |asked| asked.at),
        }
    }

    pub(crate) fn flow(&self, args: &CapacityArgs, seed: u64) -> Flow {
        match self {
            Load::Curve { points, burst } => {
                let service = args.mean_service();
                let rates = points
                    .iter()
                    .map(|&(at, slots)| (Duration::from_secs_f64(at), slots / service));
                Flow::Rate(Arc::new(
                    Rate::new(rates.collect()).with_bursts(self.bursts(*burst, seed)),
                ))
            }
            Load::Trace(trace) => Flow::Trace(trace.asked.as_slice().into()),
        }
    }

    fn bursts(&self, times: f64, seed: u64) -> Vec<Burst> {
        if times <= 1.0 {
            return Vec::new();
        }
        bursts(seed, self.end(), BURST_GAP, BURST_LENGTH, times)
    }

    /// The slots needed at each second, for plots and for the first number of instances.
    pub(crate) fn demand(&self, args: &CapacityArgs, seed: u64) -> Vec<f64> {
        let seconds = self.end().as_secs() as usize + 1;
        match (self, self.flow(args, seed)) {
            (Load::Curve { .. }, Flow::Rate(rate)) => {
                let service = args.mean_service();
                let at = |second: usize| rate.at(Duration::from_secs(second as u64)) * service;
                (0..seconds).map(at).collect()
            }
            (Load::Trace(trace), _) => {
                let mut busy = vec![0.0; seconds];
                for asked in &trace.asked {
                    let (from, to) = (asked.at.as_secs_f64(), (asked.at + asked.takes).as_secs_f64());
                    for (second, sum) in busy.iter_mut().enumerate().skip(from as usize) {
                        let part = to.min(second as f64 + 1.0) - from.max(second as f64);
                        if part <= 0.0 {
                            break;
                        }
                        *sum += part;
                    }
                }
                busy
            }
            (Load::Curve { .. }, Flow::Trace(_)) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::capacity_args::DayArgs;
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: DayArgs,
    }

    #[test]
    fn demand_of_a_trace_is_the_slots_that_were_busy() {
        let asked = |at, takes| forebay_sim::Asked {
            at: Duration::from_millis(at),
            takes: Duration::from_millis(takes),
        };
        let load = Load::Trace(Trace {
            asked: vec![asked(0, 1_500), asked(500, 250), asked(3_000, 9_000)],
            without_target: 0,
        });
        let args = Cli::parse_from(["day"]).args.common;
        assert_eq!(load.demand(&args, 1), [1.25, 0.5, 0.0, 1.0]);
    }
}
