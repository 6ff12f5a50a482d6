//! The rate of arrivals, over the longest time that nothing newer contradicts.
//!
//! A mean over a long time is exact but late; one over a short time is quick but noisy. So counts of the last 0.2 to
//! 25.6 seconds are compared. The longest window counts with which every shorter one agrees, within the variation of
//! random arrivals. After a step that is the time since the step, whatever was before (docs/decisions/0035).

use core::time::Duration;
use forebay_units::Mono;
use std::collections::VecDeque;

/// The least time between counts that are kept.
const APART: Duration = Duration::from_millis(40);
/// The shortest window in seconds; each further one is longer by the square root of two.
const SHORTEST: f64 = 0.2;
const WINDOWS: usize = 15;
/// Standard deviations by which two windows may differ.
const SIGMAS: f64 = 4.0;
/// Windows shorter than this, in seconds, count by the lower one of their halves: a burst that is over is not a rate.
const BRIEF: f64 = 2.0;
/// The greatest of those counts, so each is reduced by this many standard deviations.
const SURE: f64 = 0.5;
/// A slope is looked for in windows of at least `SLOPED` seconds, and counts by what exceeds `STEEP` standard
/// deviations.
const SLOPED: f64 = 3.0;
const STEEP: f64 = 3.0;
/// Parts of a window that a slope is fitted to.
const PARTS: usize = 8;

/// The arrivals at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// Requests a second.
    pub per_second: f64,
    /// Its growth per second; never negative.
    pub slope: f64,
    /// Length of the window it was counted over, in seconds.
    pub window: f64,
}

/// Counts of arrivals at some moments of the last half minute.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    counts: VecDeque<(f64, f64)>,
    last: u64,
    total: f64,
}

fn seconds(time: Mono) -> f64 {
    time.since(Mono::ZERO).as_secs_f64()
}

fn window(number: usize) -> f64 {
    SHORTEST * 2_f64.powf(number as f64 / 2.0)
}

/// Whether `found` may be a random variation of `expected`.
fn agrees(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= SIGMAS * expected.sqrt() + SIGMAS * SIGMAS / 4.0
}

impl Arrivals {
    /// Records the number of arrivals since counting began. A lower number than before means that counting began anew.
    pub(super) fn counted(&mut self, now: Mono, arrivals: u64) {
        let more = match arrivals.checked_sub(self.last) {
            // Arrivals before the first look happened at unknown times.
            _ if self.counts.is_empty() => 0,
            Some(more) => more,
            None => arrivals,
        };
        self.last = arrivals;
        self.total += more as f64;
        let now = seconds(now);
        // The newest count is moved on until it is far enough from the one before it.
        let before = self.counts.len().checked_sub(2).map(|place| self.counts[place].0);
        if before.is_some_and(|before| now - before < APART.as_secs_f64()) {
            self.counts.pop_back();
        }
        self.counts.push_back((now, self.total));
        let oldest = now - window(WINDOWS - 1) - 1.0;
        while self.counts.len() > 2 && self.counts[1].0 <= oldest {
            self.counts.pop_front();
        }
    }

    /// The count at a time, interpolated linearly.
    fn at(&self, time: f64) -> f64 {
        let next = self.counts.partition_point(|(at, _)| *at < time);
        match (
            next.checked_sub(1).map(|before| self.counts[before]),
            self.counts.get(next),
        ) {
            (Some((from, low)), Some(&(to, high))) if to > from => {
                low + (high - low) * (time - from) / (to - from)
            }
            (Some((_, count)), None) | (None, Some(&(_, count))) => count,
            (_, Some(&(_, count))) => count,
            (None, None) => 0.0,
        }
    }

    /// The present rate; `None` before there is a window of counts.
    pub(super) fn rate(&self) -> Option<Rate> {
        let (now, total) = *self.counts.back()?;
        let since = self.counts.front()?.0;
        let found: Vec<f64> = (0..WINDOWS)
            .map(window)
            .take_while(|window| now - window >= since)
            .map(|window| total - self.at(now - window))
            .collect();
        let longest = (0..found.len()).rev().find(|&long| {
            let rate = found[long] / window(long);
            (0..long).all(|short| agrees(found[short], rate * window(short)))
        })?;
        let (length, count) = (window(longest), found[longest]);
        if length < BRIEF {
            let windows = (0..=longest).map(window);
            return Some(Rate {
                per_second: windows
                    .map(|window| self.sustained(now, window))
                    .fold(0.0, f64::max),
                slope: 0.0,
                window: length,
            });
        }
        let mean = count / length;
        let slope = self.slope(now, length, mean);
        Some(Rate {
            per_second: mean + slope * length / 2.0,
            slope,
            window: length,
        })
    }

    /// The rate that both halves of a window have at least. Halves end where counts were taken, so that arrivals
    /// between two looks belong to one of them.
    fn sustained(&self, now: f64, window: f64) -> f64 {
        let point = |time: f64| self.counts[self.counts.partition_point(|(at, _)| *at < time)];
        let (end, middle, begin) = (
            point(now),
            point(now - window / 2.0 - 1e-6),
            point(now - window - 1e-6),
        );
        let rate = |from: (f64, f64), to: (f64, f64)| (to.1 - from.1) / (to.0 - from.0).max(1e-6);
        if middle.0 <= begin.0 || end.0 <= middle.0 {
            return 0.0;
        }
        let found = rate(begin, middle).min(rate(middle, end));
        (found - SURE * (found / window).sqrt()).max(0.0)
    }

    /// The growth of the rate per second, beyond what may be chance.
    fn slope(&self, now: f64, window: f64, mean: f64) -> f64 {
        if window < SLOPED || mean <= 0.0 {
            return 0.0;
        }
        let part = window / PARTS as f64;
        let (mut above, mut below) = (0.0, 0.0);
        let mut before = self.at(now - window);
        for number in 0..PARTS {
            let count = self.at(now - window + part * (number + 1) as f64);
            let middle = part * (number as f64 + 0.5) - window / 2.0;
            above += middle * (count - before) / part;
            below += middle * middle;
            before = count;
        }
        let slope = above / below;
        let deviation = (12.0 * mean / window.powi(3)).sqrt();
        (slope - STEEP * deviation).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_units::Rng;

    /// Poisson arrivals at the rate that `rate` gives per second, counted ten times a second: the rate found each time.
    fn looked(seed: u64, until: f64, rate: impl Fn(f64) -> f64) -> Vec<(f64, Rate)> {
        let mut rng = Rng::named(seed, "arrivals");
        let mut arrivals = Arrivals::default();
        let (mut next, mut count, mut found) = (0.0_f64, 0_u64, Vec::new());
        for look in 0..=(until * 10.0) as u32 {
            let now = f64::from(look) / 10.0;
            while next <= now {
                let chance = (rng.below(1 << 53) as f64 + 1.0) / (1_u64 << 53) as f64;
                next += -chance.ln() / rate(next).max(1e-3);
                count += 1;
            }
            arrivals.counted(Mono::from_millis(u64::from(look) * 100), count);
            found.extend(arrivals.rate().map(|rate| (now, rate)));
        }
        found
    }

    #[test]
    fn a_steady_rate_is_told_over_a_long_time() {
        for (seed, rate) in (0..8).zip([0.5, 3.0, 10.0, 40.0, 100.0, 300.0, 1000.0, 5000.0]) {
            let found = looked(seed, 300.0, |_| rate);
            let settled = found.iter().filter(|(at, _)| *at > 30.0);
            let long = settled.clone().filter(|(_, found)| found.window > 12.0).count();
            assert!(long * 10 > settled.clone().count() * 9, "{rate}: {long}");
            let most = settled.map(|(_, found)| found.per_second).fold(0.0, f64::max);
            assert!(most < rate + 4.5 * rate.sqrt() * 0.35 + 1.0, "{rate}: {most}");
        }
    }

    #[test]
    fn a_step_is_seen_within_half_a_second_and_not_overestimated() {
        for seed in 0..20 {
            let found = looked(seed, 60.0, |at| if at < 40.0 { 10.0 } else { 100.0 });
            let at = |time: f64| found.iter().find(|(at, _)| *at >= time).unwrap().1.per_second;
            assert!(at(40.5) > 45.0, "seed {seed}: {}", at(40.5));
            assert!(at(42.0) > 70.0, "seed {seed}: {}", at(42.0));
            let most = found.iter().map(|(_, rate)| rate.per_second).fold(0.0, f64::max);
            assert!(most < 160.0, "seed {seed}: {most}");
        }
    }

    #[test]
    fn a_ramp_is_told_with_its_slope() {
        for seed in 0..10 {
            let found = looked(seed, 60.0, |at| 10.0 + 3.0 * at);
            let late = found.iter().filter(|(at, _)| *at > 20.0);
            let errors: Vec<f64> = late
                .map(|(at, rate)| rate.per_second + 3.0 * rate.slope - (10.0 + 3.0 * (at + 3.0)))
                .collect();
            let mean = errors.iter().sum::<f64>() / errors.len() as f64;
            assert!(mean > -25.0 && mean < 20.0, "seed {seed}: {mean}");
        }
    }

    #[test]
    fn a_burst_that_is_over_is_no_rate() {
        let mut arrivals = Arrivals::default();
        for look in 0..400_u64 {
            let count = if look < 300 { 0 } else { 50 };
            arrivals.counted(Mono::from_millis(look * 100), count);
            if let Some(rate) = arrivals.rate() {
                assert!(rate.per_second < 60.0, "{look}: {rate:?}");
                if look == 310 {
                    assert!(rate.per_second < 30.0, "{rate:?}");
                }
            }
        }
    }

    #[test]
    fn counts_that_begin_anew_lose_nothing_else() {
        let mut arrivals = Arrivals::default();
        for look in 0..300_u64 {
            let count = look * 10;
            let shown = if look < 150 { count } else { count - 1500 };
            arrivals.counted(Mono::from_millis(look * 100), shown);
        }
        let rate = arrivals.rate().unwrap();
        assert!((rate.per_second - 100.0).abs() < 2.0, "{rate:?}");
    }
}
