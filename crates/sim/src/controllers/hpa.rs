//! A model of Kubernetes' horizontal pod autoscaler.

use super::target::TARGET;
use crate::fleet::{Controller, FleetSeen};
use core::time::Duration;
use forebay_units::Mono;
use std::collections::VecDeque;

pub(super) const SYNC: Duration = Duration::from_secs(15);
/// Age of metrics, in syncs.
const OLD: usize = 4;
const TOLERANCE: f64 = 0.1;
const STABILIZATION: Duration = Duration::from_secs(300);
/// Most pods that one sync adds, unless it at most doubles them.
const MORE_PODS: u32 = 4;

/// The default behaviour, which bounds recommendations.
#[derive(Clone, Debug, Default)]
pub(super) struct Behavior {
    recommended: VecDeque<(Mono, u32)>,
}

impl Behavior {
    /// The greatest recommendation of the last five minutes if that means fewer pods, and at most twice as many or four
    /// more. The first recommendation is the number of pods at the beginning.
    pub(super) fn bound(&mut self, now: Mono, current: u32, recommended: u32) -> u32 {
        if self.recommended.is_empty() {
            self.recommended.push_back((now, current));
        }
        self.recommended.push_back((now, recommended));
        while self
            .recommended
            .front()
            .is_some_and(|first| now.since(first.0) > STABILIZATION)
        {
            self.recommended.pop_front();
        }
        let most = (2 * current).max(current + MORE_PODS);
        if recommended >= current {
            return recommended.min(most);
        }
        let greatest = self.recommended.iter().map(|one| one.1).max();
        greatest.unwrap_or(recommended).min(current)
    }
}

/// Whether this ratio of the metric to its target is within the tolerance.
pub(super) fn is_tolerated(ratio: f64) -> bool {
    (ratio - 1.0).abs() <= TOLERANCE
}

/// The HPA (autoscaling/v2) on each pod's requests in flight.
///
/// Source: Kubernetes documentation, "Horizontal Pod Autoscaling", algorithm details and default behaviour: sync each 15 s,
/// tolerance 0.1, up by the greater of 100 per cent and 4 pods each 15 s, down after a stabilization of 300 s. Metrics are
/// 60 s old, which is common in metrics pipelines. Pods without a metric count as idle when it scales out, and as at their
/// target when it scales in.
///
/// A model. It leaves out readiness delays of the CPU metric and pods that are being deleted.
#[derive(Clone, Debug, Default)]
pub struct KubernetesHpa {
    /// Mean requests in flight since the sync before, over all pods, and the number of ready pods; the oldest first.
    metrics: VecDeque<(f64, u32)>,
    sum: f64,
    behavior: Behavior,
}

impl KubernetesHpa {
    fn recommend(&self, seen: &FleetSeen) -> u32 {
        let pods = seen.desired;
        let (Some(&(in_flight, measured)), true) = (self.metrics.front(), self.metrics.len() > OLD) else {
            return pods;
        };
        let target = f64::from(seen.slots) * TARGET;
        let all = f64::from(pods) * target;
        if measured == 0 || pods == 0 {
            return pods;
        }
        // Metrics of pods that no longer exist are missing as well.
        let in_flight = in_flight * f64::from(measured.min(pods)) / f64::from(measured);
        let missing = pods.saturating_sub(measured);
        let ratio = in_flight / (f64::from(pods - missing) * target);
        if is_tolerated(ratio) {
            return pods;
        }
        let rebalanced = if ratio > 1.0 {
            in_flight / all
        } else {
            (in_flight + f64::from(missing) * target) / all
        };
        if is_tolerated(rebalanced) || (ratio > 1.0) != (rebalanced > 1.0) {
            return pods;
        }
        (rebalanced * f64::from(pods) - 1e-9).ceil() as u32
    }
}

impl Controller for KubernetesHpa {
    fn name(&self) -> &'static str {
        "kubernetes-hpa"
    }

    fn interval(&self) -> Duration {
        SYNC
    }

    fn decide(&mut self, now: Mono, seen: &FleetSeen) -> u32 {
        let mean = (seen.in_flight_seconds - self.sum) / SYNC.as_secs_f64();
        self.sum = seen.in_flight_seconds;
        self.metrics.push_back((mean, seen.ready));
        if self.metrics.len() > OLD + 1 {
            self.metrics.pop_front();
        }
        let recommended = self.recommend(seen);
        self.behavior.bound(now, seen.desired, recommended)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::seen;
    use super::*;

    fn sync(controller: &mut KubernetesHpa, number: u64, pods: u32, sum: f64) -> u32 {
        let look = FleetSeen {
            in_flight_seconds: sum,
            ..seen(pods, 0)
        };
        controller.decide(Mono::from_millis(number * 15_000), &look)
    }

    #[test]
    fn it_goes_by_what_was_a_minute_ago_and_orders_nothing_twice() {
        let mut controller = KubernetesHpa::default();
        let mut pods = 10;
        let mut wanted = Vec::new();
        for number in 0..8 {
            // All 100 slots are busy from the first sync on.
            pods = sync(&mut controller, number, pods, 1_500.0 * number as f64);
            wanted.push(pods);
        }
        // Metrics of ten pods do not make it order more than fifteen.
        assert_eq!(wanted, [10, 10, 10, 10, 10, 15, 15, 15]);
    }

    #[test]
    fn up_is_bounded_and_down_waits_for_five_minutes() {
        let mut behavior = Behavior::default();
        assert_eq!(behavior.bound(Mono::ZERO, 2, 50), 6);
        assert_eq!(behavior.bound(Mono::from_millis(15_000), 6, 50), 12);
        assert_eq!(behavior.bound(Mono::from_millis(60_000), 50, 5), 50);
        assert_eq!(behavior.bound(Mono::from_millis(310_000), 50, 5), 50);
        assert_eq!(behavior.bound(Mono::from_millis(330_000), 50, 5), 5);
    }
}
