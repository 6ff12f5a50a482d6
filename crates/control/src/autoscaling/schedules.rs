//! Scheduled actions: changes of a group's capacities at a time, once or repeatedly.

use crate::Region;
use crate::api::arns::own_arn;
use crate::api::context::{Tx, View};
use crate::api::errors::{error, validation};
use crate::autoscaling::desired::desire;
use crate::autoscaling::lookup::{key, listed, put_group, texts, time};
use crate::autoscaling::pass::{clock, uuid};
use crate::autoscaling::records::{Group, Schedule};
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_units::Wall;
use serde_json::{Value, json};
use std::sync::Arc;

/// The most scheduled actions of a group.
const LIMIT: usize = 125;
/// The most scheduled actions in one call.
const BATCH: usize = 50;

/// A time in a call, in seconds.
fn at(given: &Value) -> Option<Wall> {
    given.as_f64().map(|seconds| Wall((seconds * 1e6) as i64))
}

/// The group's name in a call. moto accepts actions for groups that do not exist.
fn asked_name(view: &View<'_>) -> Result<String, ApiError> {
    let name = view.request.input["AutoScalingGroupName"]
        .as_str()
        .unwrap_or_default();
    if view.dialect() == Dialect::Aws {
        view.region().scaling_group(name)?;
    }
    Ok(name.to_owned())
}

/// Checks an action's times.
fn check_times(
    view: &View<'_>,
    start: Option<Wall>,
    end: Option<Wall>,
    recurs: bool,
) -> Result<(), ApiError> {
    if start.is_none() && !recurs {
        return Err(validation(
            "A scheduled action needs a StartTime, a Recurrence, or both.",
        ));
    }
    if view.dialect() == Dialect::Aws && start.is_some_and(|start| start < view.request.now) {
        return Err(validation("Given start time is in the past"));
    }
    if let (Some(start), Some(end)) = (start, end)
        && end <= start
    {
        return Err(validation("The end time must be after the start time."));
    }
    Ok(())
}

fn store(tx: &mut Tx<'_>, group: &str, given: &Value) -> Result<(), ApiError> {
    let name = given["ScheduledActionName"].as_str().unwrap_or_default();
    let known = tx.region().schedules.get(&key(group, name)).cloned();
    if known.is_none() && tx.region().schedules_of(group).count() >= LIMIT {
        return Err(error(
            "LimitExceeded",
            format!("An Auto Scaling group can have {LIMIT} scheduled actions at most."),
        ));
    }
    let size = |name: &str| match given[name].as_i64() {
        None | Some(-1) => Ok(None),
        Some(value) => u32::try_from(value)
            .map(Some)
            .map_err(|_| validation(format!("{name} cannot be negative."))),
    };
    let (min, max, desired) = (size("MinSize")?, size("MaxSize")?, size("DesiredCapacity")?);
    if min.is_none() && max.is_none() && desired.is_none() {
        return Err(validation(
            "At least one of MinSize, MaxSize and DesiredCapacity must be given.",
        ));
    }
    let text = |name: &str| given[name].as_str().map(str::to_owned);
    let start = at(&given["StartTime"]).or_else(|| at(&given["Time"]));
    let end = at(&given["EndTime"]);
    let recurrence = text("Recurrence");
    let now = tx.request.now;
    check_times(tx, start, end, recurrence.is_some())?;
    let arn = match &known {
        Some(known) => known.arn.clone(),
        None => {
            let id = uuid(tx);
            own_arn(
                tx,
                "autoscaling",
                &format!(
                    "scheduledUpdateGroupAction:{id}:autoScalingGroupName/{group}:scheduledActionName/{name}"
                ),
            )
        }
    };
    let mut schedule = Schedule {
        name: name.to_owned(),
        group: group.to_owned(),
        arn,
        start,
        end,
        recurrence,
        zone: text("TimeZone"),
        min,
        max,
        desired,
        next: None,
    };
    schedule.next = next(&schedule, now).map_err(validation)?;
    if known.as_deref() == Some(&schedule) {
        return Ok(());
    }
    tx.region_mut()
        .schedules
        .insert(key(group, name), Arc::new(schedule));
    Ok(())
}

/// When an action is next due after `after`.
fn next(schedule: &Schedule, after: Wall) -> Result<Option<Wall>, String> {
    let Some(text) = &schedule.recurrence else {
        return Ok(schedule.start.filter(|start| *start > after));
    };
    let parsed = forebay_scaling::Schedule::parse(text, schedule.zone.as_deref())
        .map_err(|problem| problem.to_string())?;
    // AWS runs it at its start time, and then by its expression.
    match schedule.start {
        Some(start) if start > after => Ok(Some(start)),
        _ => Ok(parsed.next_after(after, schedule.end)),
    }
}

pub(crate) fn put(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let group = asked_name(tx)?;
    let given = tx.request.input.clone();
    store(tx, &group, &given)?;
    Ok(json!({}))
}

/// A failed action, for an answer.
fn failed(name: &str, problem: &ApiError) -> Value {
    json!({"ScheduledActionName": name, "ErrorCode": problem.code, "ErrorMessage": problem.message})
}

pub(crate) fn batch_put(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let group = asked_name(tx)?;
    let actions = tx.request.input["ScheduledUpdateGroupActions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    if actions.len() > BATCH {
        return Err(validation(format!(
            "One call can give {BATCH} scheduled actions at most."
        )));
    }
    let mut problems = Vec::new();
    for action in actions {
        if let Err(problem) = store(tx, &group, &action) {
            let name = action["ScheduledActionName"].as_str().unwrap_or_default();
            problems.push(failed(name, &problem));
        }
    }
    Ok(json!({"FailedScheduledUpdateGroupActions": problems}))
}

fn remove(tx: &mut Tx<'_>, group: &str, name: &str) -> Result<(), ApiError> {
    let key = key(group, name);
    if !tx.region().schedules.contains_key(&key) {
        return Err(validation("Scheduled action name not found"));
    }
    tx.region_mut().schedules.remove(&key);
    Ok(())
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let group = asked_name(tx)?;
    let name = tx.request.input["ScheduledActionName"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    remove(tx, &group, &name)?;
    Ok(json!({}))
}

pub(crate) fn batch_delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let group = asked_name(tx)?;
    let names = texts(&tx.request.input["ScheduledActionNames"]);
    if names.len() > BATCH {
        return Err(validation(format!(
            "One call can name {BATCH} scheduled actions at most."
        )));
    }
    let mut problems = Vec::new();
    for name in names {
        if let Err(problem) = remove(tx, &group, &name) {
            problems.push(failed(&name, &problem));
        }
    }
    Ok(json!({"FailedScheduledActions": problems}))
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let given = &view.request.input;
    let names = texts(&given["ScheduledActionNames"]);
    let (from, to) = (at(&given["StartTime"]), at(&given["EndTime"]));
    let group = given["AutoScalingGroupName"].as_str();
    let schedules = view.region().schedules.iter();
    let asked = schedules.filter(|(_, schedule)| {
        let due = schedule.next.or(schedule.start);
        group.is_none_or(|group| group == schedule.group)
            && (names.is_empty() || names.contains(&schedule.name))
            && from.is_none_or(|from| due.is_some_and(|due| due >= from))
            && to.is_none_or(|to| due.is_some_and(|due| due <= to))
    });
    let items: Vec<(String, Value)> = asked
        .map(|(key, schedule)| (key.clone(), shown(schedule)))
        .collect();
    listed(view, "ScheduledUpdateGroupActions", items)
}

fn shown(schedule: &Schedule) -> Value {
    let mut value = json!({
        "AutoScalingGroupName": schedule.group,
        "ScheduledActionName": schedule.name,
        "ScheduledActionARN": schedule.arn,
    });
    let start = schedule.start.filter(|_| schedule.recurrence.is_none());
    for (name, at) in [
        ("StartTime", start.or(schedule.start).or(schedule.next)),
        ("Time", start.or(schedule.start).or(schedule.next)),
        ("EndTime", schedule.end),
    ] {
        if let Some(at) = at {
            value[name] = time(at);
        }
    }
    for (name, text) in [("Recurrence", &schedule.recurrence), ("TimeZone", &schedule.zone)] {
        if let Some(text) = text {
            value[name] = json!(text);
        }
    }
    for (name, size) in [
        ("MinSize", schedule.min),
        ("MaxSize", schedule.max),
        ("DesiredCapacity", schedule.desired),
    ] {
        if let Some(size) = size {
            value[name] = json!(size);
        }
    }
    value
}

/// Whether an action is due or has ended.
fn is_due(schedule: &Schedule, now: Wall) -> bool {
    schedule.next.is_some_and(|next| next <= now) || schedule.end.is_some_and(|end| end <= now)
}

/// Whether [`run_due`] would do something.
pub(super) fn has_due(region: &Region, group: &str, now: Wall) -> bool {
    !region.schedules.is_empty() && region.schedules_of(group).any(|schedule| is_due(schedule, now))
}

/// Runs a group's due actions in the order of their times, and deletes those that have ended.
pub(super) fn run_due(tx: &mut Tx<'_>, group: &str) {
    let now = tx.request.now;
    let mut due: Vec<Arc<Schedule>> = tx
        .region()
        .schedules_of(group)
        .filter(|schedule| is_due(schedule, now))
        .cloned()
        .collect();
    due.sort_by_key(|schedule| schedule.next);
    for schedule in due {
        let is_over = schedule.end.is_some_and(|end| end <= now);
        let key = key(group, &schedule.name);
        if schedule.next.is_some_and(|next| next <= now) {
            run(tx, &schedule);
        }
        // Counted from now, so that missed times are not caught up one by one. An expression that cannot be parsed any
        // more is never due; it was checked when it was stored.
        let next = if is_over {
            None
        } else {
            next(&schedule, now).ok().flatten()
        };
        let schedules = &mut tx.region_mut().schedules;
        match next {
            Some(next) => {
                let schedule = Schedule {
                    next: Some(next),
                    ..Schedule::clone(&schedule)
                };
                schedules.insert(key, Arc::new(schedule));
            }
            None => {
                schedules.remove(&key);
            }
        }
    }
}

fn run(tx: &mut Tx<'_>, schedule: &Schedule) {
    let Some(known) = tx.region().scaling_groups.get(&schedule.group) else {
        return;
    };
    if known.deleting || known.suspended.contains_key("ScheduledActions") {
        return;
    }
    let mut group = Group::clone(known);
    let (min, max) = (
        schedule.min.unwrap_or(group.min),
        schedule.max.unwrap_or(group.max),
    );
    // AWS refuses bounds that contradict each other; the group stays as it is.
    if min > max {
        return;
    }
    (group.min, group.max) = (min, max);
    let desired = schedule.desired.unwrap_or(group.desired).clamp(min, max);
    let why = format!(
        "At {} a scheduled action update of AutoScalingGroup constraints to min: {min}, max: {max}, desired: {desired} was made by {},",
        clock(tx.request.now),
        schedule.name
    );
    desire(&mut group, desired, &why);
    put_group(tx, group);
}
