//! An instance of a group as answers show it.

use crate::autoscaling::records::{Member, Origin};
use crate::ec2::zones::zone_id;
use serde_json::{Value, json};

/// An instance as part of its group.
pub(super) fn member_value(member: &Member) -> Value {
    let mut value = json!({
        "InstanceId": member.id,
        "InstanceType": member.instance_type,
        "AvailabilityZone": member.zone,
        "AvailabilityZoneId": zone_id(&member.zone),
        "LifecycleState": member.state.name(),
        "HealthStatus": if member.unhealthy.is_some() { "Unhealthy" } else { "Healthy" },
        "ImageId": member.image_id,
        "ProtectedFromScaleIn": member.protected,
    });
    match &member.origin {
        Origin::Configuration(name) => value["LaunchConfigurationName"] = json!(name),
        Origin::Template(id, name, version) => {
            value["LaunchTemplate"] = json!({
                "LaunchTemplateId": id, "LaunchTemplateName": name, "Version": version.to_string(),
            });
        }
        Origin::Attached => {}
    }
    if let Some(weight) = member.weight {
        value["WeightedCapacity"] = json!(weight.to_string());
    }
    value
}
