//! Reads the metrics of a node.

use super::{Group, Node};
use crate::gate::GroupGate;
use crate::ids::ZoneId;
use crate::metrics::{
    ByZone, CertificateMetrics, GateMetrics, ListenerMetrics, LoadBalancerMetrics, NodeMetrics,
    TargetGroupMetrics, TargetMetrics, ZoneMetrics,
};
use crate::shards::Shards;
use crate::snapshot::Eligible;
use crate::stats::{BalancerStats, GroupStats, ListenerStats};
use core::sync::atomic::Ordering::Relaxed;
use forebay_health::RoutingReason;
use forebay_model::{Action, HealthState, ListenerBlueprint};
use forebay_units::Wall;
use std::collections::BTreeMap;

impl Node {
    /// The metrics now.
    pub fn metrics(&self) -> NodeMetrics {
        let users = self.users();
        NodeMetrics {
            load_balancers: self
                .balancers
                .iter()
                .map(|(arn, balancer)| LoadBalancerMetrics {
                    arn: arn.clone(),
                    nodes: self.by_zone(balancer.stats.zones(), Shards::<BalancerStats>::sum),
                })
                .collect(),
            listeners: self
                .listeners
                .iter()
                .map(|(arn, listener)| ListenerMetrics {
                    arn: arn.clone(),
                    load_balancer: listener.balancer.blueprint.arn.clone(),
                    nodes: self.by_zone(listener.stats.zones(), Shards::<ListenerStats>::sum),
                    certificates: certificates(&listener.blueprint),
                })
                .collect(),
            target_groups: self
                .groups
                .iter()
                .map(|(arn, group)| TargetGroupMetrics {
                    arn: arn.clone(),
                    load_balancer: users.get(arn.as_str()).map(|&user| user.to_owned()),
                    nodes: self.by_zone(group.counters.zones(), Shards::<GroupStats>::sum),
                    targets: group.target_metrics().collect(),
                    zones: self.zone_metrics(group),
                    gate: group.gate.as_deref().map(gate_metrics),
                })
                .collect(),
        }
    }

    fn by_zone<'a, T: 'a, Sum>(
        &self,
        zones: impl Iterator<Item = (ZoneId, &'a Shards<T>)>,
        sum: fn(&Shards<T>) -> Sum,
    ) -> Vec<ByZone<Sum>> {
        let mut found: Vec<ByZone<Sum>> = zones
            .map(|(zone, shards)| ByZone {
                zone: self.zones.get(zone.0 as usize).cloned().unwrap_or_default(),
                counts: sum(shards),
            })
            .collect();
        found.sort_by(|one, other| one.zone.cmp(&other.zone));
        found
    }

    /// For each group that rules forward to, the ARN of the load balancer that does.
    fn users(&self) -> BTreeMap<&str, &str> {
        let mut users = BTreeMap::new();
        for listener in self.listeners.values() {
            for rule in &listener.blueprint.rules {
                let Action::Forward(forward) = &rule.action else {
                    continue;
                };
                for group in &forward.groups {
                    users.insert(group.group_arn.as_str(), listener.balancer.blueprint.arn.as_str());
                }
            }
        }
        users
    }

    fn zone_metrics(&self, group: &Group) -> Vec<ZoneMetrics> {
        let Some(view) = group.view.as_deref() else {
            return Vec::new();
        };
        let of = |zone: &str, eligible: &Eligible| ZoneMetrics {
            zone: zone.to_owned(),
            is_in_dns: eligible.in_dns,
            is_routed_to_healthy: eligible.reason == RoutingReason::EnoughHealthy,
        };
        match &view.zones {
            None => vec![of("all", &view.eligible)],
            Some(zones) => zones
                .iter()
                .map(|(zone, eligible)| of(&self.zones[zone.0 as usize], eligible))
                .collect(),
        }
    }
}

impl Group {
    fn target_metrics(&self) -> impl Iterator<Item = TargetMetrics> {
        self.targets.iter().map(|((id, port), target)| {
            let stats = &target.stats;
            let counts = stats.totals.sum();
            TargetMetrics {
                id: id.clone(),
                port: *port,
                zone: target.blueprint.zone.clone(),
                is_healthy: self.counts_as_healthy(target),
                is_unhealthy: self.is_probed(target)
                    && target.tracker.health().state == HealthState::Unhealthy,
                is_anomalous: target.peers.is_anomalous(),
                is_mitigated: target.peers.is_mitigated(),
                weight: stats.weight(),
                in_flight: stats.in_flight.load(Relaxed),
                latencies: stats.latencies(counts.latency_us),
                counts,
            }
        })
    }
}

/// Each certificate once: the default one may also be in the listener's list.
fn certificates(listener: &ListenerBlueprint) -> Vec<CertificateMetrics> {
    let mut found: Vec<CertificateMetrics> = Vec::new();
    for certificate in listener.tls.iter().flat_map(|tls| &tls.certificates) {
        if !found.iter().any(|known| known.arn == certificate.arn) {
            found.push(CertificateMetrics {
                arn: certificate.arn.clone(),
                not_after: Wall::from_seconds(certificate.not_after),
            });
        }
    }
    found
}

fn gate_metrics(gate: &GroupGate) -> GateMetrics {
    let figures = gate.figures();
    GateMetrics {
        channels: gate.channel_metrics(&figures),
        figures,
    }
}
