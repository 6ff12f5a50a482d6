//! Lifecycle hooks: an instance waits until someone completes the action, or until a timeout.

use crate::api::context::{Tx, View};
use crate::api::errors::{error, validation};
use crate::autoscaling::lookup::{asked_group, key, texts};
use crate::autoscaling::notices;
use crate::autoscaling::pass::{Pass, uuid};
use crate::autoscaling::records::{Hook, Member, Waiting};
use core::time::Duration;
use forebay_awswire::ApiError;
use forebay_scaling::{HEARTBEAT_DEFAULT, HookResult, Wait, WaitVerdict};
use serde_json::{Value, json};
use std::sync::Arc;

/// The most hooks of a group.
const LIMIT: usize = 50;

const LAUNCHING: &str = "autoscaling:EC2_INSTANCE_LAUNCHING";
const TERMINATING: &str = "autoscaling:EC2_INSTANCE_TERMINATING";

/// The progress of a wait.
pub(super) enum Progress {
    Waits,
    /// The hook with that name was completed with CONTINUE.
    Continues(String),
    /// The hook with that name was completed with ABANDON.
    Abandoned(String),
}

/// Begins the wait for the next hook that was not completed in this transition; `None` if there are no more.
pub(super) fn next(pass: &mut Pass<'_, '_>, member: &Member, launching: bool) -> Option<Waiting> {
    let hook = {
        let hooks = pass.tx.region().hooks_of(&pass.group.name);
        let mut left =
            hooks.filter(|hook| hook.launching == launching && !member.hooks_done.contains(&hook.name));
        Arc::clone(left.next()?)
    };
    let now = pass.now();
    let waiting = Waiting {
        hook: hook.name.clone(),
        token: uuid(pass.tx),
        since: now,
        heartbeat: now,
        result: None,
    };
    notices::of_hook(pass.tx, &hook, &member.id, &waiting);
    Some(waiting)
}

/// The progress of an instance's wait. A hook that was deleted does not hold the instance.
pub(super) fn progress(view: &View<'_>, member: &Member) -> Progress {
    let Some(waiting) = &member.waiting else {
        return Progress::Waits;
    };
    let name = waiting.hook.clone();
    let came_to = |result: HookResult| match result {
        HookResult::Continue => Progress::Continues(name.clone()),
        HookResult::Abandon => Progress::Abandoned(name.clone()),
    };
    let wait = Wait {
        began: waiting.since,
        last_heartbeat: waiting.heartbeat,
        completed: waiting.result.as_deref().map(result),
    };
    let hooks = &view.region().hooks;
    match (hooks.get(&key(&member.group, &name)), wait.completed) {
        // A result counts even if the hook has been deleted since.
        (_, Some(completed)) => came_to(completed),
        (None, None) => Progress::Continues(name),
        (Some(hook), None) => match times(hook).verdict(&wait, view.request.now) {
            WaitVerdict::WaitUntil(_) => Progress::Waits,
            WaitVerdict::Completed(result) | WaitVerdict::TimedOut(result) => came_to(result),
        },
    }
}

/// `CONTINUE` or `ABANDON`; anything else was refused when it was set.
fn result(text: &str) -> HookResult {
    match text {
        "CONTINUE" => HookResult::Continue,
        _ => HookResult::Abandon,
    }
}

fn times(hook: &Hook) -> forebay_scaling::Hook {
    forebay_scaling::Hook {
        heartbeat: Duration::from_secs(hook.heartbeat.into()),
        default_result: result(&hook.default_result),
    }
}

/// Reads a hook from PutLifecycleHook or from a group's creation.
pub(super) fn read(group: &str, given: &Value, known: Option<&Hook>) -> Result<Hook, ApiError> {
    let text = |name: &str| given[name].as_str().map(str::to_owned);
    let launching = match given["LifecycleTransition"].as_str() {
        Some(LAUNCHING) => true,
        Some(TERMINATING) => false,
        Some(other) => {
            return Err(validation(format!(
                "Invalid lifecycle transition {other}. Valid ones are {LAUNCHING} and {TERMINATING}."
            )));
        }
        None => match known {
            Some(known) => known.launching,
            None => {
                return Err(validation(
                    "LifecycleTransition is required for a new lifecycle hook.",
                ));
            }
        },
    };
    let heartbeat = match given["HeartbeatTimeout"].as_u64() {
        None => known.map_or(HEARTBEAT_DEFAULT.as_secs() as u32, |known| known.heartbeat),
        Some(seconds) if forebay_scaling::Hook::is_heartbeat_valid(Duration::from_secs(seconds)) => {
            seconds as u32
        }
        Some(_) => {
            return Err(validation(
                "HeartbeatTimeout must be between 30 and 7200 seconds.",
            ));
        }
    };
    let default_result = match text("DefaultResult") {
        None => known.map_or_else(|| "ABANDON".to_owned(), |known| known.default_result.clone()),
        Some(result) if result == "CONTINUE" || result == "ABANDON" => result,
        Some(other) => {
            return Err(validation(format!(
                "Invalid default result {other}. Valid ones are CONTINUE and ABANDON."
            )));
        }
    };
    Ok(Hook {
        name: text("LifecycleHookName").unwrap_or_default(),
        group: group.to_owned(),
        launching,
        heartbeat,
        default_result,
        target_arn: text("NotificationTargetARN")
            .or_else(|| known.and_then(|known| known.target_arn.clone())),
        role_arn: text("RoleARN").or_else(|| known.and_then(|known| known.role_arn.clone())),
        metadata: text("NotificationMetadata").or_else(|| known.and_then(|known| known.metadata.clone())),
    })
}

pub(super) fn store(tx: &mut Tx<'_>, hook: Hook) -> Result<(), ApiError> {
    if tx.region().hooks_of(&hook.group).count() >= LIMIT
        && !tx.region().hooks.contains_key(&key(&hook.group, &hook.name))
    {
        return Err(error(
            "LimitExceeded",
            format!("An Auto Scaling group can have {LIMIT} lifecycle hooks at most."),
        ));
    }
    let key = key(&hook.group, &hook.name);
    tx.region_mut().hooks.insert(key, Arc::new(hook));
    Ok(())
}

pub(crate) fn put(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let group = asked_group(tx)?;
    let given = tx.request.input.clone();
    let name = given["LifecycleHookName"].as_str().unwrap_or_default();
    let known = tx.region().hooks.get(&key(&group.name, name)).cloned();
    let hook = read(&group.name, &given, known.as_deref())?;
    store(tx, hook)?;
    Ok(json!({}))
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let group = asked_group(view)?;
    let names = texts(&view.request.input["LifecycleHookNames"]);
    let hooks = view.region().hooks_of(&group.name);
    let asked = hooks.filter(|hook| names.is_empty() || names.contains(&hook.name));
    let shown: Vec<Value> = asked.map(|hook| shown(hook)).collect();
    Ok(json!({"LifecycleHooks": shown}))
}

fn shown(hook: &Hook) -> Value {
    let mut value = json!({
        "LifecycleHookName": hook.name,
        "AutoScalingGroupName": hook.group,
        "LifecycleTransition": if hook.launching { LAUNCHING } else { TERMINATING },
        "HeartbeatTimeout": hook.heartbeat,
        "GlobalTimeout": times(hook).longest().as_secs(),
        "DefaultResult": hook.default_result,
    });
    for (name, text) in [
        ("NotificationTargetARN", &hook.target_arn),
        ("RoleARN", &hook.role_arn),
        ("NotificationMetadata", &hook.metadata),
    ] {
        if let Some(text) = text {
            value[name] = json!(text);
        }
    }
    value
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let group = asked_group(tx)?;
    let name = tx.request.input["LifecycleHookName"].as_str().unwrap_or_default();
    let key = key(&group.name, name);
    if !tx.region().hooks.contains_key(&key) {
        return Err(validation(format!(
            "Lifecycle hook with name {name} not found in Auto Scaling group {}.",
            group.name
        )));
    }
    tx.region_mut().hooks.remove(&key);
    Ok(json!({}))
}

pub(crate) fn complete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let result = tx.request.input["LifecycleActionResult"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if result != "CONTINUE" && result != "ABANDON" {
        return Err(validation(format!(
            "LifecycleActionResult {result} is invalid: it must be CONTINUE or ABANDON."
        )));
    }
    change(tx, |_, waiting| waiting.result = Some(result))
}

pub(crate) fn heartbeat(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    change(tx, |now, waiting| waiting.heartbeat = now)
}

/// Changes the wait that a call names by its token or by its instance.
fn change(
    tx: &mut Tx<'_>,
    change: impl FnOnce(forebay_units::Wall, &mut Waiting),
) -> Result<Value, ApiError> {
    let group = asked_group(tx)?;
    let given = &tx.request.input;
    let hook = given["LifecycleHookName"].as_str().unwrap_or_default();
    let (token, id) = (
        given["LifecycleActionToken"].as_str(),
        given["InstanceId"].as_str(),
    );
    let means = |member: &Member| {
        member.waiting.as_ref().is_some_and(|waiting| {
            waiting.hook == hook
                // A completed action cannot be completed again with another result.
                && waiting.result.is_none()
                && match token {
                    Some(token) => waiting.token == token,
                    None => id == Some(&*member.id),
                }
        })
    };
    let found = {
        let mut members = tx.region().members_of(&group.name);
        members.find(|member| means(member)).cloned()
    };
    let Some(found) = found else {
        let who = token.map_or_else(
            || format!("instance ID {}", id.unwrap_or("(none)")),
            |token| format!("token {token}"),
        );
        return Err(validation(format!(
            "No active Lifecycle Action found with {who} for the lifecycle hook {hook}."
        )));
    };
    let now = tx.request.now;
    let mut member = Member::clone(&found);
    if let Some(waiting) = &mut member.waiting {
        change(now, waiting);
    }
    let key = key(&group.name, &member.id);
    tx.region_mut().members.insert(key, Arc::new(member));
    Ok(json!({}))
}
