//! The metrics of a node, read in one go: owned values by name, so that showing them blocks nobody.

use crate::distribution::Distribution;
use crate::gate::ChannelMetrics;
use crate::stats::{GroupCounts, ListenerCounts, LoadBalancerCounts, TargetCounts};
use forebay_admission::Figures;
use forebay_balance::Weight;
use forebay_units::Wall;

/// All metrics of a node. Lists are ordered by ARN, id and zone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeMetrics {
    /// Load balancers.
    pub load_balancers: Vec<LoadBalancerMetrics>,
    /// Listeners.
    pub listeners: Vec<ListenerMetrics>,
    /// Target groups.
    pub target_groups: Vec<TargetGroupMetrics>,
}

/// Counts of something at a load balancer's node, by the node's zone.
#[derive(Clone, Debug, PartialEq)]
pub struct ByZone<T> {
    /// The zone's name.
    pub zone: String,
    /// Counts since the thing was made.
    pub counts: T,
}

/// Metrics of a load balancer.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadBalancerMetrics {
    /// Its ARN.
    pub arn: String,
    /// Counts of each of its nodes, former ones included.
    pub nodes: Vec<ByZone<LoadBalancerCounts>>,
}

/// Metrics of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerMetrics {
    /// Its ARN.
    pub arn: String,
    /// Its load balancer's ARN.
    pub load_balancer: String,
    /// Counts of each node.
    pub nodes: Vec<ByZone<ListenerCounts>>,
    /// The certificates that it chooses from.
    pub certificates: Vec<CertificateMetrics>,
}

/// Metrics of a listener's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateMetrics {
    /// Its ARN.
    pub arn: String,
    /// When it expires.
    pub not_after: Wall,
}

/// Metrics of a target group.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetGroupMetrics {
    /// Its ARN.
    pub arn: String,
    /// The ARN of the load balancer that forwards to it, if any; there is never a second one.
    pub load_balancer: Option<String>,
    /// Counts of each node of its load balancer.
    pub nodes: Vec<ByZone<GroupCounts>>,
    /// Its targets.
    pub targets: Vec<TargetMetrics>,
    /// Its zones with cross-zone off, otherwise only `all`; empty before its first snapshot.
    pub zones: Vec<ZoneMetrics>,
    /// Its slots and its queue, if it has a limit or requests may wait.
    pub gate: Option<GateMetrics>,
}

/// Metrics of a target.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetMetrics {
    /// Its id.
    pub id: String,
    /// The port it was registered with.
    pub port: u16,
    /// Its zone, if it has one.
    pub zone: Option<String>,
    /// Whether it counts as healthy (HealthyHostCount).
    pub is_healthy: bool,
    /// Whether it counts as unhealthy (UnHealthyHostCount): its checks have failed.
    pub is_unhealthy: bool,
    /// Whether it is anomalous: it fails more, or is slower, than its peers.
    pub is_anomalous: bool,
    /// Whether its weight is reduced for that.
    pub is_mitigated: bool,
    /// Its weight after slow start and mitigation.
    pub weight: Weight,
    /// Requests in flight.
    pub in_flight: u32,
    /// Counts since it was registered.
    pub counts: TargetCounts,
    /// Latencies of its successes.
    pub latencies: Distribution,
}

/// Metrics of a zone of a target group.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneMetrics {
    /// Its name.
    pub zone: String,
    /// Whether enough targets are healthy for DNS names to resolve to it.
    pub is_in_dns: bool,
    /// Whether only healthy targets get traffic, that is, it does not fail open.
    pub is_routed_to_healthy: bool,
}

/// Metrics of a limited group's gate.
#[derive(Clone, Debug, PartialEq)]
pub struct GateMetrics {
    /// Of slots and of the queue.
    pub figures: Figures,
    /// Of control channels, where agents count the slots.
    pub channels: Option<ChannelMetrics>,
}
