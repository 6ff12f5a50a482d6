//! Adds and removes tags of resources of any service by ARN, through each service's own operations. Failures are
//! reported for each ARN.

use crate::api::arns::parts;
use crate::api::context::{Answered, Tx};
use crate::api::errors::invalid_parameter;
use crate::autoscaling::group_tags;
use crate::cloudwatch::tags as cloudwatch;
use crate::ec2::tags as ec2;
use crate::elbv2::tags as elbv2;
use crate::sqs::tags as queue_tags;
use forebay_awswire::{ApiError, Service};
use serde_json::{Map, Value, json};

pub(crate) fn tag(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let tags = tx.request.input["Tags"].as_object().cloned().unwrap_or_default();
    each(tx, |tx, arn| add(tx, arn, &tags))
}

pub(crate) fn untag(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let keys = tx.request.input["TagKeys"].clone();
    each(tx, |tx, arn| take(tx, arn, &keys))
}

/// Applies a change to each ARN in the call. One that fails does not affect the others.
fn each(tx: &mut Tx<'_>, mut change: impl FnMut(&mut Tx<'_>, &str) -> Answered) -> Answered {
    let arns = tx.request.input["ResourceARNList"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut failed = Map::new();
    for arn in arns.iter().filter_map(Value::as_str) {
        if let Err(problem) = change(tx, arn) {
            // AWS has two codes here, for faults of the caller and of the service.
            let info = json!({
                "StatusCode": 400, "ErrorCode": "InvalidParameterException", "ErrorMessage": problem.message,
            });
            failed.insert(arn.to_owned(), info);
        }
    }
    Ok(json!({"FailedResourcesMap": failed}))
}

/// Where a resource's tags are stored.
enum Place {
    Balancing,
    Alarm,
    /// EC2 resources, by id.
    Id(String),
    /// An Auto Scaling group, by name.
    Group(String),
    /// A queue, by the last part of its URL.
    Queue(String),
}

fn place(tx: &Tx<'_>, arn: &str) -> Result<Place, ApiError> {
    let found = parts(arn);
    let resource = found.resource.unwrap_or_default();
    match found.service {
        Some("elasticloadbalancing") => Ok(Place::Balancing),
        Some("cloudwatch") => Ok(Place::Alarm),
        Some("ec2") => {
            let id = resource.rsplit('/').next().unwrap_or_default();
            Ok(Place::Id(id.to_owned()))
        }
        Some("autoscaling") => {
            let mut groups = tx.region().scaling_groups.values();
            let group = groups.find(|group| group.arn == arn);
            let group = group.ok_or_else(|| invalid_parameter(format!("There is no resource {arn}.")))?;
            Ok(Place::Group(group.name.clone()))
        }
        Some("sqs") => Ok(Place::Queue(format!("/{}/{resource}", tx.request.account))),
        _ => Err(invalid_parameter(format!(
            "Resources of this service cannot be tagged here: {arn}."
        ))),
    }
}

fn add(tx: &mut Tx<'_>, arn: &str, tags: &Map<String, Value>) -> Answered {
    let list: Vec<Value> = tags
        .iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect();
    match place(tx, arn)? {
        Place::Balancing => {
            let input = json!({"ResourceArns": [arn], "Tags": list});
            tx.nested(Service::Elbv2, "AddTags", input, elbv2::add_tags)
        }
        Place::Alarm => {
            let input = json!({"ResourceARN": arn, "Tags": list});
            tx.nested(Service::CloudWatch, "TagResource", input, cloudwatch::tag)
        }
        Place::Id(id) => {
            let input = json!({"Resources": [id], "Tags": list});
            tx.nested(Service::Ec2, "CreateTags", input, ec2::create)
        }
        Place::Group(name) => {
            // This API has no setting for propagation to new instances, so existing tags keep theirs.
            let known = tx.region().scaling_group(&name)?.tags.clone();
            let list: Vec<Value> = tags
                .iter()
                .map(|(key, value)| {
                    let propagate = known.iter().any(|tag| tag.key == *key && tag.propagate);
                    json!({"ResourceId": name, "ResourceType": "auto-scaling-group", "Key": key, "Value": value,
                        "PropagateAtLaunch": propagate})
                })
                .collect();
            let input = json!({ "Tags": list });
            tx.nested(Service::AutoScaling, "CreateOrUpdateTags", input, group_tags::put)
        }
        Place::Queue(url) => {
            let input = json!({"QueueUrl": url, "Tags": tags});
            tx.nested(Service::Sqs, "TagQueue", input, queue_tags::tag)
        }
    }
}

fn take(tx: &mut Tx<'_>, arn: &str, keys: &Value) -> Answered {
    let by_key = |more: Value| -> Vec<Value> {
        let keys = keys.as_array().into_iter().flatten();
        keys.map(|key| {
            let mut tag = more.clone();
            tag["Key"] = key.clone();
            tag
        })
        .collect()
    };
    match place(tx, arn)? {
        Place::Balancing => {
            let input = json!({"ResourceArns": [arn], "TagKeys": keys});
            tx.nested(Service::Elbv2, "RemoveTags", input, elbv2::remove_tags)
        }
        Place::Alarm => {
            let input = json!({"ResourceARN": arn, "TagKeys": keys});
            tx.nested(Service::CloudWatch, "UntagResource", input, cloudwatch::untag)
        }
        Place::Id(id) => {
            let input = json!({"Resources": [id], "Tags": by_key(json!({}))});
            tx.nested(Service::Ec2, "DeleteTags", input, ec2::delete)
        }
        Place::Group(name) => {
            let more = json!({"ResourceId": name, "ResourceType": "auto-scaling-group"});
            let input = json!({ "Tags": by_key(more) });
            tx.nested(Service::AutoScaling, "DeleteTags", input, group_tags::delete)
        }
        Place::Queue(url) => {
            let input = json!({"QueueUrl": url, "TagKeys": keys});
            tx.nested(Service::Sqs, "UntagQueue", input, queue_tags::untag)
        }
    }
}
