//! Scaling policies: put, describe, delete and execute them.

use crate::api::arns::own_arn;
use crate::api::context::{Tx, View};
use crate::api::errors::{error, validation};
use crate::autoscaling::desired::{cools_down, desire};
use crate::autoscaling::execute::{Asked, propose, wanted};
use crate::autoscaling::lookup::{asked_group, key, listed, put_group, texts};
use crate::autoscaling::pass::{clock, uuid};
use crate::autoscaling::records::{Group, Policy};
use crate::autoscaling::{execute, forecast, predictive, tracking_alarms};
use crate::state::Dialect;
use forebay_awswire::ApiError;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most policies of a group.
const LIMIT: usize = 50;

/// Members of PutScalingPolicy that are stored as given.
const MEMBERS: [&str; 10] = [
    "AdjustmentType",
    "MinAdjustmentStep",
    "MinAdjustmentMagnitude",
    "ScalingAdjustment",
    "Cooldown",
    "MetricAggregationType",
    "StepAdjustments",
    "EstimatedInstanceWarmup",
    "TargetTrackingConfiguration",
    "PredictiveScalingConfiguration",
];

pub(crate) fn put(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let group = asked_group(tx)?;
    let given = tx.request.input.clone();
    let name = given["PolicyName"].as_str().unwrap_or_default();
    let kind = given["PolicyType"].as_str().unwrap_or("SimpleScaling");
    let known = tx.region().scaling_policies.get(&key(&group.name, name)).cloned();
    if known.is_none() && tx.region().policies_of(&group.name).count() >= LIMIT {
        return Err(error(
            "LimitExceeded",
            format!("An Auto Scaling group can have {LIMIT} scaling policies at most."),
        ));
    }
    let mut data: BTreeMap<String, Value> = MEMBERS
        .into_iter()
        .filter_map(|member| Some((member.to_owned(), given.get(member)?.clone())))
        // A description shows empty lists of steps for all policies, and clients send them back.
        .filter(|(_, value)| value.as_array().is_none_or(|list| !list.is_empty()))
        .collect();
    check(tx, &group.name, kind, &mut data)?;
    let mut policy = Policy {
        name: name.to_owned(),
        group: group.name.clone(),
        arn: match &known {
            Some(known) => known.arn.clone(),
            None => arn(tx, &group, name),
        },
        kind: kind.to_owned(),
        enabled: given["Enabled"] != false,
        data,
        alarms: known
            .as_ref()
            .map(|known| known.alarms.clone())
            .unwrap_or_default(),
    };
    if known.as_deref() != Some(&policy) {
        if kind == "TargetTrackingScaling" {
            tracking_alarms::put(tx, &group, &mut policy)?;
        } else {
            tracking_alarms::delete(tx, &mut policy);
        }
        predictive::forget(tx, &policy);
        let key = key(&group.name, name);
        tx.region_mut()
            .scaling_policies
            .insert(key, Arc::new(policy.clone()));
    }
    Ok(json!({"PolicyARN": policy.arn, "Alarms": own_alarms(tx, &policy)}))
}

fn arn(tx: &mut Tx<'_>, group: &Group, name: &str) -> String {
    let id = match tx.dialect() {
        Dialect::Aws => uuid(tx),
        // moto gives all policies this id.
        Dialect::Moto => "c322761b-3172-4d56-9a21-0ed9d6161d67".to_owned(),
    };
    own_arn(
        tx,
        "autoscaling",
        &format!(
            "scalingPolicy:{id}:autoScalingGroupName/{}:policyName/{name}",
            group.name
        ),
    )
}

/// Checks a policy, and fills in the defaults that a description shows.
fn check(
    view: &View<'_>,
    group: &str,
    kind: &str,
    data: &mut BTreeMap<String, Value>,
) -> Result<(), ApiError> {
    let is_moto = view.dialect() == Dialect::Moto;
    match kind {
        "SimpleScaling" => {
            for needed in ["AdjustmentType", "ScalingAdjustment"] {
                if !data.contains_key(needed) {
                    return Err(validation(format!(
                        "{needed} is required for a policy of type SimpleScaling."
                    )));
                }
            }
            if is_moto {
                data.entry("Cooldown".to_owned()).or_insert(json!(300));
            }
        }
        "StepScaling" if is_moto => {}
        "StepScaling" => {
            if !data.contains_key("AdjustmentType") {
                return Err(validation(
                    "AdjustmentType is required for a policy of type StepScaling.",
                ));
            }
            if data.contains_key("ScalingAdjustment") {
                return Err(validation(
                    "ScalingAdjustment is not valid for a policy of type StepScaling.",
                ));
            }
            // Terraform sends it although step scaling has no cooldown.
            data.remove("Cooldown");
            let steps = data.get("StepAdjustments").unwrap_or(&Value::Null);
            execute::steps(steps).map_err(|problem| validation(problem.to_string()))?;
            data.entry("MetricAggregationType".to_owned())
                .or_insert(json!("Average"));
        }
        "TargetTrackingScaling" => {
            let Some(given) = data.get_mut("TargetTrackingConfiguration") else {
                return Err(validation(
                    "TargetTrackingConfiguration is required for a policy of type TargetTrackingScaling.",
                ));
            };
            tracking_alarms::check(view, given)?;
        }
        "PredictiveScaling" => {
            let given = data.get("PredictiveScalingConfiguration").unwrap_or(&Value::Null);
            if given["Mode"] == "ForecastAndScale" && !is_moto {
                forecast::check_scaling(view.request.region, group, given)?;
            }
        }
        other => {
            return Err(validation(format!(
                "The policy type {other} is invalid: it must be SimpleScaling, StepScaling, TargetTrackingScaling or PredictiveScaling."
            )));
        }
    }
    if let Some(kind) = data.get("AdjustmentType").and_then(Value::as_str)
        && execute::adjustment_type(kind).is_none()
    {
        return Err(validation(format!(
            "The adjustment type {kind} is invalid: it must be ChangeInCapacity, ExactCapacity or PercentChangeInCapacity."
        )));
    }
    Ok(())
}

/// The alarms that trigger a policy.
fn own_alarms(view: &View<'_>, policy: &Policy) -> Vec<Value> {
    let alarms = view.region().alarms.values();
    let running = alarms.filter(|alarm| {
        let mut all = alarm
            .alarm_actions
            .iter()
            .chain(&alarm.ok_actions)
            .chain(&alarm.insufficient_data_actions);
        all.any(|action| *action == policy.arn)
    });
    running
        .map(|alarm| json!({"AlarmName": alarm.name, "AlarmARN": alarm.arn}))
        .collect()
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let given = &view.request.input;
    let (names, kinds) = (texts(&given["PolicyNames"]), texts(&given["PolicyTypes"]));
    let group = given["AutoScalingGroupName"].as_str();
    if let Some(name) = group
        && view.dialect() == Dialect::Aws
    {
        view.region().scaling_group(name)?;
    }
    let policies = view.region().scaling_policies.iter();
    let asked = policies.filter(|(_, policy)| {
        group.is_none_or(|group| group == policy.group)
            && (names.is_empty() || names.contains(&policy.name) || names.contains(&policy.arn))
            && (kinds.is_empty() || kinds.contains(&policy.kind))
    });
    let items: Vec<(String, Value)> = asked
        .map(|(key, policy)| (key.clone(), shown(view, policy)))
        .collect();
    listed(view, "ScalingPolicies", items)
}

fn shown(view: &View<'_>, policy: &Policy) -> Value {
    let mut value = json!({
        "AutoScalingGroupName": policy.group,
        "PolicyName": policy.name,
        "PolicyARN": policy.arn,
        "PolicyType": policy.kind,
        "StepAdjustments": [],
        "Alarms": own_alarms(view, policy),
        "Enabled": policy.enabled,
    });
    for (name, member) in &policy.data {
        value[name] = member.clone();
    }
    if view.dialect() == Dialect::Moto {
        let place = "/TargetTrackingConfiguration/CustomizedMetricSpecification";
        if let Some(specification) = value.pointer_mut(place) {
            fill_metrics(specification);
        }
    }
    value
}

/// moto shows the members that a metric query leaves out.
fn fill_metrics(given: &mut Value) {
    if given.get("Metrics").is_none() {
        return;
    }
    given["Dimensions"] = given.get("Dimensions").cloned().unwrap_or_else(|| json!([]));
    for metric in given["Metrics"].as_array_mut().into_iter().flatten() {
        metric["ReturnData"] = metric.get("ReturnData").cloned().unwrap_or(Value::Bool(true));
    }
}

/// The policy that a call gives by name or by ARN.
fn asked_policy(view: &View<'_>) -> Result<Arc<Policy>, ApiError> {
    let given = &view.request.input;
    let name = given["PolicyName"].as_str().unwrap_or_default();
    let group = given["AutoScalingGroupName"].as_str();
    let mut policies = view.region().scaling_policies.values();
    let found = policies.find(|policy| {
        (policy.name == name || policy.arn == name) && group.is_none_or(|group| group == policy.group)
    });
    found.cloned().ok_or_else(|| {
        let text = match group {
            Some(group) => format!("PolicyName not found - PolicyName {name} not found for group {group}"),
            None => format!("PolicyName not found - PolicyName {name} not found"),
        };
        validation(text)
    })
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let mut policy = Policy::clone(&*asked_policy(tx)?);
    remove(tx, &mut policy);
    Ok(json!({}))
}

fn remove(tx: &mut Tx<'_>, policy: &mut Policy) {
    tracking_alarms::delete(tx, policy);
    predictive::forget(tx, policy);
    let key = key(&policy.group, &policy.name);
    tx.region_mut().scaling_policies.remove(&key);
}

/// Deletes all policies of a group, with their alarms.
pub(super) fn delete_all(tx: &mut Tx<'_>, group: &str) {
    let policies: Vec<Arc<Policy>> = tx.region().policies_of(group).cloned().collect();
    for policy in policies {
        remove(tx, &mut Policy::clone(&policy));
    }
}

pub(crate) fn execute(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let policy = asked_policy(tx)?;
    let given = &tx.request.input;
    let (value, threshold) = (given["MetricValue"].as_f64(), given["BreachThreshold"].as_f64());
    let beyond = match (policy.kind.as_str(), value, threshold) {
        ("SimpleScaling", None, None) => None,
        ("SimpleScaling", ..) => {
            return Err(validation(
                "MetricValue and BreachThreshold are valid only for a policy of type StepScaling.",
            ));
        }
        ("StepScaling", Some(value), Some(threshold)) => Some(value - threshold),
        ("StepScaling", ..) => {
            return Err(validation(
                "MetricValue and BreachThreshold are required for a policy of type StepScaling.",
            ));
        }
        (other, ..) => {
            return Err(validation(format!(
                "A policy of type {other} cannot be executed by a call."
            )));
        }
    };
    let region = tx.region();
    let group = region.scaling_group(&policy.group)?.clone();
    let now = tx.request.now;
    if tx.request.input["HonorCooldown"] == true && policy.kind == "SimpleScaling" && cools_down(&group, now)
    {
        return Err(error(
            "ScalingActivityInProgress",
            format!(
                "A scaling activity or the cooldown of AutoScalingGroup {} is in progress; try again later, or without HonorCooldown.",
                group.name
            ),
        ));
    }
    let asked = match beyond {
        Some(beyond) => Asked::Step { beyond },
        None => Asked::Manual,
    };
    let mut group = Group::clone(&group);
    let proposed = propose(region, &group, &policy, &asked, now)
        .map_err(validation)?
        .desired;
    let desired = match tx.dialect() {
        Dialect::Aws => proposed,
        // moto ignores the bounds.
        Dialect::Moto => wanted(&group, &policy).unwrap_or(proposed),
    };
    let why = format!("At {} a user request executed policy {}", clock(now), policy.name);
    desire(&mut group, desired, &why);
    put_group(tx, group);
    Ok(json!({}))
}
