//! RunInstances: where new instances are placed, and what they are.

use crate::api::context::{Tx, View};
use crate::api::errors::{bad, error, no_group, no_subnet};
use crate::api::tagging::put_tags;
use crate::ec2::instance_addresses::{bury, readdress};
use crate::ec2::instance_view::reservation;
use crate::ec2::launch_templates::{from_template, tag_with_template};
use crate::ec2::listing::{input, new_tags, strings};
use crate::ec2::records::{Instance, Subnet};
use crate::ids::new_id;
use core::net::IpAddr;
use forebay_awswire::{ApiError, Service};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most instances in one launch.
const LAUNCH_LIMIT: i64 = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RunInput {
    min_count: i64,
    max_count: i64,
    #[serde(default)]
    image_id: Option<String>,
    #[serde(default)]
    instance_type: Option<String>,
    #[serde(default)]
    subnet_id: Option<String>,
    #[serde(default)]
    security_group_ids: Vec<String>,
    #[serde(default)]
    security_groups: Vec<String>,
    #[serde(default)]
    key_name: Option<String>,
    #[serde(default)]
    user_data: Option<String>,
    #[serde(default)]
    client_token: Option<String>,
}

pub(crate) fn run(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    if tx.request.input.get("LaunchTemplate").is_none() {
        return run_as_given(tx);
    }
    let (template, number, merged) = from_template(tx)?;
    let mut answer = tx.nested(Service::Ec2, "RunInstances", merged, run_as_given)?;
    tag_with_template(tx, &template, number, &mut answer);
    Ok(answer)
}

/// Launches what the input says, after launch templates have been applied.
fn run_as_given(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: RunInput = input(tx)?;
    if given.min_count < 1 || given.min_count > given.max_count || given.max_count > LAUNCH_LIMIT {
        return Err(bad(format!(
            "Value ({}-{}) for the number of instances is invalid.",
            given.min_count, given.max_count
        )));
    }
    let token = given.client_token.clone().filter(|token| !token.is_empty());
    let again = launched_with(tx, token.as_deref());
    if let Some(first) = again.first() {
        return Ok(reservation(tx, &first.reservation_id, &again));
    }
    // Reads cannot remove what is outdated, so writes do.
    bury(tx);
    let subnet = chosen_subnet(tx, given.subnet_id.as_deref())?;
    let security_groups = chosen_groups(tx, &subnet, &given)?;
    let new = new_tags(tx, "instance")?;
    let attributes = launch_attributes(&tx.request.input);
    let booted = is_booted(tx, &given)?;
    let reservation_id = new_id(tx.rng, "r");
    let mut launched = Vec::new();
    for _ in 0..given.max_count {
        let id = new_id(tx.rng, "i");
        let Some(IpAddr::V4(address)) = tx.take_address(&subnet.id, &id) else {
            // Launches as many as there is room for, if the minimum count is met.
            if launched.len() as i64 >= given.min_count {
                break;
            }
            let text = format!("There are not enough free addresses in subnet '{}'", subnet.id);
            return Err(error("InsufficientFreeAddressesInSubnet", text));
        };
        let instance = Instance {
            id: id.clone(),
            vpc_id: subnet.vpc_id.clone(),
            subnet_id: subnet.id.clone(),
            zone: subnet.zone.clone(),
            state: if booted { "pending" } else { "running" }.to_owned(),
            address,
            secondary: Vec::new(),
            prefixes: Vec::new(),
            reservation_id: reservation_id.clone(),
            image_id: given.image_id.clone().unwrap_or_default(),
            instance_type: given
                .instance_type
                .clone()
                .unwrap_or_else(|| "m1.small".to_owned()),
            security_groups: security_groups.clone(),
            key_name: given.key_name.clone(),
            user_data: given.user_data.clone(),
            client_token: token.clone(),
            launched: tx.request.now,
            terminated: None,
            attributes: attributes.clone(),
            run: u32::from(booted),
            paused: false,
            profile: profile(&tx.request.input),
            is_spot: tx.request.input["InstanceMarketOptions"]["MarketType"] == "spot",
            interrupted_at: None,
            reason: None,
        };
        let region = tx.region_mut();
        region.instances.insert(id.clone(), Arc::new(instance));
        put_tags(region, &id, new.clone());
        readdress(tx, &id)?;
        launched.push(id);
    }
    let launched: Vec<_> = launched
        .iter()
        .filter_map(|id| tx.region().instances.get(id).cloned())
        .collect();
    Ok(reservation(tx, &reservation_id, &launched))
}

/// Whether there is something to boot. An unknown image id makes an instance that is only an address.
fn is_booted(view: &View<'_>, given: &RunInput) -> Result<bool, ApiError> {
    let Some(id) = &given.image_id else {
        return Ok(false);
    };
    let known = view.observations.images().iter().any(|image| image.id == *id);
    let has_data = given.user_data.as_ref().is_some_and(|data| !data.is_empty());
    if known
        && has_data
        && let Some(why) = view.observations.refuses_user_data()
    {
        return Err(error("UnauthorizedOperation", why));
    }
    Ok(known)
}

/// The name of the instance profile that a call gives by name or ARN.
fn profile(given: &Value) -> Option<String> {
    let given = &given["IamInstanceProfile"];
    let named = given["Name"].as_str();
    let by_arn = given["Arn"].as_str().and_then(|arn| arn.rsplit('/').next());
    named.or(by_arn).map(str::to_owned)
}

/// The instances that an earlier call with this client token launched.
fn launched_with(view: &View<'_>, token: Option<&str>) -> Vec<Arc<Instance>> {
    let Some(token) = token else { return Vec::new() };
    let instances = view.region().instances.values();
    instances
        .filter(|instance| instance.client_token.as_deref() == Some(token))
        .cloned()
        .collect()
}

fn chosen_subnet(view: &View<'_>, id: Option<&str>) -> Result<Arc<Subnet>, ApiError> {
    let given = &view.request.input;
    let region = view.region();
    if let Some(id) = id.or_else(|| given["NetworkInterfaces"][0]["SubnetId"].as_str()) {
        return region.subnets.get(id).cloned().ok_or_else(|| no_subnet(id));
    }
    let zone = given["Placement"]["AvailabilityZone"].as_str();
    let mut defaults: Vec<_> = region
        .subnets
        .values()
        .filter(|subnet| subnet.is_default && zone.is_none_or(|zone| zone == subnet.zone))
        .collect();
    defaults.sort_by(|one, other| one.zone.cmp(&other.zone));
    match defaults.first() {
        Some(subnet) => Ok(Arc::clone(subnet)),
        None => Err(error(
            "MissingInput",
            "No subnets found for the default VPC. Please specify a subnet.",
        )),
    }
}

fn chosen_groups(view: &View<'_>, subnet: &Subnet, given: &RunInput) -> Result<Vec<String>, ApiError> {
    let region = view.region();
    let mut ids = given.security_group_ids.clone();
    ids.extend(strings(&view.request.input["NetworkInterfaces"][0]["Groups"]));
    for name in &given.security_groups {
        let mut groups = region.security_groups.values();
        let group = groups.find(|group| group.vpc_id == subnet.vpc_id && group.name == *name);
        ids.push(group.ok_or_else(|| no_group(name))?.id.clone());
    }
    for id in &ids {
        let group = region.security_groups.get(id).ok_or_else(|| no_group(id))?;
        if group.vpc_id != subnet.vpc_id {
            let text = format!(
                "Security group {id} and subnet {} belong to different networks.",
                subnet.id
            );
            return Err(error("InvalidParameter", text));
        }
    }
    if ids.is_empty() {
        let mut groups = region.security_groups.values();
        ids.extend(
            groups
                .find(|group| group.vpc_id == subnet.vpc_id && group.name == "default")
                .map(|group| group.id.clone()),
        );
    }
    Ok(ids)
}

/// Attributes that DescribeInstanceAttribute shows.
fn launch_attributes(given: &Value) -> BTreeMap<String, Value> {
    let names = [
        ("DisableApiStop", "disableApiStop"),
        ("DisableApiTermination", "disableApiTermination"),
        ("EbsOptimized", "ebsOptimized"),
        ("BlockDeviceMappings", "blockDeviceMapping"),
        (
            "InstanceInitiatedShutdownBehavior",
            "instanceInitiatedShutdownBehavior",
        ),
    ];
    let set = names
        .iter()
        .filter_map(|(member, name)| Some(((*name).to_owned(), given.get(*member)?.clone())));
    set.collect()
}
