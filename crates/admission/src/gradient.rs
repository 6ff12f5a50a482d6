//! Learns how many requests a target can take at once from how long its answers take.
//!
//! The gradient of Envoy's adaptive concurrency filter, after Netflix's concurrency-limits: limit' = limit x gradient +
//! headroom, with gradient = baseline x tolerance / recent latency, between 1/2 and 1 (growth comes from the headroom).
//! The headroom is half the square root of the limit. Theirs is all of it, which doubles the latency of a target with
//! one or two slots. The baseline is what an answer takes while the target has little to do. It is measured again each
//! minute by letting only a few requests at a time through for some answers; with a queue in front that costs a short
//! wait, not refusals. Latencies are medians, so that one slow answer changes nothing.

use core::time::Duration;
use forebay_units::Mono;

/// Settings of `Limit::Auto`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradientSettings {
    /// The first limit.
    pub initial: u32,
    /// The lowest limit, and the number of requests at a time while the baseline is measured.
    pub least: u32,
    /// The highest limit.
    pub most: u32,
    /// How many times the baseline the recent latency may be before the limit shrinks.
    pub tolerance: f64,
    /// Answers in a window, at least. The limit changes once per window.
    pub window: usize,
    /// Answers that make up a baseline.
    pub baseline: usize,
    /// Time after which the baseline is measured again.
    pub again: Duration,
}

impl Default for GradientSettings {
    fn default() -> Self {
        GradientSettings {
            initial: 4,
            least: 1,
            most: 1000,
            tolerance: 1.25,
            window: 20,
            baseline: 7,
            again: Duration::from_secs(60),
        }
    }
}

/// The learned limit of one target.
#[derive(Debug)]
pub(crate) struct Gradient {
    settings: GradientSettings,
    limit: f64,
    /// Seconds; `None` until measured.
    baseline: Option<f64>,
    measured: Mono,
    measuring: Option<Measuring>,
    window: Vec<f64>,
    /// A request of this window found the target at least half full.
    used: bool,
}

/// A measurement of the baseline in progress. Answers to requests that began before the limit was lowered do not count.
#[derive(Clone, Copy, Debug)]
struct Measuring {
    since: Mono,
    /// When the last answer came.
    moved: Mono,
    /// After this long without an answer, requests in flight (a WebSocket, say) are no longer waited for.
    patience: Duration,
    /// Requests in flight that are no longer waited for.
    beside: u32,
}

/// The least of [`Measuring::patience`].
const LEAST_PATIENCE: Duration = Duration::from_secs(1);

impl Gradient {
    pub(crate) fn new(settings: GradientSettings) -> Gradient {
        Gradient {
            settings,
            limit: f64::from(settings.initial.max(1)),
            baseline: None,
            measured: Mono::ZERO,
            measuring: None,
            window: Vec::new(),
            used: false,
        }
    }

    /// The present number of slots.
    pub(crate) fn limit(&self) -> u32 {
        let least = self.settings.least.max(1);
        let most = self.settings.most.max(least);
        let usual = (self.limit as u32).clamp(least, most);
        match self.measuring {
            // Capped by the usual limit: long-lived requests must not raise it by being measured.
            Some(measuring) => least.saturating_add(measuring.beside).min(usual),
            None => usual,
        }
    }

    /// Records a success that took `took`; `busy` requests were at the target, this one included.
    pub(crate) fn sample(&mut self, now: Mono, took: Duration, busy: u32) {
        let due = self.baseline.is_none() || now.since(self.measured) >= self.settings.again;
        match &mut self.measuring {
            Some(measuring) => {
                measuring.moved = now;
                // It began under the old limit, so its latency contains load that the baseline must not.
                if took > now.since(measuring.since) {
                    return;
                }
            }
            // This success was served under the full limit, so it only starts the measurement.
            None if due => {
                self.measuring = Some(Measuring {
                    since: now,
                    moved: now,
                    patience: (took * 2).max(LEAST_PATIENCE),
                    beside: 0,
                });
                self.window.clear();
                return;
            }
            None => {}
        }
        self.window.push(took.as_secs_f64());
        self.used |= f64::from(busy) * 2.0 >= self.limit;
        // A new limit shows only in requests that begin after it, so no window is shorter than the number in flight.
        let enough = if self.measuring.is_some() {
            self.settings.baseline
        } else {
            self.settings.window.max(busy as usize)
        };
        if self.window.len() < enough.max(1) {
            return;
        }
        let middle = self.window.len() / 2;
        let (_, &mut median, _) = self.window.select_nth_unstable_by(middle, f64::total_cmp);
        self.window.clear();
        if self.measuring.take().is_some() {
            (self.baseline, self.measured) = (Some(median), now);
        } else {
            self.learn(median);
        }
        self.used = false;
    }

    fn learn(&mut self, median: f64) {
        let Some(baseline) = self.baseline else {
            return;
        };
        let gradient = (baseline * self.settings.tolerance / median.max(1e-9)).clamp(0.5, 1.0);
        // A target that is never filled says nothing about how much it could take.
        if self.used || gradient < 1.0 {
            self.limit = self.limit * gradient + self.limit.sqrt() / 2.0;
        }
        self.limit = self.limit.clamp(
            f64::from(self.settings.least.max(1)),
            f64::from(self.settings.most),
        );
    }

    /// Moves on a measurement that waits for an answer which does not come. Returns whether the limit has changed.
    pub(crate) fn tick(&mut self, now: Mono, busy: u32) -> bool {
        let limit = self.limit();
        match &mut self.measuring {
            // Only if the lowered limit is used up: otherwise the next request will bring an answer.
            Some(measuring) if busy >= limit && now.since(measuring.moved) >= measuring.patience => {
                (measuring.beside, measuring.moved) = (busy, now);
                self.limit() != limit
            }
            _ => false,
        }
    }

    /// The target reported that it is overloaded.
    pub(crate) fn pushed_back(&mut self) {
        self.limit = (self.limit * 0.9).max(f64::from(self.settings.least.max(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_units::Rng;
    use std::collections::{BTreeSet, VecDeque};

    /// A target with `servers` servers of 100 ms each, give or take a fifth, always offered as much as its limit lets in.
    struct Target {
        gradient: Gradient,
        servers: usize,
        now: Mono,
        /// When it ends, when it arrived, its number.
        served: BTreeSet<(Mono, Mono, u64)>,
        queued: VecDeque<Mono>,
        rng: Rng,
        done: u64,
    }

    impl Target {
        fn new(servers: usize) -> Target {
            Target {
                gradient: Gradient::new(GradientSettings::default()),
                servers,
                now: Mono::ZERO,
                served: BTreeSet::new(),
                queued: VecDeque::new(),
                rng: Rng::named(5, "target"),
                done: 0,
            }
        }

        fn busy(&self) -> usize {
            self.served.len() + self.queued.len()
        }

        /// Runs for `seconds` and returns requests a second. At most `offered` requests are offered at a time.
        fn run(&mut self, seconds: u64, offered: usize) -> f64 {
            let (begin, done) = (self.now, self.done);
            while self.now.since(begin) < Duration::from_secs(seconds) {
                while self.busy() < (self.gradient.limit() as usize).min(offered) {
                    self.queued.push_back(self.now);
                }
                while self.served.len() < self.servers
                    && let Some(came) = self.queued.pop_front()
                {
                    let took = Duration::from_micros(80_000 + self.rng.below(40_000));
                    self.done += 1;
                    self.served.insert((self.now + took, came, self.done));
                }
                let busy = self.busy() as u32;
                if let Some((end, came, _)) = self.served.pop_first() {
                    self.now = end;
                    self.gradient.sample(end, end.since(came), busy);
                }
            }
            (self.done - done) as f64 / self.now.since(begin).as_secs_f64()
        }
    }

    #[test]
    fn finds_what_a_target_takes_and_keeps_it() {
        for servers in [1, 2, 8, 32, 100] {
            let mut target = Target::new(servers);
            target.run(120, usize::MAX);
            for minute in 0..10 {
                let rate = target.run(60, usize::MAX) / (servers as f64 * 10.0);
                let limit = target.gradient.limit() as f64 / servers as f64;
                // A limit a little above the servers keeps them busy; measuring the baseline costs a few per cent.
                assert!(
                    (0.9..=2.0).contains(&limit),
                    "{servers} servers, minute {minute}: {limit}"
                );
                assert!(
                    rate > 0.88,
                    "{servers} servers, minute {minute}: {rate} of what they could"
                );
            }
        }
    }

    #[test]
    fn follows_a_target_that_shrinks_and_grows() {
        let mut target = Target::new(20);
        target.run(120, usize::MAX);
        target.servers = 5;
        target.run(120, usize::MAX);
        assert!(
            (5..=10).contains(&target.gradient.limit()),
            "{}",
            target.gradient.limit()
        );
        target.servers = 20;
        target.run(120, usize::MAX);
        assert!(
            (20..=40).contains(&target.gradient.limit()),
            "{}",
            target.gradient.limit()
        );
    }

    #[test]
    fn does_not_grow_by_what_it_has_not_seen() {
        let mut target = Target::new(50);
        target.run(300, 2);
        assert!(target.gradient.limit() <= 6, "{}", target.gradient.limit());
    }

    #[test]
    fn a_request_that_stays_does_not_stop_the_measurement() {
        let mut gradient = Gradient::new(GradientSettings::default());
        let at = Mono::from_millis;
        let took = Duration::from_millis(100);
        // A WebSocket is open, and another request has come and gone.
        gradient.sample(at(100), took, 2);
        assert_eq!(gradient.limit(), 1);
        assert!(!gradient.tick(at(1_000), 1));
        assert!(gradient.tick(at(1_100), 1));
        assert_eq!(gradient.limit(), 2);
        for answer in 2..9 {
            assert_eq!(gradient.limit(), 2, "one at a time beside it");
            gradient.sample(at(1_000 + answer * 100), took, 2);
        }
        assert_eq!(gradient.limit(), 4);
        assert_eq!(gradient.baseline, Some(0.1));
        // Where only long-lived requests come, it admits no more than it would without measuring.
        gradient.sample(at(70_000), took, 1);
        for second in 71..100 {
            let busy = gradient.limit();
            gradient.tick(at(second * 1_000), busy);
        }
        assert_eq!(gradient.limit(), 4);
    }

    #[test]
    fn push_back_lowers_it() {
        let mut gradient = Gradient::new(GradientSettings {
            initial: 100,
            ..GradientSettings::default()
        });
        (0..7).for_each(|_| gradient.pushed_back());
        assert!((45..50).contains(&gradient.limit()));
        (0..100).for_each(|_| gradient.pushed_back());
        assert_eq!(gradient.limit(), 1);
    }
}
