//! Counters of functions.

use std::collections::BTreeMap;
use std::time::Duration;

/// Upper bounds of the classes of durations, in milliseconds; one more class is for longer ones.
pub const DURATION_BOUNDS_MS: [u64; 15] = [
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 15_000, 60_000, 300_000,
];

/// Counters of one function. They begin at zero when Forebay starts, or the function is created anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionStats {
    /// Environments, including those that are starting or ending.
    pub environments: u64,
    /// Invocations that run or wait.
    pub running: u64,
    /// Invocations that were run, including failed ones but not throttled ones.
    pub invocations: u64,
    /// Invocations for which an environment was started.
    pub cold_starts: u64,
    /// Invocations that were refused because too many were running.
    pub throttles: u64,
    /// Invocations that failed.
    pub errors: u64,
    /// Failed invocations that exceeded their timeout.
    pub timeouts: u64,
    /// Total duration of all invocations, without starts of environments.
    pub duration: Duration,
    /// Number of invocations per class of `DURATION_BOUNDS_MS`.
    pub durations: [u64; DURATION_BOUNDS_MS.len() + 1],
}

impl FunctionStats {
    pub(super) fn took(&mut self, time: Duration) {
        self.duration += time;
        let class = DURATION_BOUNDS_MS
            .iter()
            .position(|&most| time <= Duration::from_millis(most));
        self.durations[class.unwrap_or(DURATION_BOUNDS_MS.len())] += 1;
    }
}

/// Counters of all functions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeStats {
    /// By the function's ARN.
    pub functions: BTreeMap<String, FunctionStats>,
    /// Lines and pieces of logs that were lost because the disk was too slow.
    pub log_losses: u64,
}
