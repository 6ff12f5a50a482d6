//! A model of Google Cloud Run.

use super::window::Window;
use crate::fleet::{Controller, FleetSeen};
use core::time::Duration;
use forebay_units::Mono;
use std::collections::VecDeque;

/// The share of an instance's concurrency that is kept busy.
const BUSY: f64 = 0.6;
/// The window of that mean.
const WINDOW: Duration = Duration::from_secs(60);
/// Interval between evaluations.
const EVALUATION: Duration = Duration::from_secs(5);

/// Cloud Run's scaling by concurrency, and the start of instances for requests that find no capacity.
///
/// Source: Google Cloud documentation, "About instance autoscaling in Cloud Run services": concurrency is kept at 60 per
/// cent of its limit over a minute, evaluated each 5 s, and a request that finds no capacity has instances started at once.
///
/// A model. How many instances are started on demand is not published: here as many as the present requests fill. These
/// stay for a minute; Cloud Run may keep idle ones for up to 15. It leaves out CPU.
#[derive(Clone, Debug)]
pub struct CloudRun {
    concurrency: Window,
    on_demand: VecDeque<(Mono, u32)>,
    evaluated: Option<Mono>,
    steady: u32,
}

impl Default for CloudRun {
    fn default() -> CloudRun {
        CloudRun {
            concurrency: Window::new(WINDOW),
            on_demand: VecDeque::new(),
            evaluated: None,
            steady: 0,
        }
    }
}

impl Controller for CloudRun {
    fn name(&self) -> &'static str {
        "cloud-run"
    }

    fn interval(&self) -> Duration {
        EVALUATION
    }

    fn wakes_on_pressure(&self) -> bool {
        true
    }

    fn decide(&mut self, now: Mono, seen: &FleetSeen) -> u32 {
        let slots = f64::from(seen.slots);
        if seen.waiting > 0 {
            let needed = (f64::from(seen.in_flight + seen.waiting) / slots).ceil() as u32;
            self.on_demand.push_back((now, needed));
        }
        while self
            .on_demand
            .front()
            .is_some_and(|first| now.since(first.0) > WINDOW)
        {
            self.on_demand.pop_front();
        }
        if self.evaluated.is_none_or(|at| now.since(at) >= EVALUATION) {
            self.evaluated = Some(now);
            self.concurrency.put(now, seen.in_flight_seconds);
            let steady = self
                .concurrency
                .mean(WINDOW)
                .map(|mean| (mean / (slots * BUSY)).ceil());
            self.steady = steady.map_or(seen.desired, |steady| steady as u32);
        }
        let on_demand = self.on_demand.iter().map(|one| one.1).max();
        self.steady.max(on_demand.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::seen;
    use super::*;

    #[test]
    fn sixty_per_cent_over_a_minute_and_at_once_for_who_waits() {
        let mut controller = CloudRun::default();
        let mut desired = 0;
        for second in (0_u32..=60).step_by(5) {
            let look = FleetSeen {
                in_flight_seconds: 60.0 * f64::from(second),
                ..seen(10, 60)
            };
            desired = controller.decide(Mono::from_millis(u64::from(second) * 1000), &look);
        }
        assert_eq!(desired, 10);
        let waits = FleetSeen {
            waiting: 51,
            ..seen(10, 100)
        };
        assert_eq!(controller.decide(Mono::from_millis(61_000), &waits), 16);
        let mut look = seen(16, 60);
        look.in_flight_seconds = 60.0 * 121.0;
        assert_eq!(controller.decide(Mono::from_millis(121_000), &look), 16);
        assert_eq!(controller.decide(Mono::from_millis(121_500), &look), 10);
    }
}
