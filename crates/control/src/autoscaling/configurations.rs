//! Launch configurations.

use crate::api::arns::own_arn;
use crate::api::context::{Tx, View};
use crate::api::errors::{error, validation};
use crate::autoscaling::lookup::{listed, texts, time};
use crate::autoscaling::pass::uuid;
use crate::autoscaling::records::{LaunchConfiguration, Source};
use crate::state::Dialect;
use forebay_awswire::ApiError;
use serde_json::{Value, json};
use std::sync::Arc;

/// The most launch configurations of a region.
pub(super) const LIMIT: usize = 200;

/// Members of the create call that are stored and described.
const MEMBERS: [&str; 15] = [
    "ImageId",
    "KeyName",
    "ClassicLinkVPCId",
    "UserData",
    "InstanceType",
    "KernelId",
    "RamdiskId",
    "SpotPrice",
    "IamInstanceProfile",
    "AssociatePublicIpAddress",
    "PlacementTenancy",
    "MetadataOptions",
    "SecurityGroups",
    "ClassicLinkVPCSecurityGroups",
    "BlockDeviceMappings",
];

pub(crate) fn create(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given = tx.request.input.clone();
    let name = given["LaunchConfigurationName"].as_str().unwrap_or_default();
    let mut data = match given["InstanceId"].as_str() {
        Some(id) => data_of_instance(tx, id)?,
        None => json!({}),
    };
    for member in MEMBERS.into_iter().chain(["EbsOptimized", "InstanceMonitoring"]) {
        if let Some(value) = given.get(member) {
            data[member] = value.clone();
        }
    }
    if data.get("ImageId").is_none() || data.get("InstanceType").is_none() {
        return Err(validation(
            "Valid requests must contain either the InstanceID parameter or both the ImageId and InstanceType parameters.",
        ));
    }
    store(tx, name, data)?;
    Ok(json!({}))
}

fn store(tx: &mut Tx<'_>, name: &str, data: Value) -> Result<(), ApiError> {
    let known = &tx.region().launch_configurations;
    if known.contains_key(name) {
        return Err(error(
            "AlreadyExists",
            format!(
                "Launch Configuration by this name already exists - A launch configuration already exists with the name {name}"
            ),
        ));
    }
    if known.len() >= LIMIT {
        return Err(error(
            "LimitExceeded",
            format!("There can be {LIMIT} launch configurations in a region at most."),
        ));
    }
    let id = uuid(tx);
    let resource = format!("launchConfiguration:{id}:launchConfigurationName/{name}");
    let configuration = LaunchConfiguration {
        name: name.to_owned(),
        arn: own_arn(tx, "autoscaling", &resource),
        created: tx.request.now,
        data,
    };
    tx.region_mut()
        .launch_configurations
        .insert(name.to_owned(), Arc::new(configuration));
    Ok(())
}

fn data_of_instance(view: &View<'_>, id: &str) -> Result<Value, ApiError> {
    let instance = view.region().instances.get(id);
    let instance = instance.ok_or_else(|| validation(format!("Instance [{id}] is invalid.")))?;
    let mut data = json!({
        "ImageId": instance.image_id,
        "InstanceType": instance.instance_type,
        "SecurityGroups": instance.security_groups,
    });
    for (name, text) in [("KeyName", &instance.key_name), ("UserData", &instance.user_data)] {
        if let Some(text) = text {
            data[name] = json!(text);
        }
    }
    if let Some(profile) = &instance.profile {
        data["IamInstanceProfile"] = json!(profile);
    }
    Ok(data)
}

/// Creates a launch configuration from an instance, named after its group. Returns its name.
pub(super) fn of_instance(tx: &mut Tx<'_>, name: &str, id: &str) -> Result<String, ApiError> {
    let data = data_of_instance(tx, id)?;
    store(tx, name, data)?;
    Ok(name.to_owned())
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let names = texts(&view.request.input["LaunchConfigurationNames"]);
    let configurations = view.region().launch_configurations.values();
    let asked = configurations.filter(|known| names.is_empty() || names.contains(&known.name));
    let dialect = view.dialect();
    let items = asked.map(|configuration| (configuration.name.clone(), shown(configuration, dialect)));
    listed(view, "LaunchConfigurations", items)
}

fn shown(configuration: &LaunchConfiguration, dialect: Dialect) -> Value {
    let mut value = json!({
        "LaunchConfigurationName": configuration.name,
        "LaunchConfigurationARN": configuration.arn,
        "CreatedTime": time(configuration.created),
        "SecurityGroups": [],
        "BlockDeviceMappings": [],
        "ClassicLinkVPCSecurityGroups": [],
        "EbsOptimized": false,
    });
    match dialect {
        Dialect::Aws => {
            value["InstanceMonitoring"] = json!({"Enabled": true});
            for name in ["KeyName", "UserData", "KernelId", "RamdiskId"] {
                value[name] = json!("");
            }
        }
        Dialect::Moto => {
            value["InstanceMonitoring"] = json!({"Enabled": false});
            value["AssociatePublicIpAddress"] = json!(false);
        }
    }
    for (name, member) in configuration.data.as_object().into_iter().flatten() {
        value[name] = member.clone();
    }
    if dialect == Dialect::Moto {
        // moto adds a volume to every device.
        for device in value["BlockDeviceMappings"].as_array_mut().into_iter().flatten() {
            device["Ebs"] = device.get("Ebs").cloned().unwrap_or_else(|| json!({}));
        }
    }
    value
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let name = tx.request.input["LaunchConfigurationName"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if !tx.region().launch_configurations.contains_key(&name) {
        return Err(validation(format!(
            "Launch configuration name not found - Launch configuration {name} not found"
        )));
    }
    let mut groups = tx.region().scaling_groups.values();
    if let Some(group) = groups.find(|group| group.source == Source::Configuration(name.clone())) {
        return Err(error(
            "ResourceInUse",
            format!(
                "Cannot delete launch configuration {name} because it is attached to AutoScalingGroup {}",
                group.name
            ),
        ));
    }
    tx.region_mut().launch_configurations.remove(&name);
    Ok(json!({}))
}
