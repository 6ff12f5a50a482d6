//! Results of a simulation.

use crate::crowd::Kind;
use core::time::Duration;
use std::collections::BTreeMap;

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it was sent.
    pub at: Duration,
    /// Its kind.
    pub kind: Kind,
    /// Time until the end of the answer.
    pub took: Duration,
    /// Time that it waited for a slot.
    pub waited: Duration,
    /// The target that answered; none if the balancer did.
    pub target: Option<u16>,
    /// The answer's status.
    pub status: u16,
}

/// Latencies of successful requests, and counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// All requests.
    pub requests: usize,
    /// Failed requests.
    pub failed: usize,
    /// The median latency.
    pub p50: Duration,
    /// The 95th percentile.
    pub p95: Duration,
    /// The 99th percentile.
    pub p99: Duration,
}

impl Figures {
    /// The figures of these requests.
    pub fn of(seen: &[Seen]) -> Figures {
        let good = seen.iter().filter(|seen| seen.status < 500);
        let mut took: Vec<Duration> = good.map(|seen| seen.took).collect();
        took.sort();
        Figures {
            requests: seen.len(),
            failed: seen.len() - took.len(),
            p50: quantile(&took, 0.50),
            p95: quantile(&took, 0.95),
            p99: quantile(&took, 0.99),
        }
    }
}

/// The quantile of sorted times; zero if there are none.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(last)).copied().unwrap_or_default()
}

/// How many requests each target got between two times.
pub(crate) fn counts(seen: &[Seen], from: Duration, to: Duration) -> BTreeMap<u16, u64> {
    let mut counts = BTreeMap::new();
    for seen in seen.iter().filter(|seen| (from..to).contains(&seen.at)) {
        if let Some(target) = seen.target {
            *counts.entry(target).or_default() += 1;
        }
    }
    counts
}
