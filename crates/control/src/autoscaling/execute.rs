//! Executes scaling policies, for an alarm or for a call.

use crate::Region;
use crate::autoscaling::desired::{desire, floor};
use crate::autoscaling::pass::clock;
use crate::autoscaling::records::{Group, Policy};
use crate::cloudwatch::records::{Alarm, Watches};
use core::time::Duration;
use forebay_scaling::{
    Adjustment, AdjustmentType, Capacity, LastActivity, Proposal, Simple, Step, StepError, Steps,
    TargetTracking, Why, together,
};
use forebay_signals::alarm::State;
use forebay_units::Wall;
use serde_json::Value;
use std::sync::Arc;

/// What triggers a policy.
pub(super) enum Asked {
    /// A call, for a simple policy. No cooldown applies.
    Manual,
    /// The alarm of a simple policy.
    Alarm,
    /// An alarm of a step scaling policy, with the distance of the metric from the threshold.
    Step { beyond: f64 },
    /// The metric is above the target, at this value.
    Above { value: f64 },
    /// The metric is below the target, at this value.
    Below { value: f64 },
}

/// The adjustment type with that name.
pub(super) fn adjustment_type(name: &str) -> Option<AdjustmentType> {
    match name {
        "ChangeInCapacity" => Some(AdjustmentType::ChangeInCapacity),
        "ExactCapacity" => Some(AdjustmentType::ExactCapacity),
        "PercentChangeInCapacity" => Some(AdjustmentType::PercentChangeInCapacity),
        _ => None,
    }
}

/// Step adjustments as given in a call.
pub(super) fn steps(given: &Value) -> Result<Steps, StepError> {
    let steps = given.as_array().into_iter().flatten().map(|step| Step {
        lower: step["MetricIntervalLowerBound"].as_f64(),
        upper: step["MetricIntervalUpperBound"].as_f64(),
        by: step["ScalingAdjustment"].as_i64().unwrap_or(0) as i32,
    });
    Steps::new(steps.collect())
}

fn number(policy: &Policy, name: &str) -> Option<i64> {
    policy.data.get(name).and_then(Value::as_i64)
}

fn adjustment(policy: &Policy) -> Option<Adjustment> {
    let kind = policy.data.get("AdjustmentType")?.as_str()?;
    let least = number(policy, "MinAdjustmentMagnitude").or_else(|| number(policy, "MinAdjustmentStep"));
    Some(Adjustment {
        kind: adjustment_type(kind)?,
        minimum_magnitude: least.and_then(|least| u32::try_from(least).ok()),
    })
}

fn by(policy: &Policy) -> i32 {
    number(policy, "ScalingAdjustment").unwrap_or(0) as i32
}

/// The capacity that a simple policy asks for, regardless of the group's bounds.
pub(super) fn wanted(group: &Group, policy: &Policy) -> Option<u32> {
    Some(adjustment(policy)?.of(group.desired, by(policy)))
}

fn seconds(number: i64) -> Duration {
    Duration::from_secs(number.max(0).unsigned_abs())
}

/// The warm-up time of instances for this policy.
fn warm_up(group: &Group, policy: &Policy) -> Duration {
    forebay_scaling::warm_up(
        number(policy, "EstimatedInstanceWarmup").map(seconds),
        group.warmup.map(|warmup| seconds(warmup.into())),
        Some(seconds(group.cooldown.into())),
    )
}

/// The group as policies see it. An instance warms up from when it is ready: its target groups found it healthy.
fn seen(region: &Region, group: &Group, policy: &Policy, now: Wall) -> forebay_scaling::Group {
    let members = region.members_of(&group.name);
    let members: Vec<forebay_scaling::Member> = members
        .filter(|member| member.state.counts())
        .map(|member| forebay_scaling::Member {
            in_service: member.ready,
            weight: member.weight.unwrap_or(1),
        })
        .collect();
    let capacity = Capacity {
        // Policies do not scale in below the floor, so it acts as a minimum for them.
        minimum: group.min.max(floor(group, now)),
        maximum: group.max,
        desired: group.desired,
    };
    capacity.seen(&members, warm_up(group, policy), now)
}

fn last_activity(region: &Region, group: &Group, now: Wall) -> LastActivity {
    let mut activities = crate::autoscaling::lookup::owned(&region.activities, &group.name);
    if activities.any(|activity| activity.ended.is_none()) {
        return LastActivity::InProgress;
    }
    match group.quiet_since {
        None => LastActivity::Never,
        Some(since) => LastActivity::Ended(now.since(since)),
    }
}

fn target_tracking(policy: &Policy) -> TargetTracking {
    let given = policy
        .data
        .get("TargetTrackingConfiguration")
        .unwrap_or(&Value::Null);
    TargetTracking {
        target: given["TargetValue"].as_f64().unwrap_or(f64::NAN),
        disable_scale_in: given["DisableScaleIn"] == true,
    }
}

/// The capacity that a policy proposes, or why it cannot.
pub(super) fn propose(
    region: &Region,
    group: &Group,
    policy: &Policy,
    asked: &Asked,
    now: Wall,
) -> Result<Proposal, String> {
    let seen = seen(region, group, policy, now);
    let broken = || format!("policy {} has no valid adjustment", policy.name);
    match asked {
        Asked::Manual | Asked::Alarm => {
            // A call is explicit, so neither the cooldown nor an activity in progress holds it back.
            let last = match asked {
                Asked::Manual => LastActivity::Never,
                _ => last_activity(region, group, now),
            };
            let simple = Simple {
                adjustment: adjustment(policy).ok_or_else(broken)?,
                by: by(policy),
                cooldown: seconds(number(policy, "Cooldown").unwrap_or(group.cooldown.into())),
            };
            Ok(simple.propose(&seen, last))
        }
        Asked::Step { beyond } => {
            let given = policy.data.get("StepAdjustments").unwrap_or(&Value::Null);
            let steps = steps(given).map_err(|problem| problem.to_string())?;
            Ok(steps.propose(&seen, adjustment(policy).ok_or_else(broken)?, *beyond))
        }
        Asked::Above { value } => Ok(target_tracking(policy).scale_out(&seen, *value)),
        Asked::Below { value } => {
            // A group is scaled in only if all its target tracking policies that may scale in agree (Amazon EC2 Auto
            // Scaling user guide, "Target tracking scaling policies for Amazon EC2 Auto Scaling"). Otherwise one policy
            // would remove what another has just added.
            let own = target_tracking(policy).scale_in(&seen, *value);
            let mut proposals = vec![own];
            proposals.extend(others(region, group, policy, now));
            Ok(together(&seen, &proposals).unwrap_or(own))
        }
    }
}

/// What the other target tracking policies of the group propose about scaling in.
fn others(region: &Region, group: &Group, policy: &Policy, now: Wall) -> Vec<Proposal> {
    let tracking = region
        .policies_of(&group.name)
        .filter(|other| other.kind == "TargetTrackingScaling" && other.enabled && other.arn != policy.arn);
    tracking
        .map(|other| {
            let stays = Proposal {
                desired: group.desired,
                why: Why::OtherPolicy,
            };
            let rule = target_tracking(other);
            if rule.disable_scale_in {
                return Proposal {
                    why: Why::ScaleInDisabled,
                    ..stays
                };
            }
            let alarms = other.alarms.iter().filter_map(|name| region.alarms.get(name));
            let low = alarms
                // A policy whose low alarm is not in ALARM needs the capacity that there is, so it proposes no change.
                .filter(|alarm| is_low(alarm) && alarm.state == State::Alarm)
                .find_map(|alarm| alarm.newest);
            match low {
                Some(value) => rule.scale_in(&seen(region, group, other, now), value),
                None => stays,
            }
        })
        .collect()
}

/// Whether this is the alarm that scales in.
fn is_low(alarm: &Alarm) -> bool {
    matches!(&alarm.watches, Watches::Metric(rule) if rule.comparison.starts_with("LessThan"))
}

/// Executes the policy with that ARN for an alarm, or says why it cannot.
pub(crate) fn by_alarm(region: &mut Region, alarm: &Alarm, arn: &str, now: Wall) -> Result<(), String> {
    let mut policies = region.scaling_policies.values();
    let Some(policy) = policies.find(|policy| policy.arn == arn).cloned() else {
        return Err(format!("there is no scaling policy {arn}"));
    };
    let Some(known) = region.scaling_groups.get(&policy.group) else {
        return Err(format!("there is no Auto Scaling group {}", policy.group));
    };
    if known.deleting {
        return Err(format!(
            "the Auto Scaling group {} is being deleted",
            policy.group
        ));
    }
    // Neither is a failure: by the user's own setting, the alarm's action has no effect.
    if !policy.enabled || known.suspended.contains_key("AlarmNotification") {
        return Ok(());
    }
    let mut group = Group::clone(known);
    let threshold = match &alarm.watches {
        Watches::Metric(rule) => rule.threshold,
        Watches::Composite(_) => f64::NAN,
    };
    let value = alarm.newest;
    let asked = match policy.kind.as_str() {
        "SimpleScaling" => Asked::Alarm,
        "StepScaling" => Asked::Step {
            beyond: value.ok_or("the alarm has no value to choose a step by")? - threshold,
        },
        "TargetTrackingScaling" => {
            let value = value.ok_or("the alarm has no value to compare with the target")?;
            if is_low(alarm) {
                Asked::Below { value }
            } else {
                Asked::Above { value }
            }
        }
        other => return Err(format!("alarms cannot run a policy of type {other}")),
    };
    let proposal = propose(region, &group, &policy, &asked, now)?;
    let why = format!(
        "At {} a monitor alarm {} in state {} triggered policy {}",
        clock(now),
        alarm.name,
        alarm.state.name(),
        policy.name
    );
    if proposal.desired != group.desired {
        desire(&mut group, proposal.desired, &why);
        region.scaling_groups.insert(group.name.clone(), Arc::new(group));
    }
    Ok(())
}
