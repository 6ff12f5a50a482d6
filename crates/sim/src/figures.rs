//! What came of it.

use crate::crowd::Kind;
use core::time::Duration;
use std::collections::BTreeMap;

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it was sent.
    pub at: Duration,
    /// What it asked.
    pub kind: Kind,
    /// From then to the answer's end.
    pub took: Duration,
    /// How long it waited for a slot.
    pub waited: Duration,
    /// The target that answered; none if the balancer did.
    pub target: Option<u16>,
    /// The status.
    pub status: u16,
}

/// Latencies of successes, and who got how much.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Requests.
    pub requests: usize,
    /// Those that failed.
    pub failed: usize,
    /// The median.
    pub p50: Duration,
    /// 95 of 100 are quicker.
    pub p95: Duration,
    /// 99 of 100 are quicker.
    pub p99: Duration,
}

impl Figures {
    /// Of these.
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

/// The quantile of sorted spans; zero of none.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(last)).copied().unwrap_or_default()
}

/// How many requests each target got between two moments.
pub(crate) fn counts(seen: &[Seen], from: Duration, to: Duration) -> BTreeMap<u16, u64> {
    let mut counts = BTreeMap::new();
    for seen in seen.iter().filter(|seen| (from..to).contains(&seen.at)) {
        if let Some(target) = seen.target {
            *counts.entry(target).or_default() += 1;
        }
    }
    counts
}
