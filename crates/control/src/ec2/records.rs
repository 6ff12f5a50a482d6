//! EC2's records, as far as load balancers need them, and the defaults of a new region.

use crate::Region;
use core::net::Ipv4Addr;
use forebay_units::Stream;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A VPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// `vpc-...`
    pub id: String,
    /// Its IPv4 network.
    pub cidr: Ipv4Net,
    /// Whether it is the region's default.
    pub is_default: bool,
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
    /// Where it is reached: an address of its subnet's slice of the pool.
    pub address: Ipv4Addr,
}

/// The letters of a region's three zones.
pub const ZONE_LETTERS: [char; 3] = ['a', 'b', 'c'];

/// Zone names of a region, in order.
pub fn zones(region: &str) -> [String; 3] {
    ZONE_LETTERS.map(|letter| format!("{region}{letter}"))
}

/// An id that is the same each time for the same thing, so that a region which nobody has written to can be described.
pub(crate) fn fixed_id(region: &str, prefix: &str, name: &str) -> String {
    let draw = Stream::named(0, &format!("{region}/{prefix}/{name}")).hex(17);
    format!("{prefix}-{draw}")
}

/// A new region: a default VPC, its security group and one subnet in each zone. `slices` are the subnets' slices of the pool.
pub(crate) fn default_region(region: &str, slices: [u32; 3]) -> Region {
    let mut made = Region::default();
    let vpc_id = fixed_id(region, "vpc", "default");
    let octets = |third: u8, prefix| {
        Ipv4Net::new(Ipv4Addr::new(172, 31, third, 0), prefix)
            .unwrap_or_else(|_| unreachable!("a fixed prefix"))
    };
    let vpc = Vpc {
        id: vpc_id.clone(),
        cidr: octets(0, 16),
        is_default: true,
    };
    made.vpcs.insert(vpc_id.clone(), Arc::new(vpc));
    let group = SecurityGroup {
        id: fixed_id(region, "sg", &vpc_id),
        vpc_id: vpc_id.clone(),
        name: "default".to_owned(),
        description: "default VPC security group".to_owned(),
    };
    made.security_groups.insert(group.id.clone(), Arc::new(group));
    for ((zone, slice), third) in zones(region).into_iter().zip(slices).zip([0, 16, 32]) {
        let subnet = Subnet {
            id: fixed_id(region, "subnet", &zone),
            vpc_id: vpc_id.clone(),
            zone,
            cidr: octets(third, 20),
            ipv6_cidr: None,
            is_default: true,
            slices: vec![slice],
        };
        made.subnets.insert(subnet.id.clone(), Arc::new(subnet));
    }
    made
}
