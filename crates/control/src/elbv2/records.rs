//! Elastic Load Balancing's records, as the store keeps them. Field defaults are for rows that were stored before the
//! field existed.

use crate::records::IpVersion;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use forebay_model::{Action, Condition, HealthCheck, Priority, Transform};
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The address type of load balancers whose IPv4 addresses are private.
pub const WITHOUT_PUBLIC_IPV4: &str = "dualstack-without-public-ipv4";

/// The type of a load balancer.
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
    /// The API's word for the type.
    pub fn word(self) -> &'static str {
        match self {
            BalancerKind::Application => "application",
            BalancerKind::Network => "network",
            BalancerKind::Gateway => "gateway",
        }
    }
}

/// A load balancer's zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancerZone {
    /// The zone's name.
    pub zone: String,
    /// The load balancer's subnet in the zone.
    pub subnet_id: String,
    /// The node's IPv4 address; `None` for types that carry no traffic.
    pub address: Option<IpAddr>,
    /// The node's IPv6 address, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address6: Option<Ipv6Addr>,
    /// The private IPv4 address that was requested for a network load balancer. It is only stored and described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_ipv4: Option<Ipv4Addr>,
    /// The requested IPv6 address, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
}

impl BalancerZone {
    /// The node's address of a version.
    pub fn node_address(&self, version: IpVersion) -> Option<IpAddr> {
        match version {
            IpVersion::V4 => self.address,
            IpVersion::V6 => self.address6.map(IpAddr::V6),
        }
    }

    /// The node's addresses, at most one for each version.
    pub fn node_addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let addresses = IpVersion::ALL.map(|version| self.node_address(version));
        addresses.into_iter().flatten()
    }

    /// Sets the node's address of that address's version.
    pub(crate) fn take(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(_) => self.address = Some(address),
            IpAddr::V6(address) => self.address6 = Some(address),
        }
    }

    /// Removes the node's address of a version.
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
    /// Reserved units; `None` after a reset.
    pub units: Option<u32>,
    /// When the reservation was last changed.
    pub modified: Wall,
    /// When the reservation was decreased in the last day.
    pub decreases: Vec<Wall>,
}

/// A load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// Its ARN.
    pub arn: String,
    /// The name, unique in the region.
    pub name: String,
    /// Its DNS name.
    pub dns_name: String,
    /// The type.
    pub kind: BalancerKind,
    /// Whether it is internal; otherwise it is internet-facing.
    pub internal: bool,
    /// `ipv4`, `dualstack` or `dualstack-without-public-ipv4`.
    pub ip_address_type: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Its security groups.
    pub security_groups: Vec<String>,
    /// Whether traffic from PrivateLink bypasses the security groups (network load balancers; only stored and
    /// described).
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub private_link_unchecked: bool,
    /// The zones, by name.
    pub zones: Vec<BalancerZone>,
    /// The customer-owned address pool of an Outpost, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_owned_pool: Option<String>,
    /// When it was created.
    pub created: Wall,
    /// The state's generation when it was created. Orders load balancers by age.
    pub sequence: u64,
    /// The attributes that were set. All others have their defaults.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// The capacity reservation, if one was ever made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
}

/// Mutual TLS: what a listener asks of client certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutualAuthentication {
    /// `off` or `passthrough`.
    pub mode: String,
}

/// A listener. Its default actions are in its default rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Its ARN.
    pub arn: String,
    /// The ARN of its load balancer.
    pub balancer_arn: String,
    /// `HTTP` or `HTTPS`; other protocols on load balancers that carry no traffic.
    pub protocol: Option<String>,
    /// The port, 1 to 65535.
    pub port: Option<u16>,
    /// The ARN of the default certificate.
    pub certificate: Option<String>,
    /// The ARNs of further certificates.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// The name of the TLS policy.
    pub ssl_policy: Option<String>,
    /// The ALPN policy as given, on load balancers that carry no traffic.
    #[serde(default)]
    pub alpn_policy: Vec<String>,
    /// What is asked of clients' certificates.
    pub mutual_authentication: Option<MutualAuthentication>,
    /// The state's generation when it was created. Orders listeners by age.
    pub sequence: u64,
    /// The attributes that were set.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// An action, and the form in which it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedAction {
    /// The order, 1 to 50000, if given.
    pub order: Option<u32>,
    /// The action.
    pub action: Action,
    /// Whether it is a forward that was given by `TargetGroupArn` alone.
    #[serde(default)]
    pub plain: bool,
}

/// A condition, and the form in which it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedCondition {
    /// The condition.
    pub condition: Condition,
    /// Whether it was given by `Values` alone, without the field's own structure.
    #[serde(default)]
    pub plain: bool,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its ARN.
    pub arn: String,
    /// The ARN of its listener.
    pub listener_arn: String,
    /// The priority.
    pub priority: Priority,
    /// The conditions, all of which must hold.
    pub conditions: Vec<StatedCondition>,
    /// The actions in order, the routing action last.
    pub actions: Vec<StatedAction>,
    /// Changes that are made to a request before it is forwarded.
    pub transforms: Vec<Transform>,
}

/// A target group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// Its ARN.
    pub arn: String,
    /// The name, unique in the region.
    pub name: String,
    /// The target type: `instance`, `ip`, `lambda` or `alb`.
    pub target_type: String,
    /// `HTTP` or `HTTPS`; groups with other protocols carry no traffic. `None` for functions.
    pub protocol: Option<String>,
    /// `HTTP1`, `HTTP2` or `GRPC`; `None` where the protocol is not HTTP.
    pub protocol_version: Option<String>,
    /// The targets' default port; `None` for functions.
    pub port: Option<u16>,
    /// The VPC; `None` for functions.
    pub vpc_id: Option<String>,
    /// `ipv4` or `ipv6`.
    pub ip_address_type: String,
    /// The port of the target control agents, if the group has them.
    pub control_port: Option<u16>,
    /// The health check settings.
    pub health: HealthCheck,
    /// The health checks' protocol, such as `HTTP`, `HTTPS` or `TCP`; `None` where targets are not checked by default.
    pub health_protocol: Option<String>,
    /// The state's generation when it was created. Orders groups by age.
    pub sequence: u64,
    /// The attributes that were set.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

impl TargetGroup {
    /// Whether its targets speak HTTP.
    pub fn speaks_http(&self) -> bool {
        matches!(self.protocol.as_deref(), Some("HTTP" | "HTTPS"))
    }

    /// Whether its targets are functions.
    pub fn is_of_functions(&self) -> bool {
        self.target_type == "lambda"
    }

    /// Whether an application load balancer can use it.
    pub fn fits_application(&self) -> bool {
        self.speaks_http() || self.is_of_functions()
    }
}

/// A target: registered, or deregistered and still draining.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The ARN of its group.
    pub group_arn: String,
    /// The instance id, address or function ARN.
    pub id: String,
    /// The port that takes traffic; zero for functions.
    pub port: u16,
    /// The zone as given: a zone's name or `all`.
    pub zone: Option<String>,
    /// When it was registered.
    pub registered_at: Wall,
    /// When it was deregistered. It is draining since then.
    pub deregistered_at: Option<Wall>,
}

/// The key of a target in its table.
pub fn target_key(group_arn: &str, id: &str, port: u16) -> String {
    format!("{group_arn}|{id}|{port}")
}
