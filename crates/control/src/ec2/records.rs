//! EC2's records, as far as load balancers need them.

use core::net::Ipv4Addr;
use forebay_units::Wall;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A VPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// `vpc-...`
    pub id: String,
    /// Its IPv4 network.
    pub cidr: Ipv4Net,
    /// Whether it is the region's default.
    pub is_default: bool,
    /// Its IPv6 network, if it asked for one.
    #[serde(default)]
    pub ipv6_cidr: Option<ipnet::Ipv6Net>,
    /// Attributes that were set, such as `enableDnsHostnames`; all others have their defaults.
    #[serde(default)]
    pub attributes: BTreeMap<String, bool>,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// `subnet-...`
    pub id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Zone name, such as `local-1a`.
    pub zone: String,
    /// Its network, part of the VPC's.
    pub cidr: Ipv4Net,
    /// Its IPv6 network, if it has one.
    #[serde(default)]
    pub ipv6_cidr: Option<ipnet::Ipv6Net>,
    /// Whether it is its zone's default.
    pub is_default: bool,
    /// Which /27 slices of the address pool are its own: one, and more once it is used up (see `State::take_address`).
    pub slices: Vec<u32>,
    /// Attributes that were set, such as `MapPublicIpOnLaunch`; all others have their defaults.
    #[serde(default)]
    pub attributes: BTreeMap<String, Value>,
}

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// `sg-...`
    pub id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Unique in its VPC.
    pub name: String,
    /// As given.
    pub description: String,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// `i-...`
    pub id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Its subnet.
    pub subnet_id: String,
    /// Zone name.
    pub zone: String,
    /// `pending`, `running`, `stopping`, `stopped`, `shutting-down` or `terminated`.
    pub state: String,
    /// Where it is reached: an address of its subnet's slice of the pool, or what its tag `forebay:address` says.
    pub address: Ipv4Addr,
    /// Further addresses of its interface, in the order in which they were assigned.
    #[serde(default)]
    pub secondary: Vec<Ipv4Addr>,
    /// Networks that its interface stands for, such as that of its pods.
    #[serde(default)]
    pub prefixes: Vec<Ipv4Net>,
    /// `r-...`: instances launched by one call.
    #[serde(default)]
    pub reservation_id: String,
    /// As given. An id that is no image's is not booted: the instance is an address.
    #[serde(default)]
    pub image_id: String,
    /// As given.
    #[serde(default)]
    pub instance_type: String,
    /// Its security groups.
    #[serde(default)]
    pub security_groups: Vec<String>,
    /// As given.
    #[serde(default)]
    pub key_name: Option<String>,
    /// Base64, as given.
    #[serde(default)]
    pub user_data: Option<String>,
    /// The launch's idempotency token.
    #[serde(default)]
    pub client_token: Option<String>,
    /// When it was launched.
    #[serde(default)]
    pub launched: Wall,
    /// When it was terminated; it is described for an hour more.
    #[serde(default)]
    pub terminated: Option<Wall>,
    /// Attributes that were set, by the API's name.
    #[serde(default)]
    pub attributes: BTreeMap<String, Value>,
    /// How often it was started by a launcher; 0 if it is an address only.
    #[serde(default)]
    pub run: u32,
    /// Whether it is to be started and do nothing.
    #[serde(default)]
    pub paused: bool,
    /// Its instance profile, by name.
    #[serde(default)]
    pub profile: Option<String>,
    /// Whether it may be taken away.
    #[serde(default)]
    pub is_spot: bool,
    /// When it is to be taken away, if that was announced.
    #[serde(default)]
    pub interrupted_at: Option<Wall>,
    /// Why it is in its state: a code and a text; none where the state says it all.
    #[serde(default)]
    pub reason: Option<(String, String)>,
}

/// Who is on the other side of a security group's rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Peer {
    /// An IPv4 network.
    Cidr4(String),
    /// An IPv6 network.
    Cidr6(String),
    /// A prefix list.
    PrefixList(String),
    /// A security group, by id.
    Group(String),
}

/// One rule of a security group. Stored and described; on loopback addresses nothing filters by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRule {
    /// `sgr-...`
    pub id: String,
    /// Its security group.
    pub group_id: String,
    /// Whether it is for what leaves (else for what comes in).
    pub egress: bool,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a number, or `-1` for all.
    pub protocol: String,
    /// First port, or ICMP type.
    pub from_port: Option<i64>,
    /// Last port, or ICMP code.
    pub to_port: Option<i64>,
    /// The other side.
    pub peer: Peer,
    /// As given.
    pub description: Option<String>,
}

/// An internet gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InternetGateway {
    /// `igw-...`
    pub id: String,
    /// The VPC it is attached to.
    pub vpc_id: Option<String>,
}

/// A route that was made; the VPC's own network is routed without one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// A network or a prefix list, as text.
    pub destination: String,
    /// What kind of target, by the API's member name, such as `GatewayId`.
    pub target_kind: String,
    /// The target's id.
    pub target: String,
}

/// Who uses a route table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteAssociation {
    /// `rtbassoc-...`
    pub id: String,
    /// The subnet; none for the main association, which serves all subnets without one of their own.
    pub subnet_id: Option<String>,
}

/// A route table. Stored and described; loopback addresses need no routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// `rtb-...`
    pub id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Its routes, in the order they were made.
    pub routes: Vec<Route>,
    /// Who uses it.
    pub associations: Vec<RouteAssociation>,
}

impl RouteTable {
    /// Whether it is its VPC's main table.
    pub fn is_main(&self) -> bool {
        self.associations
            .iter()
            .any(|association| association.subnet_id.is_none())
    }
}

/// A launch template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchTemplate {
    /// `lt-...`
    pub id: String,
    /// Unique in its region.
    pub name: String,
    /// When it was made.
    pub created: Wall,
    /// Who made it, as an ARN.
    pub created_by: String,
    /// The version that is taken if none is named.
    pub default_version: u64,
    /// The greatest number that a version has had: no number is given twice.
    pub last_number: u64,
    /// The idempotency token that it was made with.
    pub client_token: Option<String>,
    /// Its versions by number. There is always one: the default.
    pub versions: BTreeMap<u64, LaunchTemplateVersion>,
}

/// A version of a launch template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchTemplateVersion {
    /// When it was made.
    pub created: Wall,
    /// Who made it, as an ARN.
    pub created_by: String,
    /// As given.
    pub description: Option<String>,
    /// `RequestLaunchTemplateData`, as given, with what it has from its source version.
    pub data: Value,
    /// The idempotency token that it was made with.
    pub client_token: Option<String>,
}

impl LaunchTemplate {
    /// The number of its latest version: the greatest that is there.
    pub fn latest_version(&self) -> u64 {
        self.versions
            .last_key_value()
            .map_or(self.default_version, |(number, _)| *number)
    }
}

/// Zones of a region, unless it is told otherwise.
pub const ZONES: u8 = 3;
/// A zone's name ends with a letter.
pub const MOST_ZONES: u8 = 26;

/// Names of a region's zones, in order.
pub fn zones(region: &str, count: u8) -> Vec<String> {
    let letters = (b'a'..=b'z').take(usize::from(count));
    letters
        .map(|letter| format!("{region}{}", char::from(letter)))
        .collect()
}
