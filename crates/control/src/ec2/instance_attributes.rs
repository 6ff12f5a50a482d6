//! Attributes of instances, and what is related to them: images, volumes, credits.

use crate::api::context::{Tx, View};
use crate::api::errors::{bad, error, missing, no_group};
use crate::api::filtering::Item;
use crate::ec2::instance_addresses::instance;
use crate::ec2::instance_view::own_image;
use crate::ec2::listing::{Listing, input, strings};
use crate::ec2::records::Instance;
use crate::state::Dialect;
use forebay_awswire::{ApiError, timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeInput {
    instance_id: String,
    #[serde(default)]
    attribute: Option<String>,
    #[serde(default)]
    value: Option<String>,
}

/// Attributes with a plain value: the API's name, the member's name, and the default.
fn plain(name: &str) -> Option<(&'static str, Value)> {
    let found = match name {
        "disableApiStop" => ("DisableApiStop", json!(false)),
        "disableApiTermination" => ("DisableApiTermination", json!(false)),
        "ebsOptimized" => ("EbsOptimized", json!(false)),
        "enaSupport" => ("EnaSupport", json!(true)),
        "instanceInitiatedShutdownBehavior" => ("InstanceInitiatedShutdownBehavior", json!("stop")),
        "sourceDestCheck" => ("SourceDestCheck", json!(true)),
        "sriovNetSupport" => ("SriovNetSupport", Value::Null),
        "kernel" => ("KernelId", Value::Null),
        "ramdisk" => ("RamdiskId", Value::Null),
        "rootDeviceName" => ("RootDeviceName", json!("/dev/xvda")),
        _ => return None,
    };
    Some(found)
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let given: AttributeInput = input(view)?;
    let instance = instance(view.region(), &given.instance_id)?;
    let name = given.attribute.ok_or_else(|| missing("Attribute"))?;
    let (member, value) = match name.as_str() {
        "instanceType" => ("InstanceType", json!({"Value": instance.instance_type})),
        "userData" => ("UserData", json!({"Value": instance.user_data})),
        "groupSet" => {
            let groups: Vec<Value> = instance
                .security_groups
                .iter()
                .map(|id| json!({"GroupId": id}))
                .collect();
            ("Groups", json!(groups))
        }
        "blockDeviceMapping" => ("BlockDeviceMappings", json!([])),
        "productCodes" => ("ProductCodes", json!([])),
        "enclaveOptions" => ("EnclaveOptions", json!({"Enabled": false})),
        other => match plain(other) {
            Some((member, default)) => (
                member,
                json!({"Value": instance.attributes.get(other).cloned().unwrap_or(default)}),
            ),
            None => {
                return Err(bad(format!(
                    "Value ({other}) for parameter attribute is invalid. Unknown attribute."
                )));
            }
        },
    };
    Ok(json!({"InstanceId": instance.id, member: value}))
}

pub(crate) fn modify(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: AttributeInput = input(tx)?;
    let mut kept = instance(tx.region(), &given.instance_id)?;
    let asked = tx.request.input.clone();
    let groups = strings(&asked["Groups"]);
    if let Some(id) = groups
        .iter()
        .find(|id| !tx.region().security_groups.contains_key(*id))
    {
        return Err(no_group(id));
    }
    let changed = Arc::make_mut(&mut kept);
    if !groups.is_empty() {
        changed.security_groups = groups;
    }
    for name in [
        "disableApiStop",
        "disableApiTermination",
        "ebsOptimized",
        "instanceInitiatedShutdownBehavior",
        "sourceDestCheck",
    ] {
        let Some((member, _)) = plain(name) else { continue };
        if let Some(value) = asked[member].get("Value") {
            changed.attributes.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(kind) = asked["InstanceType"]["Value"].as_str() {
        set_type(changed, kind)?;
    }
    if let Some(data) = asked["UserData"]["Value"].as_str() {
        changed.user_data = Some(data.to_owned());
    }
    // The older form: a name and a string.
    if let (Some(name), Some(text)) = (given.attribute, given.value) {
        match (name.as_str(), plain(&name)) {
            ("instanceType", _) => set_type(changed, &text)?,
            ("userData", _) => changed.user_data = Some(text),
            (_, Some((_, Value::Bool(_)))) => {
                let flag = text
                    .parse::<bool>()
                    .map_err(|_| bad(format!("Value ({text}) is not a boolean.")))?;
                changed.attributes.insert(name, json!(flag));
            }
            ("instanceInitiatedShutdownBehavior", _) => {
                changed.attributes.insert(name, json!(text));
            }
            _ => return Err(bad(format!("Value ({name}) for parameter attribute is invalid."))),
        }
    }
    tx.region_mut().instances.insert(given.instance_id, kept);
    Ok(json!({}))
}

fn set_type(instance: &mut Instance, kind: &str) -> Result<(), ApiError> {
    if instance.state != "stopped" {
        let text = format!("The instance '{}' is not in the 'stopped' state.", instance.id);
        return Err(error("IncorrectInstanceState", text));
    }
    instance.instance_type = kind.to_owned();
    Ok(())
}

const CREDITS: Listing = Listing {
    member: "InstanceCreditSpecifications",
    ids: "InstanceIds",
    missing: ("InvalidInstanceID.NotFound", "instance ID"),
};

/// Only burstable types have credits, as on AWS.
pub(crate) fn describe_credits(view: &View<'_>) -> Result<Value, ApiError> {
    let instances = view
        .region()
        .instances
        .values()
        .filter(|instance| instance.instance_type.starts_with('t'));
    let item = |instance: &Arc<Instance>| {
        let credits = if instance.instance_type.starts_with("t2.") {
            "standard"
        } else {
            "unlimited"
        };
        Item::new(
            &instance.id,
            json!({"InstanceId": instance.id, "CpuCredits": credits}),
        )
    };
    CREDITS.list(view, instances.map(item).collect())
}

const IMAGES: Listing = Listing {
    member: "Images",
    ids: "ImageIds",
    missing: ("InvalidAMIID.NotFound", "image id"),
};

/// Images that were made here, and Forebay's own image, which boots nothing. Every other requested `ami-` id is
/// described like the latter.
pub(crate) fn describe_images(view: &View<'_>) -> Result<Value, ApiError> {
    let made = view.observations.images();
    let mut ids = strings(&view.request.input["ImageIds"]);
    ids.retain(|id| id.starts_with("ami-") && made.iter().all(|image| image.id != *id));
    if view.request.input["ImageIds"]
        .as_array()
        .is_none_or(Vec::is_empty)
    {
        ids.push(own_image(view.request.region));
    }
    let unmade = ids.iter().map(|id| {
        let facts = [
            &format!("forebay/{id}"),
            "An address; nothing is booted",
            "2024-01-01T00:00:00.000Z",
        ];
        Item::new(id, image_value(view, id, facts))
    });
    let made = made.iter().map(|image| {
        let created = timestamp(image.created.0 as f64 / 1e6);
        Item::new(
            &image.id,
            image_value(view, &image.id, [&image.name, &image.description, &created]),
        )
    });
    IMAGES.list(view, made.chain(unmade).collect())
}

/// An image as answers show it, from its id, and its name, description and creation time.
fn image_value(view: &View<'_>, id: &str, [name, description, created]: [&str; 3]) -> Value {
    json!({
        "ImageId": id,
        "Name": name,
        "Description": description,
        "Architecture": "x86_64",
        "BlockDeviceMappings": [],
        "CreationDate": created,
        "EnaSupport": true,
        "Hypervisor": "xen",
        "ImageType": "machine",
        "OwnerId": view.request.account,
        "ProductCodes": [],
        "Public": true,
        "RootDeviceName": "/dev/xvda",
        "RootDeviceType": "ebs",
        "State": "available",
        "Tags": [],
        "VirtualizationType": "hvm",
    })
}

const VOLUMES: Listing = Listing {
    member: "Volumes",
    ids: "VolumeIds",
    missing: ("InvalidVolume.NotFound", "volume"),
};

/// There are no volumes: instances have no disks here. moto shows those that an instance would have.
pub(crate) fn describe_volumes(view: &View<'_>) -> Result<Value, ApiError> {
    let instances = view.region().instances.values();
    let shown = instances
        .filter(|instance| view.dialect() == Dialect::Moto && instance.terminated.is_none())
        .flat_map(|instance| volumes(instance));
    VOLUMES.list(view, shown.collect())
}

/// The volumes of an instance: its root device, and one for each device that it was launched with.
fn volumes(instance: &Instance) -> Vec<Item> {
    let mut devices = vec![json!({"DeviceName": "/dev/xvda", "Ebs": {"VolumeType": "gp2", "VolumeSize": 8}})];
    let given = instance.attributes.get("blockDeviceMapping");
    devices.extend(given.and_then(Value::as_array).into_iter().flatten().cloned());
    let shown = devices.iter().enumerate().map(|(place, device)| {
        let ebs = &device["Ebs"];
        let id = format!("vol-{place:x}{}", instance.id.get(3..).unwrap_or_default());
        let value = json!({
            "VolumeId": id,
            "VolumeType": ebs["VolumeType"].as_str().unwrap_or("gp2"),
            "Size": ebs["VolumeSize"].as_i64().unwrap_or(8),
            "Encrypted": ebs["Encrypted"] == true,
            "AvailabilityZone": instance.zone,
            "State": "in-use",
            "Attachments": [{
                "InstanceId": instance.id, "VolumeId": id, "Device": device["DeviceName"], "State": "attached",
            }],
        });
        Item::new(&id, value)
    });
    shown.collect()
}
