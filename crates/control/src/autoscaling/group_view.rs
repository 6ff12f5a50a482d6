//! Groups and their instances as answers show them.

use crate::api::context::View;
use crate::api::errors::validation;
use crate::autoscaling::group_tags;
use crate::autoscaling::lookup::{listed, texts, time};
use crate::autoscaling::member_view::member_value;
use crate::autoscaling::records::{Group, Source};
use crate::autoscaling::{predictive, warm_pools};
use crate::ec2::zones::zone_id;
use forebay_awswire::ApiError;
use serde_json::{Value, json};

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let given = &view.request.input;
    let names = texts(&given["AutoScalingGroupNames"]);
    let filters = given["Filters"].as_array().cloned().unwrap_or_default();
    let with_instances = given["IncludeInstances"] != false;
    for filter in &filters {
        let name = filter["Name"].as_str().unwrap_or_default();
        if !matches!(name, "tag-key" | "tag-value" | "tag") && !name.starts_with("tag:") {
            return Err(validation(format!(
                "Filter type {name} is not correct. Allowed Filter types are: tag-key, tag-value, tag:<key>"
            )));
        }
    }
    let groups = view.region().scaling_groups.values();
    let asked = groups
        .filter(|group| names.is_empty() || names.contains(&group.name))
        .filter(|group| filters.iter().all(|filter| fits(group, filter)));
    let items = asked.map(|group| (group.name.clone(), shown(view, group, with_instances)));
    listed(view, "AutoScalingGroups", items)
}

fn fits(group: &Group, filter: &Value) -> bool {
    let values = texts(&filter["Values"]);
    let name = filter["Name"].as_str().unwrap_or_default();
    group.tags.iter().any(|tag| match name.strip_prefix("tag:") {
        Some(key) => tag.key == key && values.contains(&tag.value),
        None if name == "tag-key" => values.contains(&tag.key),
        None => values.contains(&tag.value),
    })
}

fn shown(view: &View<'_>, group: &Group, with_instances: bool) -> Value {
    let mut zones = group.zones.clone();
    zones.sort();
    let ids: Vec<String> = zones.iter().map(|zone| zone_id(zone)).collect();
    let members = view.region().members_of(&group.name);
    let (warm, own): (Vec<_>, Vec<_>) = members.partition(|member| member.state.is_warmed());
    let sources = group
        .target_groups
        .iter()
        .map(|arn| json!({"Identifier": arn, "Type": "elbv2"}))
        .chain(
            group
                .classic_balancers
                .iter()
                .map(|name| json!({"Identifier": name, "Type": "elb"})),
        );
    let mut value = json!({
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        "MinSize": group.min,
        "MaxSize": group.max,
        "DesiredCapacity": group.desired,
        "DefaultCooldown": group.cooldown,
        "AvailabilityZones": zones,
        "AvailabilityZoneIds": ids,
        "LoadBalancerNames": group.classic_balancers,
        "TargetGroupARNs": group.target_groups,
        "HealthCheckType": group.health_check,
        "HealthCheckGracePeriod": group.grace,
        "Instances": if with_instances { own.iter().map(|member| member_value(member)).collect() } else { Vec::new() },
        "CreatedTime": time(group.created),
        "SuspendedProcesses": suspended(group),
        "VPCZoneIdentifier": group.subnets.join(","),
        "EnabledMetrics": group.metrics.iter().map(|name| json!({"Metric": name, "Granularity": "1Minute"})).collect::<Vec<_>>(),
        "Tags": group_tags::of_group(group).collect::<Vec<_>>(),
        "TerminationPolicies": group.termination,
        "NewInstancesProtectedFromScaleIn": group.protects_new,
        "TrafficSources": sources.collect::<Vec<_>>(),
        "CapacityRebalance": false,
    });
    if group.deleting {
        value["Status"] = json!("Delete in progress");
    }
    if let Some(warmup) = group.warmup {
        value["DefaultInstanceWarmup"] = json!(warmup);
    }
    if let Some(pool) = &group.warm_pool {
        value["WarmPoolConfiguration"] = warm_pools::shown(pool, view.dialect());
        value["WarmPoolSize"] = json!(warm.len());
    }
    for (name, other) in &group.others {
        value[name] = other.clone();
    }
    predictive::say(&mut value, group, view.request.now);
    say_source(&mut value, &group.source);
    value
}

fn suspended(group: &Group) -> Vec<Value> {
    let processes = group.suspended.iter();
    processes
        .map(|(name, reason)| json!({"ProcessName": name, "SuspensionReason": reason}))
        .collect()
}

fn say_source(value: &mut Value, source: &Source) {
    match source {
        Source::Configuration(name) => value["LaunchConfigurationName"] = json!(name),
        Source::Template(template) => {
            value["LaunchTemplate"] =
                json!({"LaunchTemplateId": template.id, "LaunchTemplateName": template.name});
            if let Some(version) = &template.version {
                value["LaunchTemplate"]["Version"] = json!(version);
            }
        }
        Source::Mixed(policy) => value["MixedInstancesPolicy"] = policy.clone(),
    }
}

pub(crate) fn describe_instances(view: &View<'_>) -> Result<Value, ApiError> {
    let ids = texts(&view.request.input["InstanceIds"]);
    let members = view.region().members.values();
    let mut asked: Vec<_> = members
        .filter(|member| ids.is_empty() || ids.contains(&member.id))
        .collect();
    asked.sort_by(|one, other| one.id.cmp(&other.id));
    let items = asked.into_iter().map(|member| {
        let mut value = member_value(member);
        value["AutoScalingGroupName"] = json!(member.group);
        // In this answer AWS writes it capitalized.
        value["HealthStatus"] = json!(if member.unhealthy.is_some() {
            "UNHEALTHY"
        } else {
            "HEALTHY"
        });
        (member.id.clone(), value)
    });
    listed(view, "AutoScalingInstances", items)
}
