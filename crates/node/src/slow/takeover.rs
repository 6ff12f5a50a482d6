//! The state that a process needs from the predecessor it takes over from, and the objects it must reach.

use super::Node;
use crate::gate::GroupGate;
use crate::ids::ZoneId;
use crate::kept_health::KeptHealth;
use crate::shards::Zoned;
use crate::stats::GroupStats;
use crate::target::TargetView;
use core::sync::atomic::Ordering::Relaxed;
use forebay_health::Tracker;
use forebay_units::Mono;
use std::sync::Arc;

impl Node {
    /// The health of all probed targets.
    pub fn health_records(&self) -> Vec<KeptHealth> {
        let targets = self.groups.iter().flat_map(|(arn, group)| {
            let probed = group.targets.iter().filter(|(_, target)| group.is_probed(target));
            probed.map(|((id, port), target)| KeptHealth {
                group: arn.clone(),
                target: id.clone(),
                port: *port,
                record: target.tracker.record(),
            })
        });
        targets.collect()
    }

    /// Continues with the health that another process knew, so that targets need not pass a probe again. Publishes.
    pub fn take_health(&mut self, now: Mono, records: &[KeptHealth]) {
        for kept in records {
            let Some(group) = self.groups.get_mut(&kept.group) else {
                continue;
            };
            let key = (kept.target.clone(), kept.port);
            let is_probed = group
                .targets
                .get(&key)
                .is_some_and(|target| group.is_probed(target));
            // Without probes here, it could never be found unhealthy again.
            if let Some(target) = group.targets.get_mut(&key).filter(|_| is_probed) {
                target.tracker = Tracker::from_record(&kept.record);
                group.view = None;
                self.stale = true;
            }
        }
        let groups: std::collections::BTreeSet<&str> =
            records.iter().map(|kept| kept.group.as_str()).collect();
        for arn in groups {
            self.reweigh(now, arn);
        }
        self.publish(now);
    }

    /// A target as workers see it.
    pub fn target_view(&self, group_arn: &str, id: &str, port: u16) -> Option<Arc<TargetView>> {
        let group = self.groups.get(group_arn)?;
        group.targets.get(&(id.to_owned(), port))?.view.clone()
    }

    /// All targets as workers see them, with their groups' ARNs.
    pub fn target_views(&self) -> impl Iterator<Item = (&str, &Arc<TargetView>)> {
        self.groups.iter().flat_map(|(arn, group)| {
            let views = group.targets.values().filter_map(|target| target.view.as_ref());
            views.map(|view| (arn.as_str(), view))
        })
    }

    /// A group's gate, if it has one, with the group's counters.
    pub fn gate_of(&self, group_arn: &str) -> Option<(Arc<GroupGate>, Arc<Zoned<GroupStats>>)> {
        let group = self.groups.get(group_arn)?;
        Some((Arc::clone(group.gate.as_ref()?), Arc::clone(&group.counters)))
    }

    /// Whether a channel to an agent that should be open is not.
    pub fn lacks_channels(&self) -> bool {
        let gates = self.groups.values().filter_map(|group| group.gate.as_ref());
        let standing: usize = gates.map(|gate| gate.channels.active.load(Relaxed)).sum();
        standing < self.channels.len()
    }

    /// The number of a zone in this process.
    pub fn zone_number(&self, name: &str) -> Option<ZoneId> {
        let at = self.zones.iter().position(|zone| zone == name)?;
        Some(ZoneId(at as u64))
    }

    /// The name of a zone.
    pub fn zone_name(&self, zone: u64) -> Option<&str> {
        self.zones.get(usize::try_from(zone).ok()?).map(String::as_str)
    }
}
