//! Preferences of instance refreshes: checked, completed with defaults, and converted for the crate that decides.

use crate::api::errors::validation;
use crate::autoscaling::lookup::texts;
use crate::autoscaling::records::Group;
use core::time::Duration;
use forebay_awswire::ApiError;
use forebay_scaling::refresh::{Preferences, ProtectedInstances, StandbyInstances};
use serde_json::{Value, json};

/// The default minimum healthy percentage.
const MIN_HEALTHY: u64 = 90;
/// The default checkpoint delay in seconds.
const CHECKPOINT_DELAY: u64 = 3_600;

/// A call's preferences with defaults: first those of the group's maintenance policy, then AWS's.
pub(super) fn filled(group: &Group, given: &Value) -> Result<Value, ApiError> {
    let mut filled = given.as_object().map_or_else(|| json!({}), |_| given.clone());
    let least = filled.get("MinHealthyPercentage").is_some();
    if filled.get("MaxHealthyPercentage").is_some() && !least {
        return Err(validation(
            "You must specify MinHealthyPercentage if you specify MaxHealthyPercentage.",
        ));
    }
    let policy = group.others.get("InstanceMaintenancePolicy");
    if let Some(policy) = policy.filter(|_| !least) {
        for name in ["MinHealthyPercentage", "MaxHealthyPercentage"] {
            if let Some(percent) = policy[name].as_u64() {
                filled[name] = json!(percent);
            }
        }
    }
    let warmup = group.warmup.unwrap_or(group.grace);
    for (name, default) in [
        ("MinHealthyPercentage", json!(MIN_HEALTHY)),
        ("InstanceWarmup", json!(warmup)),
        ("SkipMatching", json!(false)),
        ("AutoRollback", json!(false)),
        ("ScaleInProtectedInstances", json!("Wait")),
        ("StandbyInstances", json!("Wait")),
    ] {
        if filled.get(name).is_none_or(|value| *value == json!(-1)) {
            filled[name] = default;
        }
    }
    check_bounds(&filled)?;
    check_checkpoints(&mut filled)?;
    if texts(&filled["AlarmSpecification"]["Alarms"]).len() > 10 {
        return Err(validation("An instance refresh can have 10 alarms at most."));
    }
    Ok(filled)
}

fn check_bounds(filled: &Value) -> Result<(), ApiError> {
    let percent = |name: &str, default: u64| filled[name].as_u64().unwrap_or(default);
    let (least, most) = (
        percent("MinHealthyPercentage", MIN_HEALTHY),
        percent("MaxHealthyPercentage", 100),
    );
    if filled.get("MaxHealthyPercentage").is_some() && most.saturating_sub(least) > 100 {
        return Err(validation(
            "The difference between MinHealthyPercentage and MaxHealthyPercentage cannot be greater than 100.",
        ));
    }
    Ok(())
}

fn check_checkpoints(filled: &mut Value) -> Result<(), ApiError> {
    let Some(places) = filled["CheckpointPercentages"].as_array() else {
        // It was only needed to look up the default.
        if let Some(filled) = filled.as_object_mut() {
            filled.retain(|_, value| !value.is_null());
        }
        return Ok(());
    };
    let places: Vec<u64> = places.iter().filter_map(Value::as_u64).collect();
    if !places.is_sorted_by(|one, next| one < next) {
        return Err(validation(
            "CheckpointPercentages must be in ascending order, each once.",
        ));
    }
    if filled.get("CheckpointDelay").is_none() {
        filled["CheckpointDelay"] = json!(CHECKPOINT_DELAY);
    }
    Ok(())
}

/// Completed preferences in the form that `forebay_scaling` takes.
pub(super) fn read(filled: &Value) -> Preferences {
    let number = |name: &str| filled[name].as_u64();
    let percent = |name: &str| number(name).and_then(|number| u32::try_from(number).ok());
    let seconds = |name: &str, default: u64| Duration::from_secs(number(name).unwrap_or(default));
    let places = filled["CheckpointPercentages"].as_array();
    let places = places.into_iter().flatten().filter_map(Value::as_u64);
    Preferences {
        min_healthy_percentage: percent("MinHealthyPercentage").unwrap_or(MIN_HEALTHY as u32),
        max_healthy_percentage: percent("MaxHealthyPercentage"),
        instance_warmup: seconds("InstanceWarmup", 0),
        checkpoint_percentages: places.map(|place| place.min(100) as u32).collect(),
        checkpoint_delay: seconds("CheckpointDelay", CHECKPOINT_DELAY),
        skip_matching: filled["SkipMatching"] == true,
        auto_rollback: filled["AutoRollback"] == true,
        protected_instances: match filled["ScaleInProtectedInstances"].as_str() {
            Some("Refresh") => ProtectedInstances::Refresh,
            Some("Ignore") => ProtectedInstances::Ignore,
            _ => ProtectedInstances::Wait,
        },
        standby_instances: match filled["StandbyInstances"].as_str() {
            Some("Terminate") => StandbyInstances::Terminate,
            Some("Ignore") => StandbyInstances::Ignore,
            _ => StandbyInstances::Wait,
        },
        bake_time: seconds("BakeTime", 0),
    }
}

/// The preferences for a rollback, which makes no pauses.
pub(super) fn back(preferences: Preferences) -> Preferences {
    Preferences {
        skip_matching: true,
        auto_rollback: false,
        checkpoint_percentages: Vec::new(),
        bake_time: Duration::ZERO,
        ..preferences
    }
}
