//! Prequal: hot and cold, lexicographically. A target is hot if its load is above a high quantile of all loads. Of a
//! few drawn targets, the cold one with the lowest latency gets the request; if all are hot, the one with the least
//! load. B. Wydrowski et al., "Load is not what you should balance: Introducing Prequal", NSDI 2024.
//!
//! This differs from the paper. A load balancer knows its own requests in flight exactly and for free, so nothing is
//! probed over the network and there is no pool of probe answers. The quantile of loads is tracked step by step (Q. Ma
//! et al., "Frugal Streaming for Estimating Quantiles", 2013). The median latency near the present load is kept in
//! classes of load, each twice as wide as the one before, and tracked the same way.

use crate::eligible::{Choose, EligibleTargets};
use crate::peak_ewma::{nanos_since, stamp};
use crate::sample::sample;
use core::time::Duration;
use forebay_units::{Mono, Rng};

/// Targets drawn per pick, as many as the paper's probes per request. A fourth would cut a tenth off the tail and add a
/// third to the cost.
const DRAWN: usize = 3;
/// Loads above this quantile are hot; the paper's value, 2^-0.25.
const QUANTILE: f32 = 0.84;
/// A median older than this is ignored. The target then counts as fast until it is measured again, so that one slow
/// phase does not exclude it for ever.
const FRESH_NANOS: f32 = 10e9;
/// Latencies that differ by less than this factor count as equal: a median is known to within a tenth, and equally fast
/// targets should get equal shares.
const ALIKE: f32 = 1.25;
/// Number of classes of load.
pub const LOADS: usize = 8;

/// The state: the load above which a target is hot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prequal {
    hot: f32,
}

impl Prequal {
    /// Moves the quantile's estimate by one observed load.
    fn see(&mut self, load: f32) {
        // Proportional to the estimate, so that it follows small and large loads alike. Steps up and down balance where
        // a fraction of 1 - QUANTILE of all loads is above.
        let step = 0.05 * (1.0 + self.hot);
        if load > self.hot {
            self.hot += step * QUANTILE;
        } else {
            self.hot = (self.hot - step * (1.0 - QUANTILE)).max(0.0);
        }
    }
}

/// A drawn target's rank among the others.
#[derive(Clone, Copy, Debug)]
struct Rank {
    hot: bool,
    latency: f32,
    load: f32,
}

impl Rank {
    /// Cold before hot. Then the clearly faster one if cold, then the one with less load, then the one drawn first.
    fn is_before(self, other: Rank) -> bool {
        if self.hot != other.hot {
            return other.hot;
        }
        if self.latency * ALIKE < other.latency || other.latency * ALIKE < self.latency {
            return self.latency < other.latency;
        }
        self.load < other.load
    }
}

impl Choose for Prequal {
    fn choose<S: EligibleTargets>(&mut self, now: Mono, targets: &S, rng: &mut Rng) -> Option<S::Taken> {
        // All loads are read before any is used, so that their cache lines are fetched together and not one after the
        // other.
        let mut drawn = [(0, 0); DRAWN];
        let mut count = 0;
        let mut last = None;
        while count < DRAWN
            && let Some(index) = sample(targets, rng, last)
        {
            drawn[count] = (index, targets.load(index));
            count += 1;
            last = Some(index);
        }
        let mut best: Option<(usize, Rank)> = None;
        for &(index, load) in &drawn[..count] {
            // An idle target's load is zero whatever its weight.
            let weighed = (targets.weight(index).cost(load) - 1.0) as f32;
            let hot = weighed > self.hot;
            // Hot targets get the same latency, so that only their loads are compared.
            let latency = if hot {
                0.0
            } else {
                targets.median_latency(index, load, now).unwrap_or(0.0)
            };
            self.see(weighed);
            let rank = Rank {
                hot,
                latency,
                load: weighed,
            };
            if best.is_none_or(|(_, other)| rank.is_before(other)) {
                best = Some((index, rank));
            }
        }
        best.map(|(index, _)| targets.take(index))
    }
}

/// The class of a load: 0, 1, 2 to 3, 4 to 7 and so on; the last one is open-ended.
pub fn load_class(load: u32) -> usize {
    ((32 - load.leading_zeros()) as usize).min(LOADS - 1)
}

/// A target's median latency in one class of load, in one word that fits an atomic, laid out like
/// [`crate::PeakLatency`]. Zero if nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MedianLatency(pub u64);

impl MedianLatency {
    /// The median with one more measured latency: it moves by a tenth towards that, or by less if it is nearer.
    #[must_use]
    pub fn with(self, now: Mono, latency: Duration) -> MedianLatency {
        let measured = (latency.as_nanos() as f32).max(1.0);
        let median = match self.nanos(now) {
            Some(median) => measured.clamp(median * 0.9, median * 1.1),
            None => measured,
        };
        MedianLatency(u64::from(median.to_bits()) << 32 | u64::from(stamp(now)))
    }

    /// The median in nanoseconds; `None` if nothing was measured lately.
    pub fn nanos(self, now: Mono) -> Option<f32> {
        let fresh = self.0 != 0 && nanos_since(now, self.0 as u32) < FRESH_NANOS;
        fresh.then(|| f32::from_bits((self.0 >> 32) as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestTargets;

    #[test]
    fn classes_double() {
        assert_eq!(
            [0, 1, 2, 3, 4, 63, 64, 9999].map(load_class),
            [0, 1, 2, 2, 3, 6, 7, 7]
        );
    }

    #[test]
    fn the_median_is_found_and_forgotten() {
        let mut rng = Rng::named(3, "latencies");
        let mut median = MedianLatency::default();
        for number in 0..5_000 {
            // One in five takes 100 times as long, so the mean would be 21 times the median.
            let long = rng.below(5) == 0;
            let span = Duration::from_micros(if long { 100_000 } else { 900 + rng.below(200) });
            median = median.with(Mono::from_millis(number), span);
        }
        let found = median.nanos(Mono::from_millis(5_000)).unwrap();
        assert!((0.7e6..1.5e6).contains(&found), "{found}");
        assert_eq!(median.nanos(Mono::from_millis(15_100)), None);
    }

    #[test]
    fn the_quantile_is_found() {
        let (mut prequal, mut rng) = (Prequal::default(), Rng::named(4, "loads"));
        let mut above = 0;
        for number in 0..20_000 {
            let load = rng.below(100) as f32;
            above += u32::from(number >= 10_000 && load > prequal.hot);
            prequal.see(load);
        }
        assert!(
            (1_200..2_000).contains(&above),
            "{above} of 10,000 are hot, not 1,600"
        );
    }

    #[test]
    fn cold_and_fast_goes_first_then_the_least_loaded() {
        let mut room = TestTargets::of(4);
        let mut rng = Rng::named(5, "draws");
        room.loads.set(vec![0, 0, 0, 0]);
        room.latencies = vec![Some(9e6), Some(9e6), Some(1e6), Some(9e6)];
        let picked = |room: &TestTargets, rng: &mut Rng, hot| {
            let mut prequal = Prequal { hot };
            let mut counts = [0; 4];
            for _ in 0..400 {
                counts[prequal.choose(Mono::ZERO, room, rng).unwrap()] += 1;
                prequal.hot = hot;
                room.settle_all();
            }
            counts
        };
        let counts = picked(&room, &mut rng, 1.0);
        assert!(counts[2] > 250, "{counts:?}");
        room.loads.set(vec![7, 5, 9, 7]);
        room.keep = true;
        let counts = picked(&room, &mut rng, 1.0);
        assert!(counts[1] > 250, "{counts:?}");
    }
}
