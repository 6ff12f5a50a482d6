//! Builds snapshots from the node's state.

use super::{Node, gates, zone_enabled};
use crate::ids::ZoneId;
use crate::slow::Output;
use crate::snapshot::{Eligible, GroupView, ListenerView, Named, NodeView, Snapshot};
use crate::target::TargetView;
use core::net::IpAddr;
use forebay_health::{GroupHealth, Routing};
use forebay_model::BalancerBlueprint;
use forebay_units::Mono;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

impl Node {
    /// Publishes a snapshot if anything in it has changed.
    pub(super) fn publish(&mut self, now: Mono) {
        if !self.stale {
            return;
        }
        self.stale = false;
        self.version += 1;
        // Unchanged groups keep their views: a change in one group must not cost a new view of every group.
        let groups: Vec<String> = self
            .groups
            .iter()
            .filter(|(_, group)| group.view.is_none())
            .map(|(arn, _)| arn.clone())
            .collect();
        for arn in groups {
            let view = self.group_view(&arn);
            // Before the snapshot is out: a request that is routed by it must find the targets at the gate.
            if let Some(view) = &view {
                gates::arrange(now, view);
            }
            if let Some(group) = self.groups.get_mut(&arn) {
                group.view = view.map(Arc::new);
            }
        }
        let mut groups: Vec<_> = self
            .groups
            .values()
            .filter_map(|group| group.view.clone())
            .collect();
        groups.sort_by_key(|group| group.id);
        let listeners = self.listener_views();
        let snapshot = Arc::new(Snapshot {
            version: self.version,
            listeners,
            groups,
            secret: self.secret,
            tells_clients: self
                .groups
                .values()
                .any(|group| group.blueprint.settings.proxy_protocol),
        });
        self.outputs.push_back(Output::Publish(snapshot));
    }

    fn listener_views(&mut self) -> Vec<Arc<ListenerView>> {
        let mut ports: BTreeMap<u16, usize> = BTreeMap::new();
        let mut views: Vec<ListenerView> = Vec::new();
        for (balancer, arns) in &self.order.clone() {
            let zones: Vec<NodeView> = balancer
                .nodes
                .iter()
                .map(|node| NodeView {
                    zone: self.zone(&node.zone),
                    address: node.address,
                    exposed: false,
                })
                .collect();
            for listener in arns.iter().filter_map(|arn| self.listeners.get(arn)) {
                let mut view = ListenerView {
                    id: listener.id,
                    blueprint: Arc::clone(&listener.blueprint),
                    nodes: zones.clone(),
                    named: BTreeMap::new(),
                    balancer: Arc::clone(&listener.balancer),
                    stats: Arc::clone(&listener.stats),
                    rules: listener.rules.clone(),
                    permit_issuer: self.permit_issuer.clone(),
                };
                if self.permit_issuer.is_none()
                    && let Some(first) = zones.first()
                {
                    expose(
                        &mut ports,
                        &mut views,
                        &mut view,
                        (first.zone, &self.exposed),
                        balancer,
                    );
                }
                views.push(view);
            }
        }
        views.sort_by_key(|view| view.id);
        views.into_iter().map(Arc::new).collect()
    }

    fn group_view(&mut self, arn: &str) -> Option<GroupView> {
        let zone_names = self.groups.get(arn)?.blueprint.zones.clone();
        let zone_ids: Vec<ZoneId> = zone_names.iter().map(|zone| self.zone(zone)).collect();
        let group = self.groups.get(arn)?;
        // Shown in metrics from now on, though nothing was counted yet.
        zone_ids.iter().for_each(|&zone| _ = group.counters.zone(zone));
        let mut targets = Vec::new();
        // Index, zone and health of each target that may get traffic, and whether it may while the group fails open.
        let mut candidates = Vec::new();
        for target in group.targets.values() {
            let Some(view) = &target.view else { continue };
            if !target.blueprint.draining && zone_enabled(&group.blueprint, &target.blueprint) {
                let index = u32::try_from(targets.len()).unwrap_or(u32::MAX);
                let healthy = target.tracker.is_healthy() || !group.blueprint.health.enabled;
                // Where requests may wait, they also wait for a target that has never passed: it may still be starting.
                let may_open = healthy || target.tracker.has_passed() || !group.lets_wait();
                candidates.push((index, target.blueprint.zone.as_deref(), healthy, may_open));
            }
            targets.push(Arc::clone(view));
        }
        let settings = &group.blueprint.settings;
        let eligible = |wanted: Option<&str>| {
            let of_zone = || {
                candidates
                    .iter()
                    // A target registered for `all` zones counts in each of them.
                    .filter(|entry| wanted.is_none() || entry.1.is_none() || entry.1 == wanted)
            };
            let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            let health = GroupHealth {
                registered: count(of_zone().count()),
                healthy: count(of_zone().filter(|entry| entry.2).count()),
                minimum_count: settings.routing_minimum_count,
                minimum_percent: settings.routing_minimum_percent,
            };
            let (routing, reason) = health.routing();
            let targets = of_zone()
                .filter(|entry| entry.2 || (routing == Routing::All && entry.3))
                .map(|entry| entry.0)
                .collect();
            Eligible {
                targets,
                reason,
                in_dns: health.stays_in_dns(settings.dns_minimum_count, settings.dns_minimum_percent),
            }
        };
        let zones = (!settings.cross_zone).then(|| {
            zone_names
                .iter()
                .zip(&zone_ids)
                .map(|(name, &id)| (id, eligible(Some(name))))
                .collect()
        });
        let view = GroupView {
            id: group.id,
            blueprint: Arc::clone(&group.blueprint),
            load_index: Arc::clone(&group.load_index),
            counters: Arc::clone(&group.counters),
            stats: targets.iter().map(|target| Arc::clone(&target.stats)).collect(),
            targets,
            eligible: eligible(None),
            gate: group.gate.clone(),
            zones,
        };
        arrange(&view);
        Some(view)
    }
}

/// Configures the group's load index for its algorithm.
fn arrange(view: &GroupView) {
    let needs = view.settings().algorithm.needs();
    view.load_index.set_timed(needs.latencies);
    // Other algorithms must not pay for keeping an order.
    if !needs.load_order {
        view.load_index.dissolve();
        return;
    }
    let members = |eligible: &Eligible| {
        let targets = eligible.targets.iter();
        let mut members: Vec<Arc<TargetView>> = targets
            .filter_map(|&index| view.targets.get(index as usize).cloned())
            .collect();
        members.sort_unstable_by_key(|member| member.id);
        members
    };
    let sides = match &view.zones {
        None => vec![(None, members(&view.eligible))],
        Some(zones) => zones
            .iter()
            .map(|(zone, eligible)| (Some(*zone), members(eligible)))
            .collect(),
    };
    view.load_index.arrange(sides.into_iter().collect());
}

/// The first load balancer that uses a port is reached at exposed addresses too. Others with the same protocol are
/// reached there by their names.
fn expose(
    ports: &mut BTreeMap<u16, usize>,
    views: &mut [ListenerView],
    view: &mut ListenerView,
    (zone, exposed): (ZoneId, &[IpAddr]),
    balancer: &BalancerBlueprint,
) {
    let named = Named {
        listener: view.id,
        zone,
    };
    match ports.entry(view.blueprint.port) {
        Entry::Vacant(port) => {
            port.insert(views.len());
            view.nodes.extend(exposed.iter().map(|&address| NodeView {
                zone,
                address,
                exposed: true,
            }));
            name(&mut view.named, balancer, named);
        }
        Entry::Occupied(first) => {
            let first = views
                .get_mut(*first.get())
                .filter(|first| first.blueprint.protocol == view.blueprint.protocol);
            if let Some(first) = first {
                name(&mut first.named, balancer, named);
            }
        }
    }
}

/// The first load balancer with a name keeps it.
fn name(names: &mut BTreeMap<String, Named>, balancer: &BalancerBlueprint, named: Named) {
    for name in core::iter::once(&balancer.dns_name).chain(&balancer.names) {
        names.entry(name.to_ascii_lowercase()).or_insert(named);
    }
}
