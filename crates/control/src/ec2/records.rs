//! EC2's records, as far as load balancers and Auto Scaling need them.

use core::net::Ipv4Addr;
use forebay_units::Wall;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A VPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// The id, `vpc-...`.
    pub id: String,
    /// Its IPv4 network.
    pub cidr: Ipv4Net,
    /// Whether it is the region's default.
    pub is_default: bool,
    /// Its IPv6 network, if it has one.
    #[serde(default)]
    pub ipv6_cidr: Option<ipnet::Ipv6Net>,
    /// Attributes that were set, such as `enableDnsHostnames`. All others have their defaults.
    #[serde(default)]
    pub attributes: BTreeMap<String, bool>,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// The id, `subnet-...`.
    pub id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// The zone's name, such as `local-1a`.
    pub zone: String,
    /// Its network, part of the VPC's.
    pub cidr: Ipv4Net,
    /// Its IPv6 network, if it has one.
    #[serde(default)]
    pub ipv6_cidr: Option<ipnet::Ipv6Net>,
    /// Whether it is its zone's default.
    pub is_default: bool,
    /// The numbers of its slices of the address pool: one, and more if the first is used up (see
    /// `State::take_address`).
    pub slices: Vec<u32>,
    /// Attributes that were set, such as `MapPublicIpOnLaunch`. All others have their defaults.
    #[serde(default)]
    pub attributes: BTreeMap<String, Value>,
}

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// The id, `sg-...`.
    pub id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// The name, unique in the VPC.
    pub name: String,
    /// The description, as given.
    pub description: String,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The id, `i-...`.
    pub id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Its subnet.
    pub subnet_id: String,
    /// The zone's name.
    pub zone: String,
    /// `pending`, `running`, `stopping`, `stopped`, `shutting-down` or `terminated`.
    pub state: String,
    /// The address at which it is reached: from its subnet's slice of the pool, or from its tag `forebay:address`.
    pub address: Ipv4Addr,
    /// Secondary addresses of its interface, in the order in which they were assigned.
    #[serde(default)]
    pub secondary: Vec<Ipv4Addr>,
    /// Prefixes assigned to its interface, such as the network of its pods.
    #[serde(default)]
    pub prefixes: Vec<Ipv4Net>,
    /// The reservation, `r-...`, which all instances of one launch share.
    #[serde(default)]
    pub reservation_id: String,
    /// The image id, as given. If there is no such image, the instance is only an address and not booted.
    #[serde(default)]
    pub image_id: String,
    /// The instance type, as given.
    #[serde(default)]
    pub instance_type: String,
    /// Its security groups.
    #[serde(default)]
    pub security_groups: Vec<String>,
    /// The name of the key pair, as given.
    #[serde(default)]
    pub key_name: Option<String>,
    /// The user data in base64, as given.
    #[serde(default)]
    pub user_data: Option<String>,
    /// The client token of its launch.
    #[serde(default)]
    pub client_token: Option<String>,
    /// When it was launched.
    #[serde(default)]
    pub launched: Wall,
    /// When it was terminated. It is described for another hour.
    #[serde(default)]
    pub terminated: Option<Wall>,
    /// Attributes that were set, by the API's name.
    #[serde(default)]
    pub attributes: BTreeMap<String, Value>,
    /// How many times a launcher was asked to start it; 0 if it is only an address.
    #[serde(default)]
    pub run: u32,
    /// Whether its processes should be suspended after the start (warm pools).
    #[serde(default)]
    pub paused: bool,
    /// The name of its instance profile.
    #[serde(default)]
    pub profile: Option<String>,
    /// Whether it is a Spot Instance.
    #[serde(default)]
    pub is_spot: bool,
    /// When it will be interrupted, if that was announced.
    #[serde(default)]
    pub interrupted_at: Option<Wall>,
    /// A code and a text that explain its state; `None` if no explanation is needed.
    #[serde(default)]
    pub reason: Option<(String, String)>,
}

/// The other side of a security group rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Peer {
    /// An IPv4 network.
    Cidr4(String),
    /// An IPv6 network.
    Cidr6(String),
    /// A prefix list.
    PrefixList(String),
    /// The id of a security group.
    Group(String),
}

/// A security group rule. Only stored and described: on loopback addresses nothing filters traffic by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRule {
    /// The id, `sgr-...`.
    pub id: String,
    /// Its security group.
    pub group_id: String,
    /// Whether it is for outgoing traffic; otherwise it is for incoming traffic.
    pub egress: bool,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a number, or `-1` for all.
    pub protocol: String,
    /// The first port, or the ICMP type.
    pub from_port: Option<i64>,
    /// The last port, or the ICMP code.
    pub to_port: Option<i64>,
    /// The other side of the traffic.
    pub peer: Peer,
    /// The description, as given.
    pub description: Option<String>,
}

/// An internet gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InternetGateway {
    /// The id, `igw-...`.
    pub id: String,
    /// The id of the VPC that it is attached to.
    pub vpc_id: Option<String>,
}

/// A route that was created. The VPC's local route is implied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// A network or a prefix list, as text.
    pub destination: String,
    /// The kind of target, as the API's member name, such as `GatewayId`.
    pub target_kind: String,
    /// The target's id.
    pub target: String,
}

/// An association of a route table with a subnet or a VPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteAssociation {
    /// The id, `rtbassoc-...`.
    pub id: String,
    /// The subnet; `None` for the main association, which applies to all subnets without one of their own.
    pub subnet_id: Option<String>,
}

/// A route table. Only stored and described: loopback addresses need no routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// The id, `rtb-...`.
    pub id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// The routes, in the order in which they were created.
    pub routes: Vec<Route>,
    /// The associations.
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
    /// The id, `lt-...`.
    pub id: String,
    /// The name, unique in the region.
    pub name: String,
    /// When it was created.
    pub created: Wall,
    /// The ARN of its creator.
    pub created_by: String,
    /// The number of the default version.
    pub default_version: u64,
    /// The highest version number so far: numbers are not reused.
    pub last_number: u64,
    /// The client token of its creation.
    pub client_token: Option<String>,
    /// The versions by number. The default version always exists.
    pub versions: BTreeMap<u64, LaunchTemplateVersion>,
}

/// A version of a launch template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchTemplateVersion {
    /// When it was created.
    pub created: Wall,
    /// The ARN of its creator.
    pub created_by: String,
    /// The description, as given.
    pub description: Option<String>,
    /// `RequestLaunchTemplateData` as given, merged with that of its source version.
    pub data: Value,
    /// The client token of its creation.
    pub client_token: Option<String>,
}

impl LaunchTemplate {
    /// The number of the latest version, the highest that exists.
    pub fn latest_version(&self) -> u64 {
        self.versions
            .last_key_value()
            .map_or(self.default_version, |(number, _)| *number)
    }
}

/// The default number of zones in a region.
pub const ZONES: u8 = 3;
/// The most zones in a region: their names end with a letter.
pub const MOST_ZONES: u8 = 26;

/// The names of a region's zones, in order.
pub fn zones(region: &str, count: u8) -> Vec<String> {
    let letters = (b'a'..=b'z').take(usize::from(count));
    letters
        .map(|letter| format!("{region}{}", char::from(letter)))
        .collect()
}
