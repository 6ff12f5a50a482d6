//! A histogram of answer times, in classes so narrow that the middle of one is within 1 % of everything in it.
//!
//! Classes are log-linear: each doubling is cut into 64 equal parts. Times below the first doubling are cut likewise.

use crate::distribution::{Bucket, Distribution};
use crate::summed::Summed;
use crate::sync::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use std::sync::OnceLock;

/// Parts of a doubling, as a power of two.
const PART_BITS: u32 = 6;
const PARTS: usize = 1 << PART_BITS;
/// Start of the first doubling in nanoseconds, as a power of two: 4 microseconds.
const FIRST_BITS: u32 = 12;
/// Number of doublings, the range below the first included: up to 2 hours. Longer times count as that long.
const DOUBLINGS: usize = 32;

/// Counts by class, kept by one worker. The counts of a doubling are allocated at its first time.
#[derive(Debug, Default)]
pub struct ResponseTimes {
    doublings: [OnceLock<Box<[AtomicU64; PARTS]>>; DOUBLINGS],
    /// Sum of all times, in microseconds.
    sum_us: AtomicU64,
}

/// Times by hundreds of the answer's status (index 1 to 5). Allocated at the first such answer, so that an idle group
/// costs a few words.
#[derive(Debug, Default)]
pub struct ResponseTimesByCode([OnceLock<Box<ResponseTimes>>; CODES]);

/// Number of hundreds, from 0 on.
const CODES: usize = 6;

/// The doubling and the part of it that a time falls into.
fn class(nanos: u64) -> (usize, usize) {
    // The highest bit. Everything below the first doubling falls into parts 0 to 63 of a doubling of its own.
    let high = (nanos | ((1 << FIRST_BITS) - 1)).ilog2();
    let doubling = (high + 1 - FIRST_BITS) as usize;
    if doubling >= DOUBLINGS {
        return (DOUBLINGS - 1, PARTS - 1);
    }
    let shift = high.max(FIRST_BITS) - PART_BITS;
    (doubling, (nanos >> shift) as usize & (PARTS - 1))
}

/// The start of a class in nanoseconds.
fn begins(doubling: usize, part: usize) -> u64 {
    let part = part as u64;
    match doubling as u32 {
        0 => part << (FIRST_BITS - PART_BITS),
        doubling => (PARTS as u64 + part) << (FIRST_BITS - PART_BITS + doubling - 1),
    }
}

impl ResponseTimes {
    /// Records a time; called only by the worker that owns this.
    pub fn record(&self, time: Duration) {
        let nanos = time.as_secs() * 1_000_000_000 + u64::from(time.subsec_nanos());
        let (doubling, part) = class(nanos);
        let parts =
            self.doublings[doubling].get_or_init(|| Box::new(core::array::from_fn(|_| AtomicU64::new(0))));
        let us = time.as_secs() * 1_000_000 + u64::from(time.subsec_micros());
        for (count, more) in [(&parts[part], 1), (&self.sum_us, us)] {
            count.store(count.load(Relaxed).wrapping_add(more), Relaxed);
        }
    }

    /// The distribution of all recorded times.
    pub fn distribution(&self) -> Distribution {
        let mut all = Self::NONE;
        self.add_to(&mut all);
        all
    }
}

impl ResponseTimesByCode {
    /// Records the time of an answer with this hundred; called only by the worker that owns this.
    pub(crate) fn record(&self, hundred: usize, time: Duration) {
        match self.0[hundred].get() {
            Some(times) => times.record(time),
            None => first(&self.0[hundred], time),
        }
    }
}

/// Out of line: inlined, it would cost all later calls registers.
#[cold]
#[inline(never)]
fn first(times: &OnceLock<Box<ResponseTimes>>, time: Duration) {
    times.get_or_init(Box::default).record(time);
}

impl Summed for ResponseTimesByCode {
    type Sum = [Distribution; CODES];
    const NONE: [Distribution; CODES] = [const { ResponseTimes::NONE }; CODES];

    fn add_to(&self, sums: &mut [Distribution; CODES]) {
        for (times, sum) in self.0.iter().zip(sums) {
            if let Some(times) = times.get() {
                times.add_to(sum);
            }
        }
    }
}

impl Summed for ResponseTimes {
    type Sum = Distribution;
    const NONE: Distribution = Distribution {
        buckets: Vec::new(),
        sum: Duration::ZERO,
    };

    fn add_to(&self, all: &mut Distribution) {
        all.sum += Duration::from_micros(self.sum_us.load(Relaxed));
        let sum = &mut all.buckets;
        for (doubling, parts) in self.doublings.iter().enumerate() {
            for (part, count) in parts.get().into_iter().flat_map(|parts| parts.iter()).enumerate() {
                let count = count.load(Relaxed);
                if count == 0 {
                    continue;
                }
                let from = Duration::from_nanos(begins(doubling, part));
                match sum.binary_search_by_key(&from, |bucket| bucket.from) {
                    Ok(at) => sum[at].count += count,
                    Err(at) => {
                        let to = Duration::from_nanos(begins(doubling, part + 1));
                        sum.insert(at, Bucket { from, to, count });
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn classes_follow_each_other() {
        let mut end = 0;
        for doubling in 0..DOUBLINGS {
            for part in 0..PARTS {
                let begin = begins(doubling, part);
                assert_eq!(begin, end);
                end = begins(doubling, part + 1);
                assert_eq!(class(begin), (doubling, part));
                assert_eq!(class(end - 1), (doubling, part));
                if doubling > 0 {
                    assert!((end - begin) * 64 <= begin, "{begin} to {end}: wider than 1.6 %");
                }
            }
        }
        assert!(end > 2 * 3600 * 1_000_000_000, "the last class ends at {end}");
        assert_eq!(class(u64::MAX), (DOUBLINGS - 1, PARTS - 1));
    }

    #[test]
    fn each_hundred_has_its_own() {
        let (times, millis) = (ResponseTimesByCode::default(), Duration::from_millis);
        for (hundred, ms) in [(2, 1), (5, 3), (2, 2)] {
            times.record(hundred, millis(ms));
        }
        let mut sums = ResponseTimesByCode::NONE;
        times.add_to(&mut sums);
        let counts = sums
            .each_ref()
            .map(|of| of.buckets.iter().map(|bucket| bucket.count).sum::<u64>());
        assert_eq!(counts, [0, 0, 2, 0, 0, 1]);
        assert_eq!((sums[2].sum, sums[5].sum), (millis(3), millis(3)));
        assert!(times.0[4].get().is_none(), "made though no such answer came");
    }

    /// The value that this share of all does not exceed, by the nearest-rank method.
    fn percentile(sorted: &[u64], percent: usize) -> u64 {
        sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
    }

    proptest! {
        #[test]
        fn percentiles_are_within_a_percent(
            micros in prop::collection::vec(4_100_u64..5_000_000_000_000, 1..200),
            percent in 1_usize..=100,
        ) {
            let workers = [ResponseTimes::default(), ResponseTimes::default()];
            for (at, &nanos) in micros.iter().enumerate() {
                workers[at % 2].record(Duration::from_nanos(nanos));
            }
            let mut sum = ResponseTimes::NONE;
            workers.iter().for_each(|worker| worker.add_to(&mut sum));
            let micros_sum: u64 = micros.iter().map(|nanos| nanos / 1_000).sum();
            prop_assert_eq!(sum.sum, Duration::from_micros(micros_sum));
            let middles: Vec<u64> = sum
                .buckets
                .iter()
                .flat_map(|bucket| {
                    let middle = (bucket.from + bucket.to).as_nanos() / 2;
                    core::iter::repeat_n(middle as u64, bucket.count as usize)
                })
                .collect();
            let mut exact = micros;
            exact.sort_unstable();
            prop_assert_eq!(middles.len(), exact.len());
            let (found, exact) = (percentile(&middles, percent), percentile(&exact, percent));
            prop_assert!(found.abs_diff(exact) * 100 <= exact, "{} for {}", found, exact);
        }
    }
}
