//! A model of Knative's pod autoscaler.

use super::target::TARGET;
use super::window::Window;
use crate::fleet::{Controller, FleetSeen};
use core::time::Duration;
use forebay_units::Mono;

const STABLE: Duration = Duration::from_secs(60);
/// The panic window: a tenth of the stable window.
const PANIC: Duration = Duration::from_secs(6);
/// Panic begins when the panic window demands this many times what is ready.
const PANIC_THRESHOLD: f64 = 2.0;
const SCRAPE: Duration = Duration::from_secs(1);
/// Scrapes from one decision to the next.
const TICK: u32 = 2;
/// One decision multiplies what is ready at most by the first, and divides it at most by the second.
const MOST_UP: f64 = 1_000.0;
const MOST_DOWN: f64 = 2.0;
const TO_ZERO_GRACE: Duration = Duration::from_secs(30);

/// The KPA with its defaults. Its activator stays in the path, so it sees waiting requests as well as those in flight.
///
/// Source: knative/serving, `pkg/autoscaler/scaling/autoscaler.go`, and the defaults of `config-autoscaler`: stable window
/// 60 s, panic window 6 s, target 70 per cent of the concurrency, decisions each 2 s from scrapes each second.
///
/// A model. It leaves out that pods are sampled, and that the activator has its own limits.
#[derive(Clone, Debug)]
pub struct Knative {
    concurrency: Window,
    scrapes: u32,
    is_new: bool,
    panic: Option<Mono>,
    panic_most: f64,
    zero_since: Option<Mono>,
}

impl Default for Knative {
    fn default() -> Knative {
        Knative {
            concurrency: Window::new(STABLE),
            scrapes: 0,
            is_new: true,
            panic: None,
            panic_most: 0.0,
            zero_since: None,
        }
    }
}

impl Knative {
    fn scale(&mut self, now: Mono, seen: &FleetSeen) -> Option<u32> {
        let ready = f64::from(seen.ready).max(1.0);
        if core::mem::take(&mut self.is_new) && seen.ready > 1 {
            // The present size stays until a whole stable window is known.
            (self.panic, self.panic_most) = (Some(now), ready);
        }
        let target = f64::from(seen.slots) * TARGET;
        let wanted = |over| Some((self.concurrency.mean(over)? / target).ceil());
        let (stable, panic) = (wanted(STABLE)?, wanted(PANIC)?);
        let (least, most) = ((ready / MOST_DOWN).floor(), (MOST_UP * ready).ceil());
        let mut desired = stable.max(least).min(most);
        let is_over = panic / ready >= PANIC_THRESHOLD;
        if is_over {
            self.panic = Some(now);
        } else if self.panic.is_some_and(|since| now.since(since) > STABLE) {
            (self.panic, self.panic_most) = (None, 0.0);
        }
        if self.panic.is_some() {
            self.panic_most = self.panic_most.max(desired).max(panic.max(least).min(most));
            desired = self.panic_most;
        }
        Some(desired as u32)
    }

    /// Keeps the last instance until none has been wanted for the grace time.
    fn grace(&mut self, now: Mono, desired: u32) -> u32 {
        if desired > 0 {
            self.zero_since = None;
            return desired;
        }
        let since = *self.zero_since.get_or_insert(now);
        u32::from(now.since(since) < TO_ZERO_GRACE)
    }
}

impl Controller for Knative {
    fn name(&self) -> &'static str {
        "knative-kpa"
    }

    fn interval(&self) -> Duration {
        SCRAPE
    }

    fn decide(&mut self, now: Mono, seen: &FleetSeen) -> u32 {
        self.concurrency
            .put(now, seen.in_flight_seconds + seen.waiting_seconds);
        self.scrapes += 1;
        if !self.scrapes.is_multiple_of(TICK) {
            return seen.desired;
        }
        match self.scale(now, seen) {
            Some(desired) => self.grace(now, desired),
            None => seen.desired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::seen;
    use super::*;

    /// Feeds this many requests in flight for this many seconds; returns the desired number at the end.
    fn feed(
        controller: &mut Knative,
        from: &mut (u64, f64),
        ready: u32,
        in_flight: f64,
        seconds: u64,
    ) -> u32 {
        let mut desired = 0;
        for _ in 0..seconds {
            from.0 += 1;
            from.1 += in_flight;
            let look = FleetSeen {
                in_flight_seconds: from.1,
                ..seen(ready, 0)
            };
            desired = controller.decide(Mono::from_millis(from.0 * 1000), &look);
        }
        desired
    }

    #[test]
    fn the_stable_window_sizes_and_panic_never_takes_away() {
        let (mut controller, mut at) = (Knative::default(), (0, 0.0));
        // Seven of ten slots: 70 requests in flight need ten pods.
        assert_eq!(feed(&mut controller, &mut at, 10, 70.0, 60), 10);
        // Six seconds of 280 need 40 pods; the stable window's mean is 91.
        assert_eq!(feed(&mut controller, &mut at, 10, 280.0, 6), 40);
        // The load falls at once, but what was ordered in panic stays for a stable window.
        assert_eq!(feed(&mut controller, &mut at, 40, 70.0, 50), 40);
        // After that, each decision removes at most half of what is ready.
        assert_eq!(feed(&mut controller, &mut at, 40, 70.0, 20), 20);
    }

    #[test]
    fn the_last_one_goes_after_a_grace_time() {
        let (mut controller, mut at) = (Knative::default(), (0, 0.0));
        assert_eq!(feed(&mut controller, &mut at, 1, 0.0, 20), 1);
        assert_eq!(feed(&mut controller, &mut at, 1, 0.0, 20), 0);
    }
}
