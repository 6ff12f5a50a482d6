//! Results of a group under a controller.

use crate::figures::{Seen, quantile};
use core::time::Duration;

/// The state of a group at the end of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Second {
    /// The time.
    pub at: Duration,
    /// Requests that arrived in this second.
    pub arrivals: u64,
    /// Requests that were refused in it.
    pub refused: u64,
    /// Waiting requests.
    pub waiting: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// Instances in service.
    pub ready: u32,
    /// The desired number of instances.
    pub desired: u32,
    /// All instances, including those that start or drain.
    pub instances: u32,
}

/// The result of a group under a controller.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetRun {
    /// All requests, in the order in which they ended.
    pub seen: Vec<Seen>,
    /// The state at each second until the end of the run.
    pub timeline: Vec<Second>,
    /// Instance-seconds, each instance from its order to its end.
    pub instance_seconds: f64,
    /// The largest number of instances, including those that started or drained.
    pub largest: u32,
    /// Each change of the desired number of instances: the time and the number.
    pub changes: Vec<(Duration, u32)>,
    /// Failed launches.
    pub failed_launches: u64,
}

impl FleetRun {
    /// Requests that were refused.
    pub fn refused(&self) -> usize {
        self.seen.iter().filter(|seen| seen.target.is_none()).count()
    }

    /// The longest time that a request waited for a slot, whether or not it got one.
    pub fn longest_wait(&self) -> Duration {
        self.seen.iter().map(|seen| seen.waited).max().unwrap_or_default()
    }

    /// This quantile of the waits of requests that got a slot.
    pub fn wait(&self, share: f64) -> Duration {
        let served = self.seen.iter().filter(|seen| seen.target.is_some());
        let mut waited: Vec<Duration> = served.map(|seen| seen.waited).collect();
        waited.sort_unstable();
        quantile(&waited, share)
    }
}
