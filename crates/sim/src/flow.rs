//! Independent requests: at a rate that changes over time, or from a trace.

use crate::crowd::uniform;
use core::time::Duration;
use forebay_units::Rng;
use std::sync::Arc;

/// A time in which more requests come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// When it begins.
    pub from: Duration,
    /// When it is over.
    pub until: Duration,
    /// The factor by which the rate is multiplied.
    pub times: f64,
}

/// An arrival rate over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rate {
    points: Vec<(Duration, f64)>,
    bursts: Vec<Burst>,
}

impl Rate {
    /// Straight lines between these points, in the order of time: each a time and requests a second. Two points of the same
    /// time make a step. No requests come before the first point or after the last.
    pub fn new(points: Vec<(Duration, f64)>) -> Rate {
        Rate {
            points,
            bursts: Vec::new(),
        }
    }

    /// The same rate with these bursts, which are in the order of time and do not overlap.
    #[must_use]
    pub fn with_bursts(self, bursts: Vec<Burst>) -> Rate {
        Rate { bursts, ..self }
    }

    /// Requests a second at this time. O(log points + log bursts).
    pub fn at(&self, time: Duration) -> f64 {
        let after = self.points.partition_point(|point| point.0 <= time);
        let (Some(before), Some(next)) = (
            after.checked_sub(1).and_then(|before| self.points.get(before)),
            self.points.get(after),
        ) else {
            return 0.0;
        };
        let share = (time - before.0).as_secs_f64() / (next.0 - before.0).as_secs_f64();
        (before.1 + (next.1 - before.1) * share) * self.burst_at(time)
    }

    fn burst_at(&self, time: Duration) -> f64 {
        let after = self.bursts.partition_point(|burst| burst.from <= time);
        let last = after.checked_sub(1).and_then(|last| self.bursts.get(last));
        last.filter(|burst| time < burst.until)
            .map_or(1.0, |burst| burst.times)
    }

    /// The highest rate.
    pub fn most(&self) -> f64 {
        let most = |most: f64, one: f64| most.max(one);
        let points = self.points.iter().map(|point| point.1).fold(0.0, most);
        points * self.bursts.iter().map(|burst| burst.times).fold(1.0, most)
    }

    /// When the rate ends.
    pub fn end(&self) -> Duration {
        self.points.last().map_or(Duration::ZERO, |point| point.0)
    }
}

/// Random bursts until `end`: the time from the end of one to the next and its length are exponential, with means `gap` and
/// `length`.
pub fn bursts(seed: u64, end: Duration, gap: Duration, length: Duration, times: f64) -> Vec<Burst> {
    let mut rng = Rng::named(seed, "bursts");
    let mut found: Vec<Burst> = Vec::new();
    loop {
        let last = found.last().map_or(Duration::ZERO, |burst| burst.until);
        let from = last + exponential(gap, &mut rng);
        if from >= end {
            return found;
        }
        found.push(Burst {
            from,
            until: from + exponential(length, &mut rng),
            times,
        });
    }
}

fn exponential(mean: Duration, rng: &mut Rng) -> Duration {
    mean.mul_f64(-(1.0 - uniform(rng)).ln())
}

/// A request of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// When it came.
    pub at: Duration,
    /// How long it held its slot.
    pub takes: Duration,
}

/// Requests that come whatever happens to earlier ones.
#[derive(Clone, Debug)]
pub enum Flow {
    /// Independent arrivals at this rate (a Poisson process of changing rate, by thinning: Lewis and Shedler 1979); the
    /// target decides how long each takes.
    Rate(Arc<Rate>),
    /// These requests, in the order of time.
    Trace(Arc<[Asked]>),
}

/// A flow and its position.
#[derive(Clone, Debug)]
pub(crate) struct Flowing {
    flow: Flow,
    passed: usize,
    /// How long its next request takes, if that is known.
    pub(crate) takes: Option<u64>,
}

impl Flowing {
    pub(crate) fn of(flow: &Flow) -> Flowing {
        Flowing {
            flow: flow.clone(),
            passed: 0,
            takes: None,
        }
    }

    /// The next request at or after `now`, in nanoseconds: its time, and how long it takes if that is known. None if no
    /// more come.
    pub(crate) fn next(&mut self, now: u64, rng: &mut Rng) -> Option<(u64, Option<u64>)> {
        match &self.flow {
            Flow::Rate(rate) => thinned(rate, now, rng).map(|at| (at, None)),
            Flow::Trace(asked) => {
                let next = asked.get(self.passed)?;
                self.passed += 1;
                let at = (next.at.as_nanos() as u64).max(now);
                Some((at, Some(next.takes.as_nanos() as u64)))
            }
        }
    }
}

/// The first arrival after `now` of a Poisson process of the highest rate, each of which is kept with the rate's share of
/// the highest.
fn thinned(rate: &Rate, now: u64, rng: &mut Rng) -> Option<u64> {
    let (most, end) = (rate.most(), rate.end());
    let mean = Duration::try_from_secs_f64(1.0 / most).ok()?;
    let mut at = Duration::from_nanos(now);
    loop {
        at += exponential(mean, rng);
        if at >= end {
            return None;
        }
        if uniform(rng) * most < rate.at(at) {
            return Some(at.as_nanos() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn rates_go_straight_from_point_to_point_and_jump_where_two_points_meet() {
        let burst = Burst {
            from: secs(2),
            until: secs(4),
            times: 3.0,
        };
        let rate = Rate::new(vec![
            (secs(0), 10.0),
            (secs(10), 20.0),
            (secs(10), 100.0),
            (secs(20), 100.0),
        ])
        .with_bursts(vec![burst]);
        for (at, expected) in [
            (0, 10.0),
            (1, 11.0),
            (2, 36.0),
            (4, 14.0),
            (10, 100.0),
            (19, 100.0),
            (20, 0.0),
        ] {
            assert!(
                (rate.at(secs(at)) - expected).abs() < 1e-9,
                "{at}: {}",
                rate.at(secs(at))
            );
        }
        assert_eq!((rate.most(), rate.end()), (300.0, secs(20)));
    }

    #[test]
    fn as_many_come_as_the_rate_says() {
        let rate = Rate::new(vec![(secs(0), 0.0), (secs(100), 100.0), (secs(200), 0.0)]);
        let mut rng = Rng::named(1, "crowd");
        let mut flow = Flowing::of(&Flow::Rate(Arc::new(rate)));
        let (mut now, mut halves) = (0, [0, 0]);
        while let Some((at, takes)) = flow.next(now, &mut rng) {
            assert!(at > now && takes.is_none());
            now = at;
            halves[usize::from(at > 100_000_000_000)] += 1;
        }
        // 5,000 each; the standard deviation is 71.
        assert!(
            halves.iter().all(|half| (4_750..5_250).contains(half)),
            "{halves:?}"
        );
    }

    #[test]
    fn bursts_do_not_overlap_and_a_trace_comes_as_it_is() {
        let found = bursts(3, secs(10_000), secs(60), secs(10), 5.0);
        assert!(found.len() > 100);
        assert!(found.windows(2).all(|pair| pair[0].until <= pair[1].from));
        let asked = [
            Asked {
                at: secs(1),
                takes: secs(2),
            },
            Asked {
                at: secs(1),
                takes: secs(3),
            },
        ];
        let mut flow = Flowing::of(&Flow::Trace(asked.into()));
        let mut rng = Rng::named(1, "crowd");
        let second = 1_000_000_000;
        assert_eq!(flow.next(0, &mut rng), Some((second, Some(2 * second))));
        assert_eq!(flow.next(second, &mut rng), Some((second, Some(3 * second))));
        assert_eq!(flow.next(second, &mut rng), None);
    }
}
