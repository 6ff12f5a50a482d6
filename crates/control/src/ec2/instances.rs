//! Instances. One is an address in its subnet's slice of the pool: the user runs a process there.

use crate::Region;
use crate::ec2::addresses::release_all;
use crate::ec2::errors::{bad, error};
use crate::ec2::instance_attributes::own_image;
use crate::ec2::interfaces::inside;
use crate::ec2::listing::{Item, Listing, input, strings, tags};
use crate::ec2::records::Instance;
use crate::ec2::zones::zone_id;
use crate::operate::Work;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use forebay_awswire::{ApiError, timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

mod launch;

pub(crate) use launch::run;

/// The tag that says where an instance is reached instead of at its own address.
pub(crate) const ADDRESS_TAG: &str = "forebay:address";
/// How long a terminated instance is still described.
const AFTERLIFE: Duration = Duration::from_secs(3600);
/// Instances in one launch.
const LAUNCH_LIMIT: i64 = 100;

const LISTING: Listing = Listing {
    member: "Instances",
    ids: "InstanceIds",
    missing: ("InvalidInstanceID.NotFound", "instance ID"),
};

const STATUS_LISTING: Listing = Listing {
    member: "InstanceStatuses",
    ..LISTING
};

/// Forgets instances that were terminated long ago.
fn bury(work: &mut Work<'_>) {
    let now = work.request.now;
    let long_ago = |instance: &Arc<Instance>| instance.terminated.is_some_and(|at| now.since(at) > AFTERLIFE);
    let gone: Vec<String> = work
        .region()
        .instances
        .values()
        .filter(|instance| long_ago(instance))
        .map(|instance| instance.id.clone())
        .collect();
    for id in gone {
        let region = work.region_mut();
        region.instances.remove(&id);
        region.tags.remove(&id);
        let targets: Vec<String> = region
            .targets
            .values()
            .filter(|target| target.id == id)
            .map(|target| target.key())
            .collect();
        for key in targets {
            region.targets.remove(&key);
        }
    }
}

/// Brings an instance's address in line with its tag: what the tag says, else what it holds of the pool.
pub(crate) fn readdress(work: &mut Work<'_>, id: &str) -> Result<(), ApiError> {
    let Some(mut instance) = work.region().instances.get(id).cloned() else {
        return Ok(());
    };
    let told = work
        .region()
        .tags
        .get(id)
        .and_then(|tags| tags.get(ADDRESS_TAG).cloned());
    let address = match told {
        Some(text) => text
            .parse()
            .map_err(|_| bad(format!("The tag {ADDRESS_TAG} is no IPv4 address: '{text}'")))?,
        None => held(work.region(), id).unwrap_or(instance.address),
    };
    if address != instance.address {
        Arc::make_mut(&mut instance).address = address;
        work.region_mut().instances.insert(id.to_owned(), instance);
    }
    Ok(())
}

/// The address of the pool that an instance holds.
fn held(region: &Region, id: &str) -> Option<Ipv4Addr> {
    region
        .addresses
        .iter()
        .find(|(_, address)| address.owner == id)
        .and_then(|(text, _)| text.parse().ok())
}

pub(crate) fn state_value(state: &str) -> Value {
    let code = match state {
        "pending" => 0,
        "running" => 16,
        "shutting-down" => 32,
        "terminated" => 48,
        "stopping" => 64,
        _ => 80,
    };
    json!({"Code": code, "Name": state})
}

/// Why an instance is as it is: somebody stopped it, or its image is nobody's and it never boots. Our own image says that itself.
fn state_reason(work: &Work<'_>, instance: &Instance) -> Option<Value> {
    let (code, message) = if ["stopped", "terminated"].contains(&instance.state.as_str()) {
        let code = "Client.UserInitiatedShutdown";
        (code, format!("{code}: User initiated shutdown"))
    } else if instance.image_id == own_image(work.request.region) {
        return None;
    } else {
        let image = &instance.image_id;
        let text = format!(
            "Server.NotBooted: there is no image '{image}' to boot. The instance is an address and stays one: run a process at {}.",
            instance.address
        );
        ("Server.NotBooted", text)
    };
    Some(json!({"Code": code, "Message": message}))
}

fn private_name(work: &Work<'_>, instance: &Instance) -> String {
    let dashed = instance.address.to_string().replace('.', "-");
    format!("ip-{dashed}.{}.compute.internal", work.request.region)
}

fn shown(work: &Work<'_>, instance: &Arc<Instance>) -> Value {
    let region = work.region();
    let groups: Vec<Value> = instance
        .security_groups
        .iter()
        .filter_map(|id| Some(json!({"GroupId": id, "GroupName": region.security_groups.get(id)?.name})))
        .collect();
    let mut value = json!({
        "InstanceId": instance.id,
        "ImageId": instance.image_id,
        "InstanceType": instance.instance_type,
        "State": state_value(&instance.state),
        "LaunchTime": instance.launched.0 as f64 / 1e6,
        "AmiLaunchIndex": 0,
        "Architecture": "x86_64",
        "BlockDeviceMappings": [],
        "ClientToken": instance.client_token.clone().unwrap_or_default(),
        "EbsOptimized": instance.attributes.get("ebsOptimized").cloned().unwrap_or(json!(false)),
        "EnaSupport": true,
        "Hypervisor": "nitro",
        "Monitoring": {"State": "disabled"},
        "Placement": {
            "AvailabilityZone": instance.zone, "AvailabilityZoneId": zone_id(&instance.zone), "GroupName": "", "Tenancy": "default",
        },
        "ProductCodes": [],
        "PublicDnsName": "",
        "RootDeviceName": "/dev/xvda",
        "RootDeviceType": "ebs",
        "StateTransitionReason": "",
        "VirtualizationType": "hvm",
        "MetadataOptions": {
            "State": "applied", "HttpEndpoint": "enabled", "HttpTokens": "optional", "HttpPutResponseHopLimit": 1,
            "HttpProtocolIpv6": "disabled", "InstanceMetadataTags": "disabled",
        },
        "Tags": tags(region, &instance.id),
    });
    if let Some(reason) = state_reason(work, instance) {
        value["StateReason"] = reason;
    }
    if let Some(name) = &instance.key_name {
        value["KeyName"] = json!(name);
    }
    if instance.state != "terminated" {
        value["PrivateIpAddress"] = json!(instance.address.to_string());
        value["PrivateDnsName"] = json!(private_name(work, instance));
        value["SubnetId"] = json!(instance.subnet_id);
        value["VpcId"] = json!(instance.vpc_id);
        value["SecurityGroups"] = json!(groups);
        value["SourceDestCheck"] = instance
            .attributes
            .get("sourceDestCheck")
            .cloned()
            .unwrap_or(json!(true));
        value["NetworkInterfaces"] = json!([inside(work, instance)]);
    }
    value
}

fn reservation(work: &Work<'_>, id: &str, instances: &[Arc<Instance>]) -> Value {
    let shown: Vec<Value> = instances.iter().map(|instance| shown(work, instance)).collect();
    json!({"ReservationId": id, "OwnerId": work.request.account, "Groups": [], "Instances": shown})
}

fn item(work: &Work<'_>, instance: &Arc<Instance>, value: Value) -> Item {
    Item::new(&instance.id, value)
        .fact("launch-time", timestamp(instance.launched.0 as f64 / 1e6))
        .fact("owner-id", work.request.account)
        .fact("reservation-id", &instance.reservation_id)
}

/// Instances that are still described: those terminated a while ago are gone, though a later write removes them.
fn alive<'a>(work: &'a Work<'_>) -> impl Iterator<Item = &'a Arc<Instance>> {
    let now = work.request.now;
    let instances = work.region().instances.values();
    instances.filter(move |instance| instance.terminated.is_none_or(|at| now.since(at) <= AFTERLIFE))
}

pub(crate) fn describe(work: &mut Work<'_>) -> Result<Value, ApiError> {
    let items = alive(work)
        .map(|instance| item(work, instance, shown(work, instance)))
        .collect();
    let mut listed = LISTING.list(work, items)?;
    // One reservation per launch, in the order of their first instances.
    let mut reservations: Vec<(String, Vec<Arc<Instance>>)> = Vec::new();
    for value in listed["Instances"].as_array().into_iter().flatten() {
        let Some(instance) = value["InstanceId"]
            .as_str()
            .and_then(|id| work.region().instances.get(id))
        else {
            continue;
        };
        match reservations
            .iter_mut()
            .find(|(id, _)| *id == instance.reservation_id)
        {
            Some((_, members)) => members.push(Arc::clone(instance)),
            None => reservations.push((instance.reservation_id.clone(), vec![Arc::clone(instance)])),
        }
    }
    let shown: Vec<Value> = reservations
        .iter()
        .map(|(id, members)| reservation(work, id, members))
        .collect();
    let next = listed["NextToken"].take();
    Ok(json!({"Reservations": shown, "NextToken": next}))
}

/// Only running instances, unless all are asked for. An instance is an address: its system is always well.
pub(crate) fn describe_status(work: &mut Work<'_>) -> Result<Value, ApiError> {
    let all = work.request.input["IncludeAllInstances"] == true;
    let instances = alive(work).filter(|instance| all || instance.state == "running");
    let items = instances.map(|instance| {
        let status = if instance.state == "running" {
            "ok"
        } else {
            "not-applicable"
        };
        let details = if instance.state == "running" {
            json!([{"Name": "reachability", "Status": "passed"}])
        } else {
            json!([])
        };
        let summary = json!({"Status": status, "Details": details});
        let value = json!({
            "InstanceId": instance.id,
            "AvailabilityZone": instance.zone,
            "AvailabilityZoneId": zone_id(&instance.zone),
            "InstanceState": state_value(&instance.state),
            "InstanceStatus": summary,
            "SystemStatus": summary,
        });
        item(work, instance, value)
    });
    STATUS_LISTING.list(work, items.collect())
}

pub(crate) fn start(work: &mut Work<'_>) -> Result<Value, ApiError> {
    change(work, "StartingInstances", "running", &["stopped", "running"])
}

pub(crate) fn stop(work: &mut Work<'_>) -> Result<Value, ApiError> {
    change(work, "StoppingInstances", "stopped", &["running", "stopped"])
}

pub(crate) fn terminate(work: &mut Work<'_>) -> Result<Value, ApiError> {
    change(
        work,
        "TerminatingInstances",
        "terminated",
        &["running", "stopped", "terminated"],
    )
}

fn change(work: &mut Work<'_>, member: &str, to: &str, from: &[&str]) -> Result<Value, ApiError> {
    let _: Value = input(work)?;
    let ids: BTreeSet<String> = strings(&work.request.input["InstanceIds"]).into_iter().collect();
    let mut changes = Vec::new();
    for id in &ids {
        let mut instance = instance(work.region(), id)?;
        if !from.contains(&instance.state.as_str()) {
            let text = format!(
                "The instance '{id}' is not in a state from which it can be {to}: it is {}.",
                instance.state
            );
            return Err(error("IncorrectInstanceState", text));
        }
        let kept = match to {
            "terminated" => "disableApiTermination",
            "stopped" => "disableApiStop",
            _ => "",
        };
        if instance.attributes.get(kept) == Some(&json!(true)) {
            let text = format!(
                "The instance '{id}' may not be {to}. Modify its '{kept}' instance attribute and try again."
            );
            return Err(error("OperationNotPermitted", text));
        }
        changes.push(json!({
            "InstanceId": id,
            "PreviousState": state_value(&instance.state),
            "CurrentState": state_value(to),
        }));
        if instance.state == to {
            continue;
        }
        let changed = Arc::make_mut(&mut instance);
        changed.state = to.to_owned();
        if to == "terminated" {
            changed.terminated = Some(work.request.now);
            release_all(work, changed);
            if let Some(address) = held(work.region(), id) {
                work.free_address(IpAddr::V4(address));
            }
        }
        work.region_mut().instances.insert(id.clone(), instance);
    }
    Ok(json!({ member: changes }))
}

/// The instance with that id.
pub(crate) fn instance(region: &Region, id: &str) -> Result<Arc<Instance>, ApiError> {
    if !id.starts_with("i-") {
        return Err(error(
            "InvalidInstanceID.Malformed",
            format!("Invalid id: \"{id}\""),
        ));
    }
    let missing = || {
        error(
            "InvalidInstanceID.NotFound",
            format!("The instance ID '{id}' does not exist"),
        )
    };
    region.instances.get(id).cloned().ok_or_else(missing)
}
