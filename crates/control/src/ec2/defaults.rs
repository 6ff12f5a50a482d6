//! What a new region and a new VPC contain before anyone creates anything.

use crate::ec2::records::{
    GroupRule, InternetGateway, MOST_ZONES, Peer, Route, RouteAssociation, RouteTable, SecurityGroup, Subnet,
    Vpc, zones,
};
use crate::ids::fixed_id;
use crate::tables::Region;
use core::net::Ipv4Addr;
use ipnet::Ipv4Net;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A new region: a default VPC, its security group, and one subnet in each zone. `slices` are the subnets' slices of
/// the pool, one for each zone.
pub(crate) fn default_region(region: &str, slices: &[u32]) -> Region {
    let mut made = Region::default();
    let vpc_id = fixed_id(region, "vpc", "default");
    let vpc = Vpc {
        id: vpc_id.clone(),
        cidr: network(0, 16),
        is_default: true,
        ipv6_cidr: None,
        attributes: BTreeMap::from([("enableDnsHostnames".to_owned(), true)]),
    };
    made.vpcs.insert(vpc_id.clone(), Arc::new(vpc));
    let gateway = InternetGateway {
        id: fixed_id(region, "igw", &vpc_id),
        vpc_id: Some(vpc_id.clone()),
    };
    let mut name = |prefix: &str, what: &str| fixed_id(region, prefix, &format!("{vpc_id}/{what}"));
    let table = furnish(&mut made, &vpc_id, "default VPC security group", &mut name);
    if let Some(table) = made.route_tables.get_mut(&table) {
        Arc::make_mut(table).routes.push(Route {
            destination: "0.0.0.0/0".to_owned(),
            target_kind: "GatewayId".to_owned(),
            target: gateway.id.clone(),
        });
    }
    made.internet_gateways
        .insert(gateway.id.clone(), Arc::new(gateway));
    for (zone, &slice) in zones(region, MOST_ZONES).into_iter().zip(slices) {
        let _ = add_default_subnet(&mut made, region, &zone, slice);
    }
    made
}

/// A part of the default VPC's network, by its third octet and prefix length.
fn network(third: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new(Ipv4Addr::new(172, 31, third, 0), prefix).unwrap_or_else(|_| unreachable!("a fixed prefix"))
}

/// The network of a zone's default subnet: AWS's /20 for the first six zones and a /21 for each of the others, which
/// together fill the VPC.
fn default_network(zone: &str) -> Ipv4Net {
    let letter = zone.bytes().last().unwrap_or(b'a').clamp(b'a', b'z') - b'a';
    if letter < 6 {
        network(letter * 16, 20)
    } else {
        network(96 + (letter - 6) * 8, 21)
    }
}

/// The id of a zone's default subnet.
pub(crate) fn default_subnet_id(region: &str, zone: &str) -> String {
    fixed_id(region, "subnet", zone)
}

/// Creates a zone's default subnet. Returns false if the region has no default VPC, or the VPC has no room left.
pub(crate) fn add_default_subnet(made: &mut Region, region: &str, zone: &str, slice: u32) -> bool {
    let Some(vpc) = made.vpcs.values().find(|vpc| vpc.is_default).cloned() else {
        return false;
    };
    let is_free = |wanted: &Ipv4Net| {
        let mut taken = made.subnets.values().filter(|subnet| subnet.vpc_id == vpc.id);
        vpc.cidr.contains(wanted)
            && !taken.any(|other| other.cidr.contains(wanted) || wanted.contains(&other.cidr))
    };
    // If users have created subnets in the default VPC, a smaller one may still fit.
    let small = (0..=u8::MAX).map(|third| network(third, 24));
    let mut wanted = core::iter::once(default_network(zone)).chain(small);
    let Some(cidr) = wanted.find(is_free) else {
        return false;
    };
    let subnet = Subnet {
        id: default_subnet_id(region, zone),
        vpc_id: vpc.id.clone(),
        zone: zone.to_owned(),
        cidr,
        ipv6_cidr: None,
        is_default: true,
        slices: vec![slice],
        attributes: BTreeMap::from([("MapPublicIpOnLaunch".to_owned(), Value::Bool(true))]),
    };
    made.subnets.insert(subnet.id.clone(), Arc::new(subnet));
    true
}

/// Removes a subnet, its tags and its associations with route tables.
pub(crate) fn remove_subnet(region: &mut Region, id: &str) {
    region.subnets.remove(id);
    region.tags.remove(id);
    let is_of = |association: &RouteAssociation| association.subnet_id.as_deref() == Some(id);
    let tables = region.route_tables.values();
    let used = tables.filter(|table| table.associations.iter().any(is_of));
    let used: Vec<String> = used.map(|table| table.id.clone()).collect();
    for table in used {
        if let Some(table) = region.route_tables.get_mut(&table) {
            Arc::make_mut(table)
                .associations
                .retain(|association| !is_of(association));
        }
    }
}

/// Creates what every VPC has: its default security group with two rules, and its main route table, whose id is
/// returned. `name` makes an id from a prefix and a word.
pub(crate) fn furnish(
    region: &mut Region,
    vpc_id: &str,
    description: &str,
    name: &mut dyn FnMut(&str, &str) -> String,
) -> String {
    let group = SecurityGroup {
        id: name("sg", "default"),
        vpc_id: vpc_id.to_owned(),
        name: "default".to_owned(),
        description: description.to_owned(),
    };
    for egress in [false, true] {
        let rule = GroupRule {
            id: name("sgr", if egress { "egress" } else { "ingress" }),
            group_id: group.id.clone(),
            egress,
            protocol: "-1".to_owned(),
            from_port: None,
            to_port: None,
            peer: if egress {
                Peer::Cidr4("0.0.0.0/0".to_owned())
            } else {
                Peer::Group(group.id.clone())
            },
            description: None,
        };
        region.group_rules.insert(rule.id.clone(), Arc::new(rule));
    }
    region.security_groups.insert(group.id.clone(), Arc::new(group));
    let table = RouteTable {
        id: name("rtb", "main"),
        vpc_id: vpc_id.to_owned(),
        routes: Vec::new(),
        associations: vec![RouteAssociation {
            id: name("rtbassoc", "main"),
            subnet_id: None,
        }],
    };
    let id = table.id.clone();
    region.route_tables.insert(id.clone(), Arc::new(table));
    id
}
