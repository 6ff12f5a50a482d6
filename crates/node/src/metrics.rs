//! What a node shows of itself, read in one go: figures by name, owned, so that whoever shows them holds nobody up.

use crate::distribution::Distribution;
use crate::gate::ChannelMetrics;
use crate::stats::{GroupCounts, ListenerCounts, LoadBalancerCounts, TargetCounts};
use forebay_admission::Figures;
use forebay_balance::Weight;
use forebay_units::Wall;

/// All that a node shows of itself. Within a list, the order is that of ARNs, ids and zones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeMetrics {
    /// Load balancers.
    pub load_balancers: Vec<LoadBalancerMetrics>,
    /// Listeners.
    pub listeners: Vec<ListenerMetrics>,
    /// Target groups.
    pub target_groups: Vec<TargetGroupMetrics>,
}

/// What was counted of something at a load balancer's node: in its zone.
#[derive(Clone, Debug, PartialEq)]
pub struct ByZone<T> {
    /// The zone's name.
    pub zone: String,
    /// What was counted there since the thing was made.
    pub counts: T,
}

/// Of a load balancer.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadBalancerMetrics {
    /// Its ARN.
    pub arn: String,
    /// What each of its nodes counted, those that it has no longer too.
    pub nodes: Vec<ByZone<LoadBalancerCounts>>,
}

/// Of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerMetrics {
    /// Its ARN.
    pub arn: String,
    /// Its load balancer's ARN.
    pub load_balancer: String,
    /// What each node counted of it.
    pub nodes: Vec<ByZone<ListenerCounts>>,
    /// The certificates that it chooses from.
    pub certificates: Vec<CertificateMetrics>,
}

/// Of a certificate of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateMetrics {
    /// Its ARN.
    pub arn: String,
    /// Until when it is valid.
    pub not_after: Wall,
}

/// Of a target group.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetGroupMetrics {
    /// Its ARN.
    pub arn: String,
    /// The ARN of the load balancer that forwards to it, if one does: no second one may.
    pub load_balancer: Option<String>,
    /// What each node of its load balancer counted of it.
    pub nodes: Vec<ByZone<GroupCounts>>,
    /// Its targets.
    pub targets: Vec<TargetMetrics>,
    /// Its zones with cross-zone off, else `all` alone; none before its first snapshot.
    pub zones: Vec<ZoneMetrics>,
    /// Its slots and its queue, if it is limited or its requests may wait.
    pub gate: Option<GateMetrics>,
}

/// Of a target.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetMetrics {
    /// Its id.
    pub id: String,
    /// The port it was registered with.
    pub port: u16,
    /// Its zone, if it has one.
    pub zone: Option<String>,
    /// It counts for HealthyHostCount.
    pub is_healthy: bool,
    /// It counts for UnHealthyHostCount: its checks have failed.
    pub is_unhealthy: bool,
    /// It behaves unlike its peers.
    pub is_anomalous: bool,
    /// Its weight is cut for that.
    pub is_mitigated: bool,
    /// What slow start and mitigation leave it.
    pub weight: Weight,
    /// Requests under way.
    pub in_flight: u32,
    /// What was counted since it was registered.
    pub counts: TargetCounts,
    /// How long its successes took.
    pub latencies: Distribution,
}

/// Of a zone of a target group.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneMetrics {
    /// Its name.
    pub zone: String,
    /// Enough targets are healthy for names to lead here.
    pub is_in_dns: bool,
    /// Healthy targets alone get the traffic: it does not fail open.
    pub is_routed_to_healthy: bool,
}

/// Of a limited group's gate.
#[derive(Clone, Debug, PartialEq)]
pub struct GateMetrics {
    /// Of slots and of the queue.
    pub figures: Figures,
    /// Of control channels, where agents count slots.
    pub channels: Option<ChannelMetrics>,
}
