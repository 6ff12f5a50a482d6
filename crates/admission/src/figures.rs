//! Counters of a gate.

use crate::messages::Why;
use core::time::Duration;

/// Buckets to each doubling of the wait.
const PARTS: u32 = 8;
/// Doublings from one microsecond up, to about 19 hours.
const DOUBLINGS: u32 = 36;

/// A histogram of waits, in buckets an eighth of a doubling wide: a percentile is off by at most 6 %.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    counts: Vec<u64>,
    total: u64,
    sum: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Waits {
            counts: vec![0; (PARTS * DOUBLINGS) as usize],
            total: 0,
            sum: Duration::ZERO,
        }
    }
}

fn bucket(wait: Duration) -> usize {
    let us = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX).max(1);
    let power = us.ilog2();
    let part = if power >= 3 {
        (us >> (power - 3)) & 7
    } else {
        (us << (3 - power)) & 7
    };
    ((power * PARTS + part as u32).min(PARTS * DOUBLINGS - 1)) as usize
}

/// The upper end of a bucket.
fn end(bucket: usize) -> Duration {
    let (power, part) = (bucket as u32 / PARTS, bucket as u64 % u64::from(PARTS));
    Duration::from_nanos(((1_u64 << power) * 1000 / 8) * (9 + part))
}

impl Waits {
    pub(crate) fn record(&mut self, wait: Duration) {
        self.counts[bucket(wait)] += 1;
        self.total += 1;
        self.sum += wait;
    }

    /// Number of waits.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// Sum of all waits.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The wait that the fraction `part` (0 to 1) of all waits did not exceed, or zero if there were none.
    pub fn quantile(&self, part: f64) -> Duration {
        let wanted = (part.clamp(0.0, 1.0) * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return end(bucket);
            }
        }
        Duration::ZERO
    }

    /// The buckets that are not empty, ascending: the upper end, and the number of waits in the bucket (not
    /// cumulative).
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(bucket, &count)| (end(bucket), count))
    }
}

/// Counters since the gate was made, and its present state. They cover one node process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Requests that wait now.
    pub waiting: usize,
    /// Requests that have a slot now.
    pub busy: u64,
    /// Slots that are free now; 0 for an open gate.
    pub free: u64,
    /// Requests that got a slot, at once or later.
    pub admitted: u64,
    /// Admitted requests that had to wait.
    pub queued: u64,
    /// Requests refused, by reason, in the order of `Why::ALL`.
    pub refused: [u64; 5],
    /// Waiting requests whose client left.
    pub gone: u64,
    /// Waits of the requests that waited and got a slot.
    pub waits: Waits,
}

impl Figures {
    /// All slots: those in use and those that are free.
    pub fn slots(&self) -> u64 {
        self.busy + self.free
    }

    /// Number of requests refused for this reason.
    pub fn refused_for(&self, why: Why) -> u64 {
        self.refused[why as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bucket_ends_are_near(us in 8_u64..1_000_000_000) {
            let wait = Duration::from_micros(us);
            let end = end(bucket(wait));
            prop_assert!(end > wait && end.as_secs_f64() <= wait.as_secs_f64() * 1.13, "{wait:?} {end:?}");
        }
    }

    #[test]
    fn quantiles_are_read() {
        let mut waits = Waits::default();
        assert_eq!(waits.quantile(0.99), Duration::ZERO);
        (1..=1000).for_each(|ms| waits.record(Duration::from_millis(ms)));
        let near = |part: f64, ms: f64| (waits.quantile(part).as_secs_f64() * 1000.0 / ms - 1.0).abs() < 0.13;
        assert!(near(0.5, 500.0) && near(0.99, 990.0));
        assert_eq!(waits.count(), 1000);
        assert_eq!(waits.buckets().map(|bucket| bucket.1).sum::<u64>(), 1000);
    }
}
