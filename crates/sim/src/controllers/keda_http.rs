//! A model of KEDA with its HTTP add-on.

use super::hpa::{Behavior, SYNC, is_tolerated};
use super::target::TARGET;
use crate::fleet::{Controller, FleetSeen};
use core::time::Duration;
use forebay_units::Mono;

/// Interval at which the scaler asks the interceptors for their requests.
const POLL: Duration = Duration::from_millis(500);

/// An HTTPScaledObject by concurrency: an HPA whose metric is all requests that the interceptor holds or has passed on.
///
/// Source: kedacore/http-add-on: the scaler polls each 500 ms; from one instance on, an HPA of type AverageValue with
/// Kubernetes' default behaviour decides each 15 s; from zero the first request starts one at once. The target is 70 per
/// cent of an instance's slots, instead of the default of 100 requests.
///
/// A model. It leaves out KEDA's cool-down to zero, and that the interceptor holds requests only while nothing is ready:
/// here all controllers have the same queue.
#[derive(Clone, Debug, Default)]
pub struct KedaHttp {
    behavior: Behavior,
    next_sync: Option<Mono>,
}

impl Controller for KedaHttp {
    fn name(&self) -> &'static str {
        "keda-http"
    }

    fn interval(&self) -> Duration {
        POLL
    }

    fn decide(&mut self, now: Mono, seen: &FleetSeen) -> u32 {
        let requests = f64::from(seen.in_flight + seen.waiting);
        if seen.desired == 0 {
            return u32::from(requests > 0.0);
        }
        let sync = *self.next_sync.get_or_insert(now);
        if now < sync {
            return seen.desired;
        }
        self.next_sync = Some(sync + SYNC);
        let target = f64::from(seen.slots) * TARGET;
        let recommended = if is_tolerated(requests / (target * f64::from(seen.desired))) {
            seen.desired
        } else {
            (requests / target - 1e-9).ceil() as u32
        };
        // Whether the last instance goes is up to KEDA's own cool-down.
        self.behavior.bound(now, seen.desired, recommended.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::seen;
    use super::*;

    #[test]
    fn it_counts_who_waits_and_decides_each_fifteen_seconds() {
        let mut controller = KedaHttp::default();
        let waiting = FleetSeen {
            waiting: 68,
            ..seen(10, 100)
        };
        assert_eq!(
            controller.decide(Mono::ZERO, &waiting),
            20,
            "24, and at most twice as many"
        );
        assert_eq!(controller.decide(Mono::from_millis(14_500), &seen(10, 500)), 10);
        assert_eq!(controller.decide(Mono::from_millis(15_000), &seen(20, 160)), 23);
        assert_eq!(controller.decide(Mono::from_millis(30_000), &seen(20, 132)), 20);
        assert_eq!(controller.decide(Mono::from_millis(30_500), &seen(0, 0)), 0);
        assert_eq!(controller.decide(Mono::from_millis(31_000), &seen(0, 1)), 1);
    }
}
