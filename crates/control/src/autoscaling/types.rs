//! AWS's lists of names: processes, metrics and notification types.

use crate::api::context::View;
use crate::autoscaling::{configurations, groups};
use forebay_awswire::ApiError;
use forebay_scaling::TerminationPolicy;
use serde_json::{Value, json};

/// Processes that can be suspended.
pub(super) const PROCESSES: [&str; 9] = [
    "AZRebalance",
    "AddToLoadBalancer",
    "AlarmNotification",
    "HealthCheck",
    "InstanceRefresh",
    "Launch",
    "ReplaceUnhealthy",
    "ScheduledActions",
    "Terminate",
];

/// Metrics of a group.
pub(crate) const METRICS: [&str; 22] = [
    "GroupMinSize",
    "GroupMaxSize",
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupInServiceCapacity",
    "GroupPendingInstances",
    "GroupPendingCapacity",
    "GroupTerminatingInstances",
    "GroupTerminatingCapacity",
    "GroupStandbyInstances",
    "GroupStandbyCapacity",
    "GroupTotalInstances",
    "GroupTotalCapacity",
    "WarmPoolDesiredCapacity",
    "WarmPoolWarmedCapacity",
    "WarmPoolPendingCapacity",
    "WarmPoolTerminatingCapacity",
    "WarmPoolTotalCapacity",
    "WarmPoolMinSize",
    "GroupAndWarmPoolDesiredCapacity",
    "GroupAndWarmPoolTotalCapacity",
    "WarmPoolPendingRetainedCapacity",
];

/// The notification types that topics can get.
pub(super) const NOTIFICATIONS: [&str; 5] = [
    "autoscaling:EC2_INSTANCE_LAUNCH",
    "autoscaling:EC2_INSTANCE_LAUNCH_ERROR",
    "autoscaling:EC2_INSTANCE_TERMINATE",
    "autoscaling:EC2_INSTANCE_TERMINATE_ERROR",
    "autoscaling:TEST_NOTIFICATION",
];

fn named(member: &str, names: &[&str]) -> Value {
    names.iter().map(|name| json!({ member: name })).collect()
}

pub(crate) fn adjustment_types(_: &View<'_>) -> Result<Value, ApiError> {
    let names = ["ChangeInCapacity", "ExactCapacity", "PercentChangeInCapacity"];
    Ok(json!({"AdjustmentTypes": named("AdjustmentType", &names)}))
}

pub(crate) fn hook_types(_: &View<'_>) -> Result<Value, ApiError> {
    Ok(json!({"LifecycleHookTypes": [
        "autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING",
    ]}))
}

pub(crate) fn metric_types(_: &View<'_>) -> Result<Value, ApiError> {
    Ok(json!({"Metrics": named("Metric", &METRICS), "Granularities": [{"Granularity": "1Minute"}]}))
}

pub(crate) fn notification_types(_: &View<'_>) -> Result<Value, ApiError> {
    Ok(json!({"AutoScalingNotificationTypes": NOTIFICATIONS}))
}

pub(crate) fn process_types(_: &View<'_>) -> Result<Value, ApiError> {
    Ok(json!({"Processes": named("ProcessName", &PROCESSES)}))
}

pub(crate) fn termination_types(_: &View<'_>) -> Result<Value, ApiError> {
    Ok(json!({"TerminationPolicyTypes": TerminationPolicy::ALL.map(TerminationPolicy::word)}))
}

pub(crate) fn account_limits(view: &View<'_>) -> Result<Value, ApiError> {
    let region = view.region();
    Ok(json!({
        "MaxNumberOfAutoScalingGroups": groups::LIMIT,
        "MaxNumberOfLaunchConfigurations": configurations::LIMIT,
        "NumberOfAutoScalingGroups": region.scaling_groups.len(),
        "NumberOfLaunchConfigurations": region.launch_configurations.len(),
    }))
}
