//! Target tracking: sets the capacity that brings a metric, measured per unit of capacity, to its target.

use crate::group::{Group, Proposal, Why};

/// A target tracking policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TargetTracking {
    /// The target of the metric, above zero.
    pub target: f64,
    /// Whether this policy must not scale in.
    pub disable_scale_in: bool,
}

/// Tolerance: a number that exceeds a whole number only by a rounding error counts as that number.
const HAIR: f64 = 1e-9;

impl TargetTracking {
    /// The capacity at which the metric would meet its target, rounded up: 1.5 more becomes two more, 1.5 fewer becomes
    /// one fewer. `capacity` is what the metric was measured over.
    pub fn fitting(&self, capacity: u32, metric: f64) -> u32 {
        let exact = f64::from(capacity) * metric / self.target;
        // The cast saturates.
        (exact - HAIR * exact.max(1.0)).ceil().max(0.0) as u32
    }

    /// The proposal after the metric has been above its target. Capacity ordered already is not ordered again, and is
    /// never cancelled here.
    pub fn scale_out(&self, group: &Group, metric: f64) -> Proposal {
        let stays = |why| Proposal {
            desired: group.desired,
            why,
        };
        if metric.is_nan() {
            return stays(Why::NoMetric);
        }
        let (wanted, why) = match group.in_service {
            // A metric per unit of nothing is undefined; one instance is the least that helps.
            0 if group.warming == 0 => (1, Why::FromZero),
            measured => (self.fitting(measured, metric), Why::AboveTarget),
        };
        if wanted <= group.desired {
            return stays(Why::Enough);
        }
        group.propose(wanted, why)
    }

    /// The proposal after the metric has been below its target for long.
    pub fn scale_in(&self, group: &Group, metric: f64) -> Proposal {
        let stays = |why| Proposal {
            desired: group.desired,
            why,
        };
        if self.disable_scale_in {
            return stays(Why::ScaleInDisabled);
        }
        // The metric is measured over warmed-up capacity only. What warms up may lower it further, and must not be
        // removed by that.
        if group.warming > 0 {
            return stays(Why::Warming);
        }
        if metric.is_nan() {
            return stays(Why::NoMetric);
        }
        let wanted = self.fitting(group.in_service, metric);
        if wanted >= group.desired {
            return stays(Why::Enough);
        }
        group.propose(wanted, Why::BelowTarget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HUNDRED: TargetTracking = TargetTracking {
        target: 100.0,
        disable_scale_in: false,
    };

    fn group(in_service: u32, warming: u32) -> Group {
        Group {
            minimum: 1,
            maximum: 20,
            desired: in_service + warming,
            in_service,
            warming,
        }
    }

    #[test]
    fn capacity_is_rounded_against_having_too_little() {
        // In service, metric, result.
        for (capacity, metric, wanted) in [
            (10, 150.0, 15),
            (10, 115.0, 12),
            (10, 100.0, 10),
            (10, 85.0, 9),
            (10, 80.0, 8),
            (3, 110.0, 4),
            (7, 30.0, 3),
            (10, 0.0, 0),
            // 0.1 x 3 / 0.3 is slightly above one in floating point.
            (3, 100.0 / 3.0, 1),
            (u32::MAX, 1e9, u32::MAX),
        ] {
            assert_eq!(HUNDRED.fitting(capacity, metric), wanted, "{capacity} {metric}");
        }
    }

    #[test]
    fn every_verdict_has_its_reason() {
        let out = |group: &Group, metric| HUNDRED.scale_out(group, metric);
        let away = |group: &Group, metric| HUNDRED.scale_in(group, metric);
        let proposal = |desired, why| Proposal { desired, why };
        assert_eq!(out(&group(10, 0), 150.0), proposal(15, Why::AboveTarget));
        // Five are on their way: the same metric over the ten asks for nothing more.
        assert_eq!(out(&group(10, 5), 150.0), proposal(15, Why::Enough));
        assert_eq!(out(&group(10, 5), 180.0), proposal(18, Why::AboveTarget));
        assert_eq!(out(&group(10, 0), 300.0), proposal(20, Why::AtMaximum));
        assert_eq!(out(&group(0, 0), 0.0), proposal(1, Why::FromZero));
        assert_eq!(out(&group(0, 1), 500.0), proposal(1, Why::Enough));
        assert_eq!(out(&group(10, 0), f64::NAN), proposal(10, Why::NoMetric));
        assert_eq!(away(&group(10, 0), 85.0), proposal(9, Why::BelowTarget));
        assert_eq!(away(&group(10, 1), 10.0), proposal(11, Why::Warming));
        assert_eq!(away(&group(10, 0), 0.0), proposal(1, Why::AtMinimum));
        assert_eq!(away(&group(10, 0), 99.0), proposal(10, Why::Enough));
        let only_out = TargetTracking {
            disable_scale_in: true,
            ..HUNDRED
        };
        assert_eq!(only_out.scale_in(&group(10, 0), 1.0).why, Why::ScaleInDisabled);
    }

    proptest! {
        /// Whatever is measured: scaling out never removes, scaling in never adds, both stay within the group's bounds,
        /// and the proposal brings the metric to its target unless a bound forbids it.
        #[test]
        fn proposals_are_within_bounds_and_enough(
            in_service in 0_u32..50, warming in 0_u32..20, minimum in 0_u32..10, more in 0_u32..60, metric in 0.0..1000.0_f64,
        ) {
            let maximum = minimum + more;
            let desired = (in_service + warming).clamp(minimum, maximum);
            let group = Group { minimum, maximum, desired, in_service, warming };
            let (out, away) = (HUNDRED.scale_out(&group, metric), HUNDRED.scale_in(&group, metric));
            prop_assert!(out.desired >= desired && away.desired <= desired);
            for proposal in [out, away] {
                prop_assert!((minimum..=maximum).contains(&proposal.desired));
            }
            let load = f64::from(in_service) * metric;
            prop_assert!(out.desired == maximum || f64::from(out.desired) * 100.0 >= load - 1e-3);
            if warming == 0 && away.desired < desired {
                prop_assert!(f64::from(away.desired) * 100.0 >= load - 1e-3);
            }
        }
    }
}
