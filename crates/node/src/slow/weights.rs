//! Weights of targets: slow start (user guide for Application Load Balancers, "Slow start mode") times anomaly
//! mitigation.

use super::{Group, Node, Target, TargetKey};
use forebay_balance::{Ramp, Weight};
use forebay_units::Mono;

impl Target {
    /// The weight of its slow start now; `None` outside of one.
    fn ramped(&self, now: Mono, group: &Group) -> Option<Weight> {
        self.ramp?.weight(now, group.blueprint.settings.slow_start)
    }
}

impl Group {
    /// Whether any target is healthy and not in slow start. Only then do others start slowly.
    pub(super) fn has_steady(&self, now: Mono) -> bool {
        self.targets.values().any(|target| self.is_steady(now, target))
    }

    fn has_steady_besides(&self, now: Mono, key: &TargetKey) -> bool {
        let mut others = self.targets.iter().filter(|(other, _)| *other != key);
        others.any(|(_, target)| self.is_steady(now, target))
    }

    fn is_steady(&self, now: Mono, target: &Target) -> bool {
        target.tracker.is_healthy() && !target.blueprint.draining && target.ramped(now, self).is_none()
    }

    /// A target has become healthy or unhealthy: starts or ends its slow start.
    pub(super) fn ramp(&mut self, now: Mono, key: &TargetKey) {
        let Some(target) = self.targets.get(key) else {
            return;
        };
        let healthy = target.tracker.is_healthy();
        let starts_slowly = !self.blueprint.settings.slow_start.is_zero();
        // With nobody to carry the traffic meanwhile, a slow start would only leave requests without a target's full
        // capacity.
        let begins = healthy && starts_slowly && !target.founder && self.has_steady_besides(now, key);
        if let Some(target) = self.targets.get_mut(key) {
            target.ramp = begins.then_some(Ramp { began: now });
            // Only its first slow start is skipped, not one after it was unhealthy.
            target.founder &= !healthy;
        }
    }
}

impl Node {
    /// Sets the weights of a group's targets.
    pub(super) fn reweigh(&mut self, now: Mono, arn: &str) {
        let Some(group) = self.groups.get(arn) else {
            return;
        };
        let mut ramping = false;
        let mut weighted = false;
        let largest = group
            .targets
            .values()
            .map(|target| target.blueprint.weight.max(1))
            .max();
        let largest = f64::from(largest.unwrap_or(1));
        for target in group.targets.values() {
            let ramped = target.ramped(now, group);
            ramping |= ramped.is_some();
            // Relative to the largest, because a weight is a fraction of a full share.
            let own = Weight::of(f64::from(target.blueprint.weight.max(1)) / largest);
            let weight = ramped
                .unwrap_or(Weight::FULL)
                .times(target.peers.weight())
                .times(own);
            weighted |= weight < Weight::FULL;
            if weight < Weight::FULL {
                // Before the weight itself, so that no worker picks by the old one.
                group.load_index.set_weighted(true);
            }
            target.stats.weigh(weight);
        }
        group.load_index.set_weighted(weighted);
        if ramping {
            let look = now + Ramp::step(group.blueprint.settings.slow_start);
            self.ramp_look = Some(self.ramp_look.map_or(look, |known| known.min(look)));
        }
    }

    /// Moves on all slow starts.
    pub(super) fn look_at_ramps(&mut self, now: Mono) {
        // `reweigh` sets it again while any target still ramps.
        self.ramp_look = None;
        let ramping = |group: &&Group| group.targets.values().any(|target| target.ramp.is_some());
        let arns: Vec<String> = self
            .groups
            .values()
            .filter(ramping)
            .map(|group| group.blueprint.arn.clone())
            .collect();
        for arn in arns {
            self.reweigh(now, &arn);
            let Some(group) = self.groups.get_mut(&arn) else {
                continue;
            };
            let duration = group.blueprint.settings.slow_start;
            for target in group.targets.values_mut() {
                target.ramp = target.ramp.filter(|ramp| ramp.weight(now, duration).is_some());
            }
        }
    }
}
