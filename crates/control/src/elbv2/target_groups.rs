//! Target groups: create, modify, delete and describe them.

use crate::api::context::{Tx, View};
use crate::api::errors::{configuration, groups_missing, not_in, validation};
use crate::api::paging::{PageInput, answer, page};
use crate::api::tagging::{has_tags, put_tags};
use crate::elbv2::arns::new_group_arn;
use crate::elbv2::probes::{HealthInput, new_health, set_health};
use crate::elbv2::records::TargetGroup;
use crate::elbv2::tags::{TagInput, check_group, read_tags};
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_model::{HealthPort, limits};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Default page size of DescribeTargetGroups.
const PAGE: usize = 400;

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateInput {
    #[serde(default)]
    name: String,
    protocol: Option<String>,
    protocol_version: Option<String>,
    port: Option<u16>,
    vpc_id: Option<String>,
    target_type: Option<String>,
    #[serde(default)]
    tags: Vec<TagInput>,
    ip_address_type: Option<String>,
    target_control_port: Option<u16>,
    #[serde(flatten)]
    health: HealthInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModifyInput {
    #[serde(default)]
    target_group_arn: String,
    #[serde(flatten)]
    health: HealthInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeInput {
    load_balancer_arn: Option<String>,
    #[serde(default)]
    target_group_arns: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
    #[serde(flatten)]
    page: PageInput,
}

pub(crate) fn create_target_group(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: CreateInput = tx.input()?;
    let tags = read_tags(input.tags.clone())?;
    let mut group = wanted(tx, input)?;
    check_group(&group, &tags)?;
    if let Some(existing) = tx
        .region()
        .target_groups
        .values()
        .find(|other| other.name == group.name)
    {
        group.arn.clone_from(&existing.arn);
        group.sequence = existing.sequence;
        group.attributes.clone_from(&existing.attributes);
        if **existing == group && has_tags(tx.region(), &existing.arn, &tags) {
            return Ok(json!({"TargetGroups": [group_value(existing, None)]}));
        }
        return Err(ApiError::sender(
            "DuplicateTargetGroupName",
            format!(
                "A target group with the same name '{}' exists, but with different settings",
                group.name
            ),
        ));
    }
    if tx.region().target_groups.len() >= tx.state.quota(limits::GROUPS) {
        let text = "The maximum number of target groups has been reached";
        return Err(ApiError::sender("TooManyTargetGroups", text));
    }
    group.arn = new_group_arn(tx, &group.name);
    let answer = json!({"TargetGroups": [group_value(&group, None)]});
    let region = tx.region_mut();
    put_tags(region, &group.arn, tags);
    region.target_groups.insert(group.arn.clone(), Arc::new(group));
    Ok(answer)
}

/// The target group that a call describes, without its ARN.
fn wanted(view: &View<'_>, input: CreateInput) -> Result<TargetGroup, ApiError> {
    check_name(&input.name)?;
    let target_type = input.target_type.clone().unwrap_or_else(|| "instance".to_owned());
    let known = ["instance", "ip", "lambda", "alb"];
    if !known.contains(&target_type.as_str()) && view.dialect() == Dialect::Aws {
        return Err(not_in(&target_type, "targetType", &known));
    }
    check_place(view, &input, &target_type)?;
    check_protocol(view, &input, &target_type)?;
    let protocol_version = match (input.protocol.as_deref(), input.protocol_version.clone()) {
        (Some("HTTP" | "HTTPS"), given) => Some(given.unwrap_or_else(|| "HTTP1".to_owned())),
        (_, None) => None,
        (_, Some(_)) => {
            return Err(validation(
                "A protocol version can be specified only if the protocol is HTTP or HTTPS",
            ));
        }
    };
    if protocol_version
        .as_deref()
        .is_some_and(|version| !["HTTP1", "HTTP2", "GRPC"].contains(&version))
    {
        return Err(validation(
            "The protocol version must be one of 'HTTP1, HTTP2, GRPC'",
        ));
    }
    let ip_address_type = input.ip_address_type.clone().unwrap_or_else(|| "ipv4".to_owned());
    if target_type == "lambda" && ip_address_type == "ipv6" {
        return Err(validation(
            "IP address type cannot be 'ipv6' for target groups with target type 'lambda'",
        ));
    }
    if input.target_control_port.is_some() && !matches!(target_type.as_str(), "instance" | "ip") {
        return Err(validation(
            "A target control port needs target type 'instance' or 'ip'",
        ));
    }
    if input.target_control_port.is_some() && input.target_control_port == input.port {
        return Err(validation(
            "The target control port must be different from the target group's port",
        ));
    }
    let (health, health_protocol) = new_health(
        &input.health,
        input.protocol.as_deref(),
        protocol_version.as_deref(),
        &target_type,
        view.dialect(),
    )?;
    Ok(TargetGroup {
        arn: String::new(),
        name: input.name,
        target_type,
        protocol: input.protocol,
        protocol_version,
        port: input.port,
        vpc_id: input.vpc_id,
        ip_address_type,
        control_port: input.target_control_port,
        health,
        health_protocol,
        sequence: view.state.generation(),
        attributes: Default::default(),
    })
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if name.chars().count() > 32 {
        return Err(validation(format!(
            "Target group name '{name}' cannot be longer than '32' characters"
        )));
    }
    if name.is_empty()
        || !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        return Err(validation(format!(
            "Target group name '{name}' can only contain characters that are alphanumeric characters or hyphens(-)"
        )));
    }
    if name.starts_with('-') || name.ends_with('-') || name.contains("--") {
        return Err(validation(format!(
            "1 validation error detected: Value '{name}' at 'targetGroup.targetGroupArn.targetGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!.*--)(?!^-)(?!.*-$)^[A-Za-z0-9-]+$"
        )));
    }
    Ok(())
}

/// Protocol, port and VPC are required, except for functions, where they are forbidden.
fn check_place(view: &View<'_>, input: &CreateInput, target_type: &str) -> Result<(), ApiError> {
    let given = [
        ("protocol", "Protocol", input.protocol.is_some()),
        ("port", "Port", input.port.is_some()),
        ("VPC ID", "VPC ID", input.vpc_id.is_some()),
    ];
    for (name, title, is_given) in given {
        if target_type == "lambda" && is_given {
            let text = format!("{title} cannot be specified for target groups with target type 'lambda'");
            return Err(validation(text));
        }
        if target_type != "lambda" && !is_given {
            return Err(validation(format!("A {name} must be specified")));
        }
    }
    match &input.vpc_id {
        Some(id) if !view.region().vpcs.contains_key(id) => {
            Err(validation(format!("The VPC ID '{id}' is not found")))
        }
        _ => Ok(()),
    }
}

fn check_protocol(view: &View<'_>, input: &CreateInput, target_type: &str) -> Result<(), ApiError> {
    let protocol = input.protocol.as_deref().unwrap_or_default();
    if target_type == "alb" && protocol != "TCP" && view.dialect() == Dialect::Aws {
        let text = format!("Protocol '{protocol}' is not supported for target groups with target type 'alb'");
        return Err(validation(text));
    }
    if protocol == "GENEVE" && input.port != Some(6081) {
        return Err(validation(
            "Port must be 6081 for target groups with the GENEVE protocol",
        ));
    }
    Ok(())
}

/// A target group in the API's form. `users` are the ARNs of its load balancers, which AWS omits in the answer to
/// CreateTargetGroup.
pub(crate) fn group_value(group: &TargetGroup, users: Option<Vec<&str>>) -> Value {
    let health = &group.health;
    let mut value = json!({
        "TargetGroupArn": group.arn,
        "TargetGroupName": group.name,
        "TargetType": group.target_type,
        "HealthCheckEnabled": health.enabled,
        "HealthCheckIntervalSeconds": health.interval.as_secs(),
        "HealthCheckTimeoutSeconds": health.timeout.as_secs(),
        "HealthyThresholdCount": health.healthy_threshold,
        "UnhealthyThresholdCount": health.unhealthy_threshold,
        "IpAddressType": group.ip_address_type,
    });
    let mut put = |name: &str, member: Option<Value>| {
        if let Some(member) = member {
            value[name] = member;
        }
    };
    put("Protocol", group.protocol.as_ref().map(|text| json!(text)));
    put(
        "ProtocolVersion",
        group.protocol_version.as_ref().map(|text| json!(text)),
    );
    put("Port", group.port.map(|port| json!(port)));
    put("VpcId", group.vpc_id.as_ref().map(|text| json!(text)));
    put("TargetControlPort", group.control_port.map(|port| json!(port)));
    put("LoadBalancerArns", users.map(|users| json!(users)));
    if group.target_type != "lambda" {
        put(
            "HealthCheckProtocol",
            group.health_protocol.as_ref().map(|text| json!(text)),
        );
        let port = match health.port {
            HealthPort::Traffic => "traffic-port".to_owned(),
            HealthPort::At(port) => port.to_string(),
        };
        put("HealthCheckPort", Some(json!(port)));
    }
    if matches!(group.health_protocol.as_deref(), None | Some("HTTP" | "HTTPS")) {
        put("HealthCheckPath", Some(json!(health.path)));
        let code = if group.protocol_version.as_deref() == Some("GRPC") {
            "GrpcCode"
        } else {
            "HttpCode"
        };
        put("Matcher", Some(json!({code: health.matcher.text()})));
    }
    value
}

pub(crate) fn modify_target_group(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: ModifyInput = tx.input()?;
    let mut group = (**tx.region().group(&input.target_group_arn)?).clone();
    set_health(&mut group, &input.health)?;
    let users = tx.region().users_of(&group.arn);
    let users = users.iter().map(|balancer| balancer.arn.as_str()).collect();
    let answer = json!({"TargetGroups": [group_value(&group, Some(users))]});
    tx.region_mut()
        .target_groups
        .insert(group.arn.clone(), Arc::new(group));
    Ok(answer)
}

pub(crate) fn delete_target_group(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: ModifyInput = tx.input()?;
    let arn = &input.target_group_arn;
    if tx
        .region()
        .rules
        .values()
        .any(|rule| rule.groups().any(|group| group == arn))
    {
        let noun = match tx.dialect() {
            Dialect::Aws => "Target group",
            Dialect::Moto => "The target group",
        };
        let text = format!("{noun} '{arn}' is currently in use by a listener or a rule");
        return Err(ApiError::sender("ResourceInUse", text));
    }
    if !tx.region().target_groups.contains_key(arn) {
        return Ok(json!({}));
    }
    let targets = tx.region().targets_of(arn);
    let keys: Vec<String> = targets.map(|target| target.key()).collect();
    let region = tx.region_mut();
    for key in keys {
        region.targets.remove(&key);
    }
    region.target_groups.remove(arn);
    region.tags.remove(arn);
    Ok(json!({}))
}

pub(crate) fn describe_target_groups(view: &View<'_>) -> Result<Value, ApiError> {
    let input: DescribeInput = view.input()?;
    let region = view.region();
    let asked = [
        input.load_balancer_arn.is_some(),
        !input.target_group_arns.is_empty(),
        !input.names.is_empty(),
    ];
    if asked.iter().filter(|&&asked| asked).count() > 1 {
        return Err(validation(
            "Target group names, target group ARNs, and a load balancer ARN cannot be specified at the same time",
        ));
    }
    if input.target_group_arns.len() > 20 || input.names.len() > 20 {
        return Err(configuration("Up to 20 target groups can be specified"));
    }
    let uses = region.uses();
    let mut groups: Vec<&Arc<TargetGroup>> = if let Some(balancer) = &input.load_balancer_arn {
        region.balancer(balancer)?;
        let used = |arn: &str| {
            uses.get(arn)
                .is_some_and(|users| users.contains(balancer.as_str()))
        };
        let groups: Vec<_> = region
            .target_groups
            .values()
            .filter(|group| used(&group.arn))
            .collect();
        if groups.is_empty() {
            return Err(groups_missing());
        }
        groups
    } else if !input.target_group_arns.is_empty() {
        input
            .target_group_arns
            .iter()
            .map(|arn| region.group(arn))
            .collect::<Result<_, _>>()?
    } else if !input.names.is_empty() {
        let named = region
            .target_groups
            .values()
            .filter(|group| input.names.contains(&group.name));
        let named: Vec<_> = named.collect();
        if named.len() < input.names.iter().collect::<BTreeSet<_>>().len() {
            return Err(groups_missing());
        }
        named
    } else {
        region.target_groups.values().collect()
    };
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    let (held, next) = page(view, groups, |group| group.name.clone(), &input.page, PAGE)?;
    let value = |group: &Arc<TargetGroup>| {
        let users = uses
            .get(group.arn.as_str())
            .map(|users| users.iter().copied().collect());
        group_value(group, Some(users.unwrap_or_default()))
    };
    Ok(answer(
        "TargetGroups",
        held.into_iter().map(value).collect(),
        next,
    ))
}
