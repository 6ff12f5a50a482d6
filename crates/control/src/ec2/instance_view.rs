//! Instances as answers show them.

use crate::api::arns::arn_of;
use crate::api::context::View;
use crate::api::filtering::Item;
use crate::api::tagging::tags_value;
use crate::ec2::interfaces::inside;
use crate::ec2::records::Instance;
use crate::ec2::zones::zone_id;
use crate::ids::fixed_id;
use forebay_awswire::timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// The id of Forebay's own image.
pub(crate) fn own_image(region: &str) -> String {
    fixed_id(region, "ami", "forebay")
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

/// Why an instance is in its state: it was stopped, or its image does not exist and it never boots. For Forebay's own
/// image that needs no explanation.
fn state_reason(view: &View<'_>, instance: &Instance) -> Option<Value> {
    if let Some((code, message)) = &instance.reason {
        return Some(json!({"Code": code, "Message": message}));
    }
    let (code, message) = if ["stopped", "terminated"].contains(&instance.state.as_str()) {
        let code = "Client.UserInitiatedShutdown";
        (code, format!("{code}: User initiated shutdown"))
    } else if instance.run > 0 || instance.image_id == own_image(view.request.region) {
        return None;
    } else {
        let image = &instance.image_id;
        let text = format!(
            "Server.NotBooted: there is no image '{image}' to boot. The instance is only an address: run a process at {}.",
            instance.address
        );
        ("Server.NotBooted", text)
    };
    Some(json!({"Code": code, "Message": message}))
}

fn private_name(view: &View<'_>, instance: &Instance) -> String {
    let dashed = instance.address.to_string().replace('.', "-");
    format!("ip-{dashed}.{}.compute.internal", view.request.region)
}

pub(crate) fn shown(view: &View<'_>, instance: &Arc<Instance>) -> Value {
    let region = view.region();
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
        "Tags": tags_value(region, &instance.id),
    });
    if let Some(reason) = state_reason(view, instance) {
        value["StateReason"] = reason;
    }
    if instance.is_spot {
        value["InstanceLifecycle"] = json!("spot");
    }
    if let Some(profile) = &instance.profile {
        let arn = arn_of(
            "iam",
            "",
            view.request.account,
            &format!("instance-profile/{profile}"),
        );
        value["IamInstanceProfile"] = json!({"Arn": arn, "Id": fixed_id("", "AIPA", profile)});
    }
    if let Some(name) = &instance.key_name {
        value["KeyName"] = json!(name);
    }
    if instance.state != "terminated" {
        value["PrivateIpAddress"] = json!(instance.address.to_string());
        value["PrivateDnsName"] = json!(private_name(view, instance));
        value["SubnetId"] = json!(instance.subnet_id);
        value["VpcId"] = json!(instance.vpc_id);
        value["SecurityGroups"] = json!(groups);
        value["SourceDestCheck"] = instance
            .attributes
            .get("sourceDestCheck")
            .cloned()
            .unwrap_or(json!(true));
        value["NetworkInterfaces"] = json!([inside(view, instance)]);
    }
    value
}

pub(crate) fn reservation(view: &View<'_>, id: &str, instances: &[Arc<Instance>]) -> Value {
    let shown: Vec<Value> = instances.iter().map(|instance| shown(view, instance)).collect();
    json!({"ReservationId": id, "OwnerId": view.request.account, "Groups": [], "Instances": shown})
}

pub(crate) fn item(view: &View<'_>, instance: &Arc<Instance>, value: Value) -> Item {
    Item::new(&instance.id, value)
        .fact("launch-time", timestamp(instance.launched.0 as f64 / 1e6))
        .fact("owner-id", view.request.account)
        .fact("reservation-id", &instance.reservation_id)
}
