//! What came of a group under a controller.

use crate::figures::{Seen, quantile};
use core::time::Duration;

/// How a group stood at the end of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Second {
    /// When.
    pub at: Duration,
    /// Requests that came in this second.
    pub arrivals: u64,
    /// Requests that were refused in it.
    pub refused: u64,
    /// Requests that wait.
    pub waiting: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// Instances that serve.
    pub ready: u32,
    /// Instances that are wanted.
    pub desired: u32,
    /// Instances that there are, those that start or drain too.
    pub instances: u32,
}

/// What came of a group under a controller.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetRun {
    /// All requests, in the order in which they ended.
    pub seen: Vec<Seen>,
    /// Each second until the fleet's end.
    pub timeline: Vec<Second>,
    /// Seconds of all instances, each from its order to its end.
    pub instance_seconds: f64,
    /// The largest number of instances that there were, those that started or drained too.
    pub largest: u32,
    /// Each change of the number of instances that are wanted: when, and to what.
    pub changes: Vec<(Duration, u32)>,
    /// Launches that failed.
    pub failed_launches: u64,
}

impl FleetRun {
    /// Requests that were refused.
    pub fn refused(&self) -> usize {
        self.seen.iter().filter(|seen| seen.target.is_none()).count()
    }

    /// The longest time that a request waited for a slot, in the end refused or not.
    pub fn longest_wait(&self) -> Duration {
        self.seen.iter().map(|seen| seen.waited).max().unwrap_or_default()
    }

    /// The quantile of the times for which those waited that got a slot.
    pub fn wait(&self, share: f64) -> Duration {
        let served = self.seen.iter().filter(|seen| seen.target.is_some());
        let mut waited: Vec<Duration> = served.map(|seen| seen.waited).collect();
        waited.sort_unstable();
        quantile(&waited, share)
    }
}
