//! EC2 Auto Scaling: groups of instances, the policies that size them, and the order in which instances come and go.
//!
//! Calls and alarms change what a group should be. `settle` brings its instances in line, step by step, whenever
//! something has changed: by a call, by what the launcher or the data plane has seen, or by the passing of time.
//!
//! Read `records` and `lifecycle`, then `settle`, `pass`, `needs` and `due` (when a group settles) and the steps of a
//! pass: `transitions`, `steps`, `hooks`, `leaving`, `health`, `refreshing`, `replacing`, `desired`, `capacity`,
//! `launching`, `choice`, `mixed`, `warm_pools`, `start_ups`. What sizes groups: `execute` (policies), `predictive` and
//! `forecast`, `planning`, `backlogs`, `planned_fleet`, `planner_tags`. Calls: `groups` with `group_input` and
//! `group_tags`, `membership`, `immediate`, `configurations`, `policies` with `tracking_alarms`, `schedules`,
//! `refreshes` with `refresh_preferences`, `processes`, `sources`, `metrics_collection`, `notifications`. The rest:
//! `activities` and `notices` (what happened), `group_view` and `member_view`, `group_metrics`, `types`, `lookup`.

mod activities;
pub mod backlogs;
mod capacity;
mod choice;
mod configurations;
mod desired;
pub(crate) mod due;
pub(crate) mod execute;
pub mod forecast;
mod group_input;
pub mod group_metrics;
pub(crate) mod group_tags;
mod group_view;
mod groups;
mod health;
mod hooks;
mod immediate;
mod launching;
mod leaving;
mod lifecycle;
pub(crate) mod lookup;
mod member_view;
mod membership;
mod metrics_collection;
mod mixed;
mod needs;
mod notices;
mod notifications;
mod pass;
mod planned_fleet;
mod planner_tags;
pub mod planning;
mod policies;
mod predictive;
mod processes;
pub mod records;
mod refresh_preferences;
mod refreshes;
mod refreshing;
mod replacing;
mod schedules;
pub(crate) mod settle;
mod sources;
mod start_ups;
mod steps;
#[cfg(test)]
mod tests;
mod tracking_alarms;
mod transitions;
mod types;
mod warm_pools;

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec::write("AttachInstances", membership::attach),
    OperationSpec::write("AttachLoadBalancerTargetGroups", sources::attach_groups),
    OperationSpec::write("AttachLoadBalancers", sources::attach_classic),
    OperationSpec::write("AttachTrafficSources", sources::attach),
    OperationSpec::write("BatchDeleteScheduledAction", schedules::batch_delete),
    OperationSpec::write("BatchPutScheduledUpdateGroupAction", schedules::batch_put),
    OperationSpec::write("CancelInstanceRefresh", refreshes::cancel),
    OperationSpec::write("CompleteLifecycleAction", hooks::complete),
    OperationSpec::write("CreateAutoScalingGroup", groups::create),
    OperationSpec::write("CreateLaunchConfiguration", configurations::create),
    OperationSpec::write("CreateOrUpdateTags", group_tags::put),
    OperationSpec::write("DeleteAutoScalingGroup", groups::delete),
    OperationSpec::write("DeleteLaunchConfiguration", configurations::delete),
    OperationSpec::write("DeleteLifecycleHook", hooks::delete),
    OperationSpec::write("DeleteNotificationConfiguration", notifications::delete),
    OperationSpec::write("DeletePolicy", policies::delete),
    OperationSpec::write("DeleteScheduledAction", schedules::delete),
    OperationSpec::write("DeleteTags", group_tags::delete),
    OperationSpec::write("DeleteWarmPool", warm_pools::delete),
    OperationSpec::read("DescribeAccountLimits", types::account_limits),
    OperationSpec::read("DescribeAdjustmentTypes", types::adjustment_types),
    OperationSpec::read("DescribeAutoScalingGroups", group_view::describe),
    OperationSpec::read("DescribeAutoScalingInstances", group_view::describe_instances),
    OperationSpec::read("DescribeAutoScalingNotificationTypes", types::notification_types),
    OperationSpec::read("DescribeInstanceRefreshes", refreshes::describe),
    OperationSpec::read("DescribeLaunchConfigurations", configurations::describe),
    OperationSpec::read("DescribeLifecycleHookTypes", types::hook_types),
    OperationSpec::read("DescribeLifecycleHooks", hooks::describe),
    OperationSpec::read("DescribeLoadBalancerTargetGroups", sources::describe_groups),
    OperationSpec::read("DescribeLoadBalancers", sources::describe_classic),
    OperationSpec::read("DescribeMetricCollectionTypes", types::metric_types),
    OperationSpec::read("DescribeNotificationConfigurations", notifications::describe),
    OperationSpec::read("DescribePolicies", policies::describe),
    OperationSpec::read("DescribeScalingActivities", activities::describe),
    OperationSpec::read("DescribeScalingProcessTypes", types::process_types),
    OperationSpec::read("DescribeScheduledActions", schedules::describe),
    OperationSpec::read("DescribeTags", group_tags::describe),
    OperationSpec::read("DescribeTerminationPolicyTypes", types::termination_types),
    OperationSpec::read("DescribeTrafficSources", sources::describe),
    OperationSpec::read("DescribeWarmPool", warm_pools::describe),
    OperationSpec::write("DetachInstances", membership::detach),
    OperationSpec::write("DetachLoadBalancerTargetGroups", sources::detach_groups),
    OperationSpec::write("DetachLoadBalancers", sources::detach_classic),
    OperationSpec::write("DetachTrafficSources", sources::detach),
    OperationSpec::write("DisableMetricsCollection", metrics_collection::disable),
    OperationSpec::write("EnableMetricsCollection", metrics_collection::enable),
    OperationSpec::write("EnterStandby", membership::enter_standby),
    OperationSpec::write("ExecutePolicy", policies::execute),
    OperationSpec::write("ExitStandby", membership::exit_standby),
    OperationSpec::datapoints("GetPredictiveScalingForecast", forecast::get),
    OperationSpec::write("LaunchInstances", immediate::launch),
    OperationSpec::write("PutLifecycleHook", hooks::put),
    OperationSpec::write("PutNotificationConfiguration", notifications::put),
    OperationSpec::write("PutScalingPolicy", policies::put),
    OperationSpec::write("PutScheduledUpdateGroupAction", schedules::put),
    OperationSpec::write("PutWarmPool", warm_pools::put),
    OperationSpec::write("RecordLifecycleActionHeartbeat", hooks::heartbeat),
    OperationSpec::write("ResumeProcesses", processes::resume),
    OperationSpec::write("RollbackInstanceRefresh", refreshes::roll_back),
    OperationSpec::write("SetDesiredCapacity", groups::set_desired),
    OperationSpec::write("SetInstanceHealth", membership::set_health),
    OperationSpec::write("SetInstanceProtection", membership::set_protection),
    OperationSpec::write("StartInstanceRefresh", refreshes::start),
    OperationSpec::write("SuspendProcesses", processes::suspend),
    OperationSpec::write("TerminateInstanceInAutoScalingGroup", membership::terminate),
    OperationSpec::write("UpdateAutoScalingGroup", groups::update),
];
