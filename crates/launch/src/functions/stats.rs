//! What is counted of functions.

use std::collections::BTreeMap;
use std::time::Duration;

/// The upper ends of the classes that durations are counted in, in milliseconds; one more is for what is longer.
pub const DURATION_BOUNDS_MS: [u64; 15] = [
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 15_000, 60_000, 300_000,
];

/// What is counted of one function. Counters begin at zero when Forebay starts, or the function is made anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionStats {
    /// Environments, those included that start or end.
    pub environments: u64,
    /// Invocations that run or wait.
    pub running: u64,
    /// Invocations that were run, failed ones included; throttled ones are not.
    pub invocations: u64,
    /// Invocations that an environment was started for.
    pub cold_starts: u64,
    /// Invocations that were refused because too many ran.
    pub throttles: u64,
    /// Invocations that failed.
    pub errors: u64,
    /// Of these, invocations that took too long.
    pub timeouts: u64,
    /// How long all invocations took together, starts of environments not included.
    pub duration: Duration,
    /// How many took how long, by `DURATION_BOUNDS_MS`.
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

/// What is counted of all functions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeStats {
    /// By the function's ARN.
    pub functions: BTreeMap<String, FunctionStats>,
    /// Lines and pieces of logs that were lost because the disk was too slow.
    pub log_losses: u64,
}
