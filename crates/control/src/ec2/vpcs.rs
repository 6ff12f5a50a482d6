//! VPCs, their attributes and their default network ACLs.

use crate::api::context::{Tx, View};
use crate::api::errors::{bad, depended_on, error, missing, no_vpc};
use crate::api::filtering::Item;
use crate::api::tagging::put_tags;
use crate::api::tagging::tags_value;
use crate::ec2::defaults::furnish;
use crate::ec2::groups::forget;
use crate::ec2::listing::{Listing, input, new_tags};
use crate::ec2::records::Vpc;
use crate::ids::fixed_id;
use crate::ids::new_id;
use forebay_awswire::ApiError;
use ipnet::{Ipv4Net, Ipv6Net};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const LISTING: Listing = Listing {
    member: "Vpcs",
    ids: "VpcIds",
    missing: ("InvalidVpcID.NotFound", "vpc ID"),
};

/// Attributes of a VPC: the API's name, the member's name, the default.
const ATTRIBUTES: [(&str, &str, bool); 3] = [
    ("enableDnsSupport", "EnableDnsSupport", true),
    ("enableDnsHostnames", "EnableDnsHostnames", false),
    (
        "enableNetworkAddressUsageMetrics",
        "EnableNetworkAddressUsageMetrics",
        false,
    ),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateInput {
    #[serde(default)]
    cidr_block: Option<String>,
    #[serde(default)]
    amazon_provided_ipv6_cidr_block: bool,
}

pub(crate) fn create(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: CreateInput = input(tx)?;
    let cidr = network(&given.cidr_block.ok_or_else(|| missing("CidrBlock"))?)?;
    if !(16..=28).contains(&cidr.prefix_len()) {
        return Err(error(
            "InvalidVpc.Range",
            format!("The CIDR '{cidr}' is invalid."),
        ));
    }
    let new = new_tags(tx, "vpc")?;
    let id = new_id(tx.rng, "vpc");
    let ipv6_cidr = given.amazon_provided_ipv6_cidr_block.then(|| {
        // A random /56 of 2600:1f00::/24, which is one of AWS's own ranges.
        let bits = u128::from(0x2600_1f00_u32) << 96 | u128::from(tx.rng.below(1 << 24)) << 72;
        Ipv6Net::new_assert(bits.into(), 56)
    });
    let vpc = Vpc {
        id: id.clone(),
        cidr,
        is_default: false,
        ipv6_cidr,
        attributes: BTreeMap::new(),
    };
    let ids: Vec<String> = ["sg", "sgr", "sgr", "rtb", "rtbassoc"]
        .map(|prefix| new_id(tx.rng, prefix))
        .into();
    let mut ids = ids.into_iter();
    let region = tx.region_mut();
    furnish(region, &id, "default VPC security group", &mut |_, _| {
        ids.next().unwrap_or_default()
    });
    region.vpcs.insert(id.clone(), Arc::new(vpc.clone()));
    put_tags(region, &id, new);
    Ok(json!({"Vpc": shown(tx, &vpc)}))
}

/// Reads an IPv4 network. Host bits are cleared, as on AWS.
pub(crate) fn network(text: &str) -> Result<Ipv4Net, ApiError> {
    let parsed: Result<Ipv4Net, _> = text.parse();
    parsed.map(|net| net.trunc()).map_err(|_| {
        bad(format!(
            "Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block."
        ))
    })
}

/// The id of the association of a VPC with its network of that IP version.
fn association_id(view: &View<'_>, vpc: &Vpc, version: u8) -> String {
    fixed_id(
        view.request.region,
        "vpc-cidr-assoc",
        &format!("{}/{version}", vpc.id),
    )
}

fn shown(view: &View<'_>, vpc: &Vpc) -> Value {
    let state = json!({"State": "associated"});
    let mut value = json!({
        "VpcId": vpc.id,
        "CidrBlock": vpc.cidr.to_string(),
        "CidrBlockAssociationSet": [{
            "AssociationId": association_id(view, vpc, 4),
            "CidrBlock": vpc.cidr.to_string(),
            "CidrBlockState": state,
        }],
        "DhcpOptionsId": fixed_id(view.request.region, "dopt", "default"),
        "InstanceTenancy": "default",
        "IsDefault": vpc.is_default,
        "OwnerId": view.request.account,
        "State": "available",
        "Tags": tags_value(view.region(), &vpc.id),
    });
    if let Some(cidr) = vpc.ipv6_cidr {
        value["Ipv6CidrBlockAssociationSet"] = json!([{
            "AssociationId": association_id(view, vpc, 6),
            "Ipv6CidrBlock": cidr.to_string(),
            "Ipv6CidrBlockState": state,
            "NetworkBorderGroup": view.request.region,
            "Ipv6Pool": "Amazon",
        }]);
    }
    value
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let item = |vpc: &Arc<Vpc>| Item::new(&vpc.id, shown(view, vpc));
    LISTING.list(view, view.region().vpcs.values().map(item).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VpcInput {
    vpc_id: String,
    #[serde(default)]
    attribute: String,
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let id = input::<VpcInput>(tx)?.vpc_id;
    let region = tx.region();
    region.vpcs.get(&id).ok_or_else(|| no_vpc(&id))?;
    let groups: Vec<_> = region
        .security_groups
        .values()
        .filter(|group| group.vpc_id == id)
        .cloned()
        .collect();
    let tables: Vec<_> = region
        .route_tables
        .values()
        .filter(|table| table.vpc_id == id)
        .cloned()
        .collect();
    let depended = region.subnets.values().any(|subnet| subnet.vpc_id == id)
        || region
            .internet_gateways
            .values()
            .any(|gateway| gateway.vpc_id.as_deref() == Some(&id))
        || groups.iter().any(|group| group.name != "default")
        || tables.iter().any(|table| !table.is_main());
    if depended {
        return Err(depended_on("vpc", &id));
    }
    let region = tx.region_mut();
    for group in groups {
        forget(region, &group.id);
    }
    for table in tables {
        region.route_tables.remove(&table.id);
        region.tags.remove(&table.id);
    }
    region.vpcs.remove(&id);
    region.tags.remove(&id);
    Ok(json!({}))
}

pub(crate) fn describe_attribute(view: &View<'_>) -> Result<Value, ApiError> {
    let given: VpcInput = input(view)?;
    let vpc = view
        .region()
        .vpcs
        .get(&given.vpc_id)
        .ok_or_else(|| no_vpc(&given.vpc_id))?;
    let known = ATTRIBUTES.iter().find(|(name, _, _)| *name == given.attribute);
    let (name, member, default) = known.ok_or_else(|| {
        bad(format!(
            "Value ({}) for parameter attribute is invalid.",
            given.attribute
        ))
    })?;
    let value = vpc.attributes.get(*name).copied().unwrap_or(*default);
    Ok(json!({"VpcId": vpc.id, *member: {"Value": value}}))
}

pub(crate) fn modify_attribute(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: VpcInput = input(tx)?;
    let mut vpc = Arc::clone(
        tx.region()
            .vpcs
            .get(&given.vpc_id)
            .ok_or_else(|| no_vpc(&given.vpc_id))?,
    );
    for (name, member, _) in ATTRIBUTES {
        if let Some(value) = tx.request.input[member]["Value"].as_bool() {
            Arc::make_mut(&mut vpc).attributes.insert(name.to_owned(), value);
        }
    }
    tx.region_mut().vpcs.insert(given.vpc_id, vpc);
    Ok(json!({}))
}

const ACLS: Listing = Listing {
    member: "NetworkAcls",
    ids: "NetworkAclIds",
    missing: ("InvalidNetworkAclID.NotFound", "networkAcl ID"),
};

/// Every VPC has one network ACL, its default, which allows everything. It is derived from the VPC, not stored.
pub(crate) fn describe_network_acls(view: &View<'_>) -> Result<Value, ApiError> {
    let entry = |egress: bool, number: i64, action: &str| json!({"CidrBlock": "0.0.0.0/0", "Egress": egress, "Protocol": "-1", "RuleAction": action, "RuleNumber": number});
    let entries: Vec<Value> = [true, false]
        .into_iter()
        .flat_map(|egress| [entry(egress, 100, "allow"), entry(egress, 32767, "deny")])
        .collect();
    let region = view.region();
    let association = |subnet: &str| fixed_id(view.request.region, "aclassoc", subnet);
    let item = |vpc: &Arc<Vpc>| {
        let id = fixed_id(view.request.region, "acl", &vpc.id);
        let subnets: Vec<String> = region
            .subnets
            .values()
            .filter(|subnet| subnet.vpc_id == vpc.id)
            .map(|subnet| subnet.id.clone())
            .collect();
        let associations = subnets.iter().map(|subnet| {
            json!({"NetworkAclAssociationId": association(subnet), "NetworkAclId": id, "SubnetId": subnet})
        });
        let value = json!({
            "NetworkAclId": id,
            "VpcId": vpc.id,
            "IsDefault": true,
            "OwnerId": view.request.account,
            "Entries": entries,
            "Associations": associations.collect::<Vec<_>>(),
            "Tags": tags_value(region, &id),
        });
        Item::new(&id, value)
    };
    ACLS.list(view, region.vpcs.values().map(item).collect())
}
