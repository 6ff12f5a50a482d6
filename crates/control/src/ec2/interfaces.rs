//! Network interfaces: one for each load balancer node and for each instance. They are derived from these, and not
//! stored.

use crate::api::context::View;
use crate::api::filtering::Item;
use crate::api::tagging::tags_value;
use crate::ec2::listing::Listing;
use crate::ec2::records::Instance;
use crate::ec2::zones::zone_id;
use crate::elbv2::records::{BalancerKind, BalancerZone, LoadBalancer, WITHOUT_PUBLIC_IPV4};
use crate::ids::fixed_id;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use forebay_awswire::ApiError;
use ipnet::Ipv4Net;
use serde_json::{Value, json};
use std::sync::Arc;

const LISTING: Listing = Listing {
    member: "NetworkInterfaces",
    ids: "NetworkInterfaceIds",
    missing: ("InvalidNetworkInterfaceID.NotFound", "networkInterface ID"),
};

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let region = view.region();
    let nodes = region.load_balancers.values().flat_map(|balancer| {
        balancer
            .zones
            .iter()
            .filter_map(|zone| node(view, balancer, zone))
    });
    let instances = region
        .instances
        .values()
        .filter(|instance| instance.state != "terminated");
    let items = nodes.chain(instances.map(|instance| item(view, &of_instance(view, instance))));
    LISTING.list(view, items.collect())
}

/// The id of an instance's interface.
pub(crate) fn interface_id(region: &str, instance: &Instance) -> String {
    fixed_id(region, "eni", &instance.id)
}

fn node_id(region: &str, balancer: &LoadBalancer, zone: &BalancerZone) -> String {
    fixed_id(region, "eni", &format!("{}/{}", balancer.arn, zone.subnet_id))
}

/// Whether the interface belongs to a load balancer's node.
pub(crate) fn is_of_node(view: &View<'_>, id: &str) -> bool {
    let mut balancers = view.region().load_balancers.values();
    balancers.any(|balancer| {
        let mut zones = balancer.zones.iter();
        zones.any(|zone| zone.address.is_some() && node_id(view.request.region, balancer, zone) == id)
    })
}

/// A network interface.
struct Interface {
    id: String,
    subnet_id: String,
    vpc_id: String,
    zone: String,
    address: IpAddr,
    ipv6: Option<Ipv6Addr>,
    secondary: Vec<Ipv4Addr>,
    prefixes: Vec<Ipv4Net>,
    public: bool,
    groups: Vec<String>,
    description: String,
    /// The id of the instance that it belongs to; `None` for a node.
    instance_id: Option<String>,
}

fn node(view: &View<'_>, balancer: &LoadBalancer, zone: &BalancerZone) -> Option<Item> {
    let tail = balancer
        .arn
        .split_once("loadbalancer/")
        .map_or("", |(_, tail)| tail);
    if balancer.kind != BalancerKind::Application {
        return None;
    }
    let interface = Interface {
        id: node_id(view.request.region, balancer, zone),
        subnet_id: zone.subnet_id.clone(),
        vpc_id: balancer.vpc_id.clone(),
        zone: zone.zone.clone(),
        address: zone.address?,
        ipv6: zone.address6,
        secondary: Vec::new(),
        prefixes: Vec::new(),
        public: !balancer.internal && balancer.ip_address_type != WITHOUT_PUBLIC_IPV4,
        groups: balancer.security_groups.clone(),
        description: format!("ELB {tail}"),
        instance_id: None,
    };
    Some(item(view, &interface))
}

fn of_instance(view: &View<'_>, instance: &Arc<Instance>) -> Interface {
    Interface {
        id: interface_id(view.request.region, instance),
        subnet_id: instance.subnet_id.clone(),
        vpc_id: instance.vpc_id.clone(),
        zone: instance.zone.clone(),
        address: IpAddr::V4(instance.address),
        ipv6: None,
        secondary: instance.secondary.clone(),
        prefixes: instance.prefixes.clone(),
        public: false,
        groups: instance.security_groups.clone(),
        description: String::new(),
        instance_id: Some(instance.id.clone()),
    }
}

fn groups(view: &View<'_>, ids: &[String]) -> Value {
    let known = |id: &String| {
        view.region()
            .security_groups
            .get(id)
            .map(|group| json!({"GroupId": id, "GroupName": group.name}))
    };
    ids.iter().filter_map(known).collect()
}

/// An instance's interface as the instance's description shows it.
pub(crate) fn inside(view: &View<'_>, instance: &Arc<Instance>) -> Value {
    let interface = of_instance(view, instance);
    let mut value = shown(view, &interface);
    if let Some(object) = value.as_object_mut() {
        // Members that only the description of the interface itself has.
        for member in [
            "AvailabilityZone",
            "AvailabilityZoneId",
            "RequesterManaged",
            "TagSet",
        ] {
            object.remove(member);
        }
        if let Some(attachment) = object.get_mut("Attachment").and_then(Value::as_object_mut) {
            attachment.remove("InstanceId");
            attachment.remove("InstanceOwnerId");
        }
    }
    value
}

fn shown(view: &View<'_>, interface: &Interface) -> Value {
    let address = interface.address.to_string();
    let (owner, requester) = match interface.instance_id {
        Some(_) => (view.request.account, None),
        None => ("amazon-elb", Some("amazon-elb")),
    };
    let ipv6 = interface.ipv6.iter();
    let ipv6 = ipv6.map(|address| json!({"Ipv6Address": address.to_string()}));
    let mut value = json!({
        "NetworkInterfaceId": interface.id,
        "SubnetId": interface.subnet_id,
        "VpcId": interface.vpc_id,
        "AvailabilityZone": interface.zone,
        "AvailabilityZoneId": zone_id(&interface.zone),
        "Description": interface.description,
        "InterfaceType": "interface",
        "MacAddress": mac(interface.address),
        "OwnerId": view.request.account,
        "PrivateIpAddress": address,
        "PrivateIpAddresses": addresses(interface),
        "Ipv6Addresses": ipv6.collect::<Vec<_>>(),
        "Groups": groups(view, &interface.groups),
        "RequesterManaged": requester.is_some(),
        "SourceDestCheck": true,
        "Status": "in-use",
        "TagSet": tags_value(view.region(), &interface.id),
        "Attachment": {
            "AttachmentId": fixed_id(view.request.region, "eni-attach", &interface.id),
            "DeleteOnTermination": interface.instance_id.is_some(),
            "DeviceIndex": i32::from(interface.instance_id.is_none()),
            "InstanceOwnerId": owner,
            "Status": "attached",
        },
    });
    if let Some(requester) = requester {
        value["RequesterId"] = json!(requester);
    }
    if let Some(id) = &interface.instance_id {
        value["Attachment"]["InstanceId"] = json!(id);
    }
    if !interface.prefixes.is_empty() {
        let prefixes = interface.prefixes.iter();
        value["Ipv4Prefixes"] = prefixes
            .map(|prefix| json!({"Ipv4Prefix": prefix.to_string()}))
            .collect();
    }
    if interface.public {
        value["Association"] = json!({"IpOwnerId": "amazon-elb", "PublicIp": address});
    }
    value
}

/// The primary address first. A tag may have made a secondary address the primary one after it was assigned.
fn addresses(interface: &Interface) -> Value {
    let others = interface.secondary.iter().map(|&address| IpAddr::V4(address));
    let others = others.filter(|address| *address != interface.address);
    let all = core::iter::once(interface.address).chain(others);
    all.map(
        |address| json!({"Primary": address == interface.address, "PrivateIpAddress": address.to_string()}),
    )
    .collect()
}

/// A locally administered MAC address, derived from the IP address.
fn mac(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else {
        return "02:00:00:00:00:01".to_owned();
    };
    let [a, b, c, d] = address.octets();
    format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

fn item(view: &View<'_>, interface: &Interface) -> Item {
    Item::new(&interface.id, shown(view, interface))
}
