//! Zones, regions and account attributes, which follow from the region's name and the number of its zones.

use crate::api::context::View;
use crate::api::errors::bad;
use crate::api::filtering::Item;
use crate::ec2::listing::{Listing, input, strings};
use forebay_awswire::ApiError;
use serde_json::{Value, json};

const ZONES: Listing = Listing {
    member: "AvailabilityZones",
    ids: "ZoneNames",
    missing: ("InvalidParameterValue", "availability zone"),
};

/// A zone's id: `local-1a` has `local-1-az1`.
pub(crate) fn zone_id(zone: &str) -> String {
    let (region, letter) = zone.split_at(zone.len().saturating_sub(1));
    let number = letter
        .bytes()
        .next()
        .map_or(0, |letter| u32::from(letter.wrapping_sub(b'a')) + 1);
    format!("{region}-az{number}")
}

/// The zone of the caller's region with that id.
pub(crate) fn zone_of_id(view: &View<'_>, id: &str) -> Option<String> {
    let mut zones = view.state.zones(view.request.region).into_iter();
    zones.find(|zone| zone_id(zone) == id)
}

pub(crate) fn describe_availability_zones(view: &View<'_>) -> Result<Value, ApiError> {
    let region = view.request.region;
    let ids = strings(&view.request.input["ZoneIds"]);
    let named = view
        .state
        .zones(region)
        .into_iter()
        .filter(|zone| ids.is_empty() || ids.contains(&zone_id(zone)));
    let items = named.map(|zone| {
        let value = json!({
            "ZoneName": zone,
            "ZoneId": zone_id(&zone),
            "ZoneType": "availability-zone",
            "RegionName": region,
            "GroupName": region,
            "NetworkBorderGroup": region,
            "OptInStatus": "opt-in-not-required",
            "State": "available",
            "Messages": [],
        });
        Item::new(&zone, value)
    });
    ZONES.list(view, items.collect())
}

const REGIONS: Listing = Listing {
    member: "Regions",
    ids: "",
    missing: ("InvalidParameterValue", "region"),
};

/// The regions that have been used, the default region and the caller's. Any other name becomes a region once it is
/// used.
pub(crate) fn describe_regions(view: &View<'_>) -> Result<Value, ApiError> {
    let mut names: Vec<String> = view.state.regions().map(|(name, _)| name.to_owned()).collect();
    names.extend(strings(&view.request.input["RegionNames"]));
    names.push(view.request.region.to_owned());
    names.sort();
    names.dedup();
    let asked = strings(&view.request.input["RegionNames"]);
    let items = names
        .into_iter()
        .filter(|name| asked.is_empty() || asked.contains(name))
        .map(|name| {
            let endpoint = format!("ec2.{name}.amazonaws.com");
            let value =
                json!({"RegionName": name, "Endpoint": endpoint, "OptInStatus": "opt-in-not-required"});
            Item::new(&name, value)
        });
    REGIONS.list(view, items.collect())
}

pub(crate) fn describe_account_attributes(view: &View<'_>) -> Result<Value, ApiError> {
    let _: Value = input(view)?;
    let default_vpc = view.region().vpcs.values().find(|vpc| vpc.is_default);
    let default_vpc = default_vpc.map_or("none", |vpc| vpc.id.as_str());
    let all = [
        ("supported-platforms", "VPC"),
        ("default-vpc", default_vpc),
        ("max-instances", "20"),
        ("vpc-max-security-groups-per-interface", "5"),
        ("max-elastic-ips", "5"),
        ("vpc-max-elastic-ips", "5"),
    ];
    let asked = strings(&view.request.input["AttributeNames"]);
    if let Some(unknown) = asked
        .iter()
        .find(|name| !all.iter().any(|(known, _)| known == name))
    {
        return Err(bad(format!(
            "Value ({unknown}) for parameter attributeName is invalid."
        )));
    }
    let shown = all
        .iter()
        .filter(|(name, _)| asked.is_empty() || asked.iter().any(|asked| asked == name));
    let shown: Vec<Value> = shown
        .map(|(name, value)| json!({"AttributeName": name, "AttributeValues": [{"AttributeValue": value}]}))
        .collect();
    Ok(json!({"AccountAttributes": shown}))
}

const PEERINGS: Listing = Listing {
    member: "VpcPeeringConnections",
    ids: "VpcPeeringConnectionIds",
    missing: (
        "InvalidVpcPeeringConnectionID.NotFound",
        "vpcPeeringConnection ID",
    ),
};

/// There are no peering connections: none can be created.
pub(crate) fn describe_peerings(view: &View<'_>) -> Result<Value, ApiError> {
    PEERINGS.list(view, Vec::new())
}
