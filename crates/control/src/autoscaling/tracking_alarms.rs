//! The two alarms of a target tracking policy, under the names that AWS gives them.

use crate::api::context::{Tx, View};
use crate::api::errors::validation;
use crate::autoscaling::pass::uuid;
use crate::autoscaling::records::{Group, Policy};
use crate::cloudwatch::alarm_state::delete as delete_alarms;
use crate::cloudwatch::put_alarm::put_metric_alarm;
use crate::state::Dialect;
use forebay_awswire::{ApiError, Service};
use serde_json::{Value, json};

/// How many periods in a row the metric must be above the target to scale out.
const HIGH_PERIODS: u32 = 3;
/// How many periods in a row the metric must be below the low threshold to scale in.
const LOW_PERIODS: u32 = 15;
/// The low alarm's threshold as a share of the target, so that a metric at its target does not make the group
/// oscillate.
const LOW_SHARE: f64 = 0.9;
const PERIOD: u64 = 60;

/// Checks a configuration.
pub(super) fn check(view: &View<'_>, given: &Value) -> Result<(), ApiError> {
    let (predefined, customized) = (
        given.get("PredefinedMetricSpecification"),
        given.get("CustomizedMetricSpecification"),
    );
    if view.dialect() == Dialect::Moto {
        return Ok(());
    }
    match (predefined, customized) {
        (Some(_), None) | (None, Some(_)) => {}
        _ => {
            return Err(validation(
                "TargetTrackingConfiguration must contain either a PredefinedMetricSpecification or a CustomizedMetricSpecification.",
            ));
        }
    }
    let target = given["TargetValue"].as_f64().unwrap_or(f64::NAN);
    if !target.is_finite() || target <= 0.0 {
        return Err(validation("TargetValue must be greater than zero."));
    }
    metric(given, "group").map(|_| ())
}

/// What the alarms watch, as members of PutMetricAlarm.
fn metric(given: &Value, group: &str) -> Result<Value, ApiError> {
    if let Some(predefined) = given.get("PredefinedMetricSpecification") {
        return of_predefined(predefined, group);
    }
    let custom = &given["CustomizedMetricSpecification"];
    let stated = custom["Metrics"].as_array().filter(|queries| !queries.is_empty());
    if let Some(queries) = stated {
        let mut queries = queries.clone();
        for query in &mut queries {
            if let Some(stat) = query.get_mut("MetricStat") {
                let period = checked_period(stat["Period"].as_u64().or(query_period(custom)))?;
                stat["Period"] = json!(period);
            }
        }
        return Ok(json!({"Metrics": queries}));
    }
    for needed in ["MetricName", "Namespace", "Statistic"] {
        if custom.get(needed).is_none() {
            return Err(validation(format!(
                "CustomizedMetricSpecification must contain {needed}, or Metrics."
            )));
        }
    }
    let mut watched = json!({
        "MetricName": custom["MetricName"],
        "Namespace": custom["Namespace"],
        "Statistic": custom["Statistic"],
        "Dimensions": custom.get("Dimensions").cloned().unwrap_or_else(|| json!([])),
        "Period": checked_period(custom["Period"].as_u64())?,
    });
    if let Some(unit) = custom.get("Unit") {
        watched["Unit"] = unit.clone();
    }
    Ok(watched)
}

fn query_period(custom: &Value) -> Option<u64> {
    custom["Period"].as_u64()
}

fn checked_period(given: Option<u64>) -> Result<u64, ApiError> {
    match given {
        None => Ok(PERIOD),
        Some(period @ (10 | 30 | 60)) => Ok(period),
        Some(other) => Err(validation(format!(
            "The period {other} is invalid: it must be 10, 30 or 60."
        ))),
    }
}

fn of_predefined(given: &Value, group: &str) -> Result<Value, ApiError> {
    let of_ec2 = |name: &str, unit: &str| {
        json!({
            "MetricName": name, "Namespace": "AWS/EC2", "Statistic": "Average", "Period": PERIOD, "Unit": unit,
            "Dimensions": [{"Name": "AutoScalingGroupName", "Value": group}],
        })
    };
    match given["PredefinedMetricType"].as_str().unwrap_or_default() {
        "ASGAverageCPUUtilization" => Ok(of_ec2("CPUUtilization", "Percent")),
        "ASGAverageNetworkIn" => Ok(of_ec2("NetworkIn", "Bytes")),
        "ASGAverageNetworkOut" => Ok(of_ec2("NetworkOut", "Bytes")),
        "ALBRequestCountPerTarget" => {
            let label = given["ResourceLabel"].as_str().unwrap_or_default();
            let parts = label.split_once("/targetgroup/");
            let Some((balancer, target_group)) = parts.filter(|(balancer, _)| balancer.starts_with("app/"))
            else {
                return Err(validation(
                    "ResourceLabel must be app/LOAD-BALANCER-NAME/ID/targetgroup/TARGET-GROUP-NAME/ID for ALBRequestCountPerTarget.",
                ));
            };
            Ok(json!({
                "MetricName": "RequestCountPerTarget", "Namespace": "AWS/ApplicationELB", "Statistic": "Sum", "Period": PERIOD,
                "Dimensions": [
                    {"Name": "TargetGroup", "Value": format!("targetgroup/{target_group}")},
                    {"Name": "LoadBalancer", "Value": balancer},
                ],
            }))
        }
        other => Err(validation(format!(
            "The predefined metric type {other} is invalid: it must be ASGAverageCPUUtilization, ASGAverageNetworkIn, ASGAverageNetworkOut or ALBRequestCountPerTarget."
        ))),
    }
}

/// Creates a policy's alarms, and stores their names in the policy.
pub(super) fn put(tx: &mut Tx<'_>, group: &Group, policy: &mut Policy) -> Result<(), ApiError> {
    let given = policy.data["TargetTrackingConfiguration"].clone();
    let watched = match metric(&given, &group.name) {
        Ok(watched) => watched,
        // moto accepts what AWS refuses.
        Err(_) if tx.dialect() == Dialect::Moto => return Ok(()),
        Err(problem) => return Err(problem),
    };
    let label = given["PredefinedMetricSpecification"]["ResourceLabel"].as_str();
    if let Some((_, target_group)) = label.and_then(|label| label.split_once("/targetgroup/"))
        && tx.dialect() == Dialect::Aws
        && !group
            .target_groups
            .iter()
            .any(|arn| arn.ends_with(&format!(":targetgroup/{target_group}")))
    {
        return Err(validation(format!(
            "The load balancer target group {target_group} is not attached to the Auto Scaling group."
        )));
    }
    let target = given["TargetValue"].as_f64().unwrap_or(f64::NAN);
    let only_out = given["DisableScaleIn"] == true;
    let mut names = Vec::new();
    for (kind, comparison, threshold, periods) in [
        ("AlarmHigh", "GreaterThanThreshold", target, HIGH_PERIODS),
        ("AlarmLow", "LessThanThreshold", target * LOW_SHARE, LOW_PERIODS),
    ] {
        let known = policy.alarms.iter().find(|name| name.contains(kind)).cloned();
        if kind == "AlarmLow" && only_out {
            remove(tx, known);
            continue;
        }
        let name = match known {
            Some(known) => known,
            None => format!("TargetTracking-{}-{kind}-{}", group.name, uuid(tx)),
        };
        let mut input = watched.clone();
        input["AlarmName"] = json!(name);
        input["AlarmDescription"] = json!(format!(
            "DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {}.",
            policy.arn
        ));
        input["AlarmActions"] = json!([policy.arn]);
        input["ComparisonOperator"] = json!(comparison);
        input["Threshold"] = json!(threshold);
        input["EvaluationPeriods"] = json!(periods);
        tx.nested(Service::CloudWatch, "PutMetricAlarm", input, put_metric_alarm)?;
        names.push(name);
    }
    policy.alarms = names;
    Ok(())
}

fn remove(tx: &mut Tx<'_>, name: Option<String>) {
    if let Some(name) = name {
        // The alarm may have been deleted already.
        let _ = tx.nested(
            Service::CloudWatch,
            "DeleteAlarms",
            json!({"AlarmNames": [name]}),
            delete_alarms,
        );
    }
}

/// Deletes the alarms that Forebay created for a policy.
pub(super) fn delete(tx: &mut Tx<'_>, policy: &mut Policy) {
    for name in core::mem::take(&mut policy.alarms) {
        remove(tx, Some(name));
    }
}
