//! Bounds of the wait after a step of the load, if the capacity for it is ordered at once.

use super::record::FleetRun;
use core::time::Duration;

/// A step of the load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// When it happens.
    pub at: Duration,
    /// Requests a second from then on.
    pub rate: f64,
    /// Mean seconds that a request holds its slot.
    pub service: f64,
    /// Most seconds that a request holds its slot.
    pub longest_service: f64,
    /// Seconds from an order to its slots.
    pub start_up: f64,
    /// Slots of an instance.
    pub slots: u32,
}

/// Bounds of the longest wait, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepBounds {
    /// The fluid bound, (1 - K0/R') tau: for evenly spaced requests, with the slots in service one start-up after the step.
    pub fluid: f64,
    /// The bound for any course of arrivals, tau + S_max (sigma + K0) / K'.
    pub sure: f64,
}

/// How long after a step arrivals are compared with their mean rate: as long as the step may make anyone wait.
const WATCHED: Duration = Duration::from_secs(10);

impl FleetRun {
    /// The bounds for the actual arrivals and ready slots: K0 when the load rose to R' slots, K' one start-up and a second
    /// later.
    pub fn step_bounds(&self, step: &Step) -> StepBounds {
        let ready = |at: f64| {
            let second = (at as usize).checked_sub(1);
            let second = second.and_then(|second| self.timeline.get(second));
            second.map_or(0.0, |second| f64::from(second.ready * step.slots))
        };
        let at = step.at.as_secs_f64();
        let before = ready(at);
        let after = ready((at + step.start_up).ceil() + 1.0).max(1.0);
        let excess = self.excess(step.at, step.rate);
        StepBounds {
            fluid: (1.0 - before / (step.rate * step.service)).max(0.0) * step.start_up,
            sure: step.start_up + step.longest_service * (excess + before) / after,
        }
    }

    /// Sigma: the largest excess of arrivals over this rate, in any time that begins at `from`.
    fn excess(&self, from: Duration, rate: f64) -> f64 {
        let seen = self.seen.iter().map(|seen| seen.at);
        let after = seen.filter(|at| (from..from + WATCHED).contains(at));
        let mut times: Vec<f64> = after.map(|at| (at - from).as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        let (mut lowest, mut most) = (0.0_f64, 0.0_f64);
        for (number, at) in times.iter().enumerate() {
            let beyond = number as f64 - at * rate;
            lowest = lowest.min(beyond);
            most = most.max(beyond + 1.0 - lowest);
        }
        most
    }
}
