//! Subnets: a network of the VPC by name, and slices of the address pool in fact.

use crate::api::arns::own_arn;
use crate::api::context::{Tx, View};
use crate::api::errors::{bad, depended_on, error, missing, no_subnet, no_vpc};
use crate::api::filtering::Item;
use crate::api::tagging::put_tags;
use crate::api::tagging::tags_value;
use crate::ec2::defaults::remove_subnet;
use crate::ec2::listing::{Listing, input, new_tags};
use crate::ec2::records::Subnet;
use crate::ec2::vpcs::network;
use crate::ec2::zones::{zone_id, zone_of_id};
use crate::ids::fixed_id;
use crate::ids::new_id;
use forebay_awswire::ApiError;
use ipnet::Ipv6Net;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const LISTING: Listing = Listing {
    member: "Subnets",
    ids: "SubnetIds",
    missing: ("InvalidSubnetID.NotFound", "subnet ID"),
};

/// Flags of a subnet that ModifySubnetAttribute sets, each as `{Value: bool}`.
const FLAGS: [&str; 6] = [
    "AssignIpv6AddressOnCreation",
    "EnableDns64",
    "EnableResourceNameDnsAAAARecordOnLaunch",
    "EnableResourceNameDnsARecordOnLaunch",
    "MapCustomerOwnedIpOnLaunch",
    "MapPublicIpOnLaunch",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateInput {
    vpc_id: String,
    #[serde(default)]
    cidr_block: Option<String>,
    #[serde(default)]
    ipv6_cidr_block: Option<String>,
    #[serde(default)]
    availability_zone: Option<String>,
    #[serde(default)]
    availability_zone_id: Option<String>,
}

pub(crate) fn create(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: CreateInput = input(tx)?;
    let cidr = network(given.cidr_block.as_deref().ok_or_else(|| missing("CidrBlock"))?)?;
    let zone = chosen_zone(tx, &given)?;
    let region = tx.region();
    let vpc = region
        .vpcs
        .get(&given.vpc_id)
        .ok_or_else(|| no_vpc(&given.vpc_id))?;
    if !(16..=28).contains(&cidr.prefix_len()) || !vpc.cidr.contains(&cidr) {
        return Err(error(
            "InvalidSubnet.Range",
            format!("The CIDR '{cidr}' is invalid."),
        ));
    }
    let siblings = || {
        region
            .subnets
            .values()
            .filter(|subnet| subnet.vpc_id == given.vpc_id)
    };
    if siblings().any(|other| other.cidr.contains(&cidr) || cidr.contains(&other.cidr)) {
        return Err(error(
            "InvalidSubnet.Conflict",
            format!("The CIDR '{cidr}' conflicts with another subnet"),
        ));
    }
    let ipv6_cidr = given.ipv6_cidr_block.map(|text| {
        let parsed: Option<Ipv6Net> = text.parse().ok().filter(|net: &Ipv6Net| net.prefix_len() == 64);
        let inside = |net: &Ipv6Net| vpc.ipv6_cidr.is_some_and(|outer| outer.contains(net));
        parsed
            .filter(inside)
            .ok_or_else(|| error("InvalidSubnet.Range", format!("The CIDR '{text}' is invalid.")))
    });
    let ipv6_cidr = ipv6_cidr.transpose()?;
    if ipv6_cidr.is_some() && siblings().any(|other| other.ipv6_cidr == ipv6_cidr) {
        return Err(error(
            "InvalidSubnet.Conflict",
            "The IPv6 CIDR conflicts with another subnet",
        ));
    }
    let new = new_tags(tx, "subnet")?;
    let id = new_id(tx.rng, "subnet");
    tx.region_mut();
    let slice = tx.take_slice(&id);
    let slice = slice.ok_or_else(|| {
        error(
            "SubnetLimitExceeded",
            "The address pool has no slice left for a subnet.",
        )
    })?;
    let subnet = Subnet {
        id: id.clone(),
        vpc_id: given.vpc_id,
        zone,
        cidr,
        ipv6_cidr,
        is_default: false,
        slices: vec![slice],
        attributes: BTreeMap::new(),
    };
    let region = tx.region_mut();
    region.subnets.insert(id.clone(), Arc::new(subnet.clone()));
    put_tags(region, &id, new);
    Ok(json!({"Subnet": shown(tx, &subnet)}))
}

/// The requested zone, or else the one in which the VPC has the fewest subnets.
fn chosen_zone(view: &View<'_>, given: &CreateInput) -> Result<String, ApiError> {
    let zones = view.state.zones(view.request.region);
    if let Some(id) = &given.availability_zone_id {
        let found = zone_of_id(view, id);
        return found.ok_or_else(|| {
            bad(format!(
                "Value ({id}) for parameter availabilityZoneId is invalid."
            ))
        });
    }
    if let Some(zone) = &given.availability_zone {
        if zones.contains(zone) {
            return Ok(zone.clone());
        }
        return Err(bad(format!(
            "Value ({zone}) for parameter availabilityZone is invalid. Subnets can currently only be created in the following \
             availability zones: {}.",
            zones.join(", ")
        )));
    }
    let used = |zone: &String| {
        let subnets = view.region().subnets.values();
        subnets
            .filter(|subnet| subnet.vpc_id == given.vpc_id && subnet.zone == *zone)
            .count()
    };
    Ok(zones
        .iter()
        .min_by_key(|zone| used(zone))
        .cloned()
        .unwrap_or_default())
}

fn arn(view: &View<'_>, id: &str) -> String {
    own_arn(view, "ec2", &format!("subnet/{id}"))
}

fn flag(subnet: &Subnet, name: &str) -> bool {
    subnet
        .attributes
        .get(name)
        .and_then(Value::as_bool)
        .unwrap_or(false)
}

/// The size of its network, minus AWS's five reserved addresses and those in use.
fn available(view: &View<'_>, subnet: &Subnet) -> u64 {
    let size = 1_u64 << (32 - subnet.cidr.prefix_len());
    let used = view
        .region()
        .addresses
        .values()
        .filter(|address| address.subnet_id == subnet.id)
        .count();
    size.saturating_sub(5).saturating_sub(used as u64)
}

/// The id of a subnet's association with its IPv6 network.
fn association_id(view: &View<'_>, subnet: &Subnet) -> String {
    fixed_id(view.request.region, "subnet-cidr-assoc", &subnet.id)
}

fn shown(view: &View<'_>, subnet: &Subnet) -> Value {
    let kind = subnet
        .attributes
        .get("PrivateDnsHostnameTypeOnLaunch")
        .and_then(Value::as_str);
    let ipv6 = subnet.ipv6_cidr.map(|cidr| {
        json!({
            "AssociationId": association_id(view, subnet),
            "Ipv6CidrBlock": cidr.to_string(),
            "Ipv6CidrBlockState": {"State": "associated"},
        })
    });
    json!({
        "SubnetId": subnet.id,
        "SubnetArn": arn(view, &subnet.id),
        "VpcId": subnet.vpc_id,
        "CidrBlock": subnet.cidr.to_string(),
        "Ipv6CidrBlockAssociationSet": ipv6.into_iter().collect::<Vec<_>>(),
        "AvailabilityZone": subnet.zone,
        "AvailabilityZoneId": zone_id(&subnet.zone),
        "AvailableIpAddressCount": available(view, subnet),
        "DefaultForAz": subnet.is_default,
        "AssignIpv6AddressOnCreation": flag(subnet, "AssignIpv6AddressOnCreation"),
        "EnableDns64": flag(subnet, "EnableDns64"),
        "Ipv6Native": false,
        "MapCustomerOwnedIpOnLaunch": flag(subnet, "MapCustomerOwnedIpOnLaunch"),
        "MapPublicIpOnLaunch": flag(subnet, "MapPublicIpOnLaunch"),
        "OwnerId": view.request.account,
        "PrivateDnsNameOptionsOnLaunch": {
            "HostnameType": kind.unwrap_or("ip-name"),
            "EnableResourceNameDnsARecord": flag(subnet, "EnableResourceNameDnsARecordOnLaunch"),
            "EnableResourceNameDnsAAAARecord": flag(subnet, "EnableResourceNameDnsAAAARecordOnLaunch"),
        },
        "State": "available",
        "Tags": tags_value(view.region(), &subnet.id),
    })
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let item = |subnet: &Arc<Subnet>| Item::new(&subnet.id, shown(view, subnet));
    LISTING.list(view, view.region().subnets.values().map(item).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SubnetInput {
    subnet_id: String,
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let id = input::<SubnetInput>(tx)?.subnet_id;
    let region = tx.region();
    let subnet = Arc::clone(region.subnets.get(&id).ok_or_else(|| no_subnet(&id))?);
    if region.addresses.values().any(|address| address.subnet_id == id) {
        return Err(depended_on("subnet", &id));
    }
    remove_subnet(tx.region_mut(), &id);
    for slice in &subnet.slices {
        tx.free_slice(*slice);
    }
    Ok(json!({}))
}

pub(crate) fn modify_attribute(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let id = input::<SubnetInput>(tx)?.subnet_id;
    let mut subnet = Arc::clone(tx.region().subnets.get(&id).ok_or_else(|| no_subnet(&id))?);
    let given = &tx.request.input;
    for name in FLAGS {
        if let Some(value) = given[name]["Value"].as_bool() {
            Arc::make_mut(&mut subnet)
                .attributes
                .insert(name.to_owned(), Value::Bool(value));
        }
    }
    if let Some(kind) = given["PrivateDnsHostnameTypeOnLaunch"].as_str() {
        let name = "PrivateDnsHostnameTypeOnLaunch".to_owned();
        Arc::make_mut(&mut subnet).attributes.insert(name, json!(kind));
    }
    tx.region_mut().subnets.insert(id, subnet);
    Ok(json!({}))
}
