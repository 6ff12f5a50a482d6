//! Elastic Load Balancing's records, as the store keeps them.

use crate::records::IpVersion;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use forebay_model::{Action, Condition, HealthCheck, Priority, Transform};
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The address type of load balancers whose IPv4 addresses are private.
pub const WITHOUT_PUBLIC_IPV4: &str = "dualstack-without-public-ipv4";

/// What kind of load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BalancerKind {
    /// Served by the data plane.
    Application,
    /// Stored and described; carries no traffic.
    Network,
    /// Stored and described; carries no traffic.
    Gateway,
}

impl BalancerKind {
    /// The API's word for it.
    pub fn word(self) -> &'static str {
        match self {
            BalancerKind::Application => "application",
            BalancerKind::Network => "network",
            BalancerKind::Gateway => "gateway",
        }
    }
}

/// One zone of a load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancerZone {
    /// Zone name.
    pub zone: String,
    /// Its subnet there.
    pub subnet_id: String,
    /// The node's IPv4 address; none for kinds that carry no traffic.
    pub address: Option<IpAddr>,
    /// The node's IPv6 address, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address6: Option<Ipv6Addr>,
    /// The address of its subnet that a network load balancer asked for (told only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_ipv4: Option<Ipv4Addr>,
    /// The same in the subnet's IPv6 network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
}

impl BalancerZone {
    /// The node's address of this version.
    pub fn node_address(&self, version: IpVersion) -> Option<IpAddr> {
        match version {
            IpVersion::V4 => self.address,
            IpVersion::V6 => self.address6.map(IpAddr::V6),
        }
    }

    /// The node's addresses, at most one of each version.
    pub fn node_addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let addresses = IpVersion::ALL.map(|version| self.node_address(version));
        addresses.into_iter().flatten()
    }

    /// The node has this address of its version now.
    pub(crate) fn take(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(_) => self.address = Some(address),
            IpAddr::V6(address) => self.address6 = Some(address),
        }
    }

    /// The node has none of this version any more.
    pub(crate) fn leave(&mut self, version: IpVersion) {
        match version {
            IpVersion::V4 => self.address = None,
            IpVersion::V6 => self.address6 = None,
        }
    }
}

/// A capacity reservation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Units reserved; none after a reset.
    pub units: Option<u32>,
    /// When it was last changed.
    pub modified: Wall,
    /// When it was decreased, in the last day.
    pub decreases: Vec<Wall>,
}

/// A load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// Its ARN.
    pub arn: String,
    /// Unique in its region.
    pub name: String,
    /// Its DNS name.
    pub dns_name: String,
    /// Its kind.
    pub kind: BalancerKind,
    /// Whether it is internal (else internet-facing).
    pub internal: bool,
    /// `ipv4`, `dualstack` or `dualstack-without-public-ipv4`.
    pub ip_address_type: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Its security groups.
    pub security_groups: Vec<String>,
    /// Traffic from PrivateLink passes its security groups unchecked (network load balancers; told only).
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub private_link_unchecked: bool,
    /// Its zones, by name.
    pub zones: Vec<BalancerZone>,
    /// Outposts' address pool, if named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_owned_pool: Option<String>,
    /// When it was made.
    pub created: Wall,
    /// The state's generation when it was made: orders load balancers.
    pub sequence: u64,
    /// Attributes that were set; all others have their defaults.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Its capacity reservation, if one was ever made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
}

/// Client certificates: what a listener asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutualAuthentication {
    /// `off` or `passthrough`.
    pub mode: String,
}

/// A listener. Its default actions are its default rule's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Its ARN.
    pub arn: String,
    /// Its load balancer.
    pub balancer_arn: String,
    /// `HTTP`, `HTTPS`; others on kinds that carry no traffic.
    pub protocol: Option<String>,
    /// 1 to 65535.
    pub port: Option<u16>,
    /// The default certificate.
    pub certificate: Option<String>,
    /// Further certificates.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Name of the TLS policy.
    pub ssl_policy: Option<String>,
    /// As given; on kinds that carry no traffic.
    #[serde(default)]
    pub alpn_policy: Vec<String>,
    /// What is asked of clients' certificates.
    pub mutual_authentication: Option<MutualAuthentication>,
    /// The state's generation when it was made: orders listeners.
    pub sequence: u64,
    /// Attributes that were set.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// An action and how it was stated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedAction {
    /// 1 to 50000, if given.
    pub order: Option<u32>,
    /// The action.
    pub action: Action,
    /// A forward given by `TargetGroupArn` alone.
    #[serde(default)]
    pub plain: bool,
}

/// A condition and how it was stated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedCondition {
    /// The condition.
    pub condition: Condition,
    /// Given by `Values` alone, without the field's own structure.
    #[serde(default)]
    pub plain: bool,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its ARN.
    pub arn: String,
    /// Its listener.
    pub listener_arn: String,
    /// Where it stands.
    pub priority: Priority,
    /// All must hold.
    pub conditions: Vec<StatedCondition>,
    /// In order; the routing action last.
    pub actions: Vec<StatedAction>,
    /// Changes made before forwarding.
    pub transforms: Vec<Transform>,
}

/// A target group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// Its ARN.
    pub arn: String,
    /// Unique in its region.
    pub name: String,
    /// `instance`, `ip`, `lambda` or `alb`.
    pub target_type: String,
    /// `HTTP`, `HTTPS`; others carry no traffic; none for functions.
    pub protocol: Option<String>,
    /// `HTTP1`, `HTTP2` or `GRPC`; none where the protocol is not HTTP.
    pub protocol_version: Option<String>,
    /// Targets' default port; none for functions.
    pub port: Option<u16>,
    /// Its VPC; none for functions.
    pub vpc_id: Option<String>,
    /// `ipv4` or `ipv6`.
    pub ip_address_type: String,
    /// Port of the target control agents.
    pub control_port: Option<u16>,
    /// How its targets are probed.
    pub health: HealthCheck,
    /// `HTTP`, `HTTPS`, `TCP`...; none where targets are not probed by default.
    pub health_protocol: Option<String>,
    /// The state's generation when it was made: orders groups.
    pub sequence: u64,
    /// Attributes that were set.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

impl TargetGroup {
    /// Whether its targets speak HTTP.
    pub fn speaks_http(&self) -> bool {
        matches!(self.protocol.as_deref(), Some("HTTP" | "HTTPS"))
    }

    /// Whether its target is a function.
    pub fn is_of_functions(&self) -> bool {
        self.target_type == "lambda"
    }

    /// Whether a load balancer that is served can use it.
    pub fn fits_application(&self) -> bool {
        self.speaks_http() || self.is_of_functions()
    }
}

/// A target: registered, or deregistered and draining.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its group.
    pub group_arn: String,
    /// Instance id, address or function ARN.
    pub id: String,
    /// Where it takes traffic; zero for functions.
    pub port: u16,
    /// As given: a zone name or `all`.
    pub zone: Option<String>,
    /// When it was registered.
    pub registered_at: Wall,
    /// When it was deregistered; it drains.
    pub deregistered_at: Option<Wall>,
}

/// A target's key in its table.
pub fn target_key(group_arn: &str, id: &str, port: u16) -> String {
    format!("{group_arn}|{id}|{port}")
}
