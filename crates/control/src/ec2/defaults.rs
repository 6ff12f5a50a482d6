//! What a new region and a new VPC have before anybody has made anything.

use crate::ec2::records::{
    GroupRule, InternetGateway, Peer, Route, RouteAssociation, RouteTable, SecurityGroup, Subnet, Vpc, zones,
};
use crate::ids::fixed_id;
use crate::tables::Region;
use core::net::Ipv4Addr;
use ipnet::Ipv4Net;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

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
    for ((zone, slice), third) in zones(region).into_iter().zip(slices).zip([0, 16, 32]) {
        let subnet = Subnet {
            id: fixed_id(region, "subnet", &zone),
            vpc_id: vpc_id.clone(),
            zone,
            cidr: octets(third, 20),
            ipv6_cidr: None,
            is_default: true,
            slices: vec![slice],
            attributes: BTreeMap::from([("MapPublicIpOnLaunch".to_owned(), Value::Bool(true))]),
        };
        made.subnets.insert(subnet.id.clone(), Arc::new(subnet));
    }
    made
}

/// Gives a new VPC what every VPC has: its default security group with two rules and its main route table, whose id it
/// returns. `name` makes an id from a prefix and a word.
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
