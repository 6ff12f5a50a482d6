//! Schedules: create, update, find, list and delete them.

use super::errors::{conflict, invalid, not_found, quota};
use super::lookup::{DEFAULT, PAGE_SIZE, key, named};
use crate::api::arns::own_arn;
use crate::api::context::{Answered, Tx, View};
use crate::schedules::lists::{page, with_token};
use crate::schedules::records::{EventSchedule, Target, Timing};
use crate::schedules::{check, end_if_over, forget, rearrange, start, stop};
use core::time::Duration;
use forebay_awswire::ApiError;
use forebay_schedules::{AfterCompletion, Dialect, ExpressionError, ScheduleError, Window};
use forebay_units::Wall;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The most schedules of a region. (AWS's quota is a million.)
const SCHEDULES: usize = 20_000;

/// Parameters of targets that are not supported.
const REFUSED: [&str; 6] = [
    "EcsParameters",
    "EventBridgeParameters",
    "EventBridgePutEventsV2Parameters",
    "EventBridgePutRawEventsParameters",
    "KinesisParameters",
    "SageMakerPipelineParameters",
];

/// The group and the name in a call.
fn place(view: &View<'_>) -> (String, String) {
    let text = |name: &str| view.request.input[name].as_str().map(str::to_owned);
    (
        text("GroupName").unwrap_or_else(|| DEFAULT.to_owned()),
        text("Name").unwrap_or_default(),
    )
}

fn found(view: &View<'_>) -> Result<Arc<EventSchedule>, ApiError> {
    let (group, name) = place(view);
    let schedule = view.region().event_schedules.get(&key(&group, &name)).cloned();
    schedule.ok_or_else(|| not_found("Schedule", &name))
}

fn at(value: &Value) -> Option<Wall> {
    value.as_f64().map(|seconds| Wall::from_seconds(seconds as i64))
}

fn timing(input: &Value, since: Wall) -> Result<Timing, ApiError> {
    let flexible = &input["FlexibleTimeWindow"];
    let minutes = flexible["MaximumWindowInMinutes"].as_i64();
    Window::new(flexible["Mode"] == "FLEXIBLE", minutes)
        .map_err(|why| invalid(format!("Invalid FlexibleTimeWindow: {why}.")))?;
    let expression = input["ScheduleExpression"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let zone = input["ScheduleExpressionTimezone"].as_str().map(str::to_owned);
    let timing = Timing {
        expression,
        of_rule: false,
        zone,
        since,
        start: at(&input["StartDate"]),
        end: at(&input["EndDate"]),
        window: minutes.and_then(|minutes| u16::try_from(minutes).ok()),
    };
    match timing.times() {
        Ok(_) => Ok(timing),
        Err(ScheduleError::Expression(why)) => {
            let told = ExpressionError::aws_message(Dialect::Scheduler, &timing.expression);
            Err(invalid(format!("{told} ({why})")))
        }
        Err(why @ ScheduleError::Zone(_)) => Err(invalid(format!(
            "The ScheduleExpressionTimezone is not valid: {why}."
        ))),
        Err(why) => Err(invalid(format!(
            "The EndDate you specify must come after the StartDate: {why}."
        ))),
    }
}

fn target(view: &View<'_>) -> Result<Target, ApiError> {
    let given = &view.request.input["Target"];
    if let Some(name) = REFUSED.iter().find(|name| !given[**name].is_null()) {
        return Err(invalid(format!(
            "{name} is for a kind of target that Forebay does not support: leave it out."
        )));
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let target = Target {
        id: String::new(),
        arn: text(&given["Arn"]).unwrap_or_default(),
        role: text(&given["RoleArn"]),
        input: text(&given["Input"]),
        input_path: None,
        transformer: None,
        message_group: text(&given["SqsParameters"]["MessageGroupId"]),
        dead_letter: text(&given["DeadLetterConfig"]["Arn"]),
        retries: number(&given["RetryPolicy"]["MaximumRetryAttempts"]),
        age_s: number(&given["RetryPolicy"]["MaximumEventAgeInSeconds"]),
    };
    check(view, &target, false).map_err(invalid)?;
    Ok(target)
}

/// The schedule in a call, without what an update keeps of the existing one.
fn given(view: &View<'_>, since: Wall) -> Result<EventSchedule, ApiError> {
    let input = &view.request.input;
    let (group, name) = place(view);
    named(view, &group)?;
    if input["KmsKeyArn"].as_str().is_some_and(|key| !key.is_empty()) {
        return Err(invalid(
            "KmsKeyArn is not supported by Forebay, which has no KMS: leave it out.",
        ));
    }
    Ok(EventSchedule {
        arn: own_arn(view, "scheduler", &format!("schedule/{group}/{name}")),
        timing: timing(input, since)?,
        enabled: input["State"] != "DISABLED",
        target: target(view)?,
        description: input["Description"].as_str().map(str::to_owned),
        after: if input["ActionAfterCompletion"] == "DELETE" {
            AfterCompletion::Delete
        } else {
            AfterCompletion::Keep
        },
        created: view.request.now,
        modified: view.request.now,
        token: input["ClientToken"].as_str().map(str::to_owned),
        name,
        group,
    })
}

fn keep(tx: &mut Tx<'_>, schedule: EventSchedule) -> Answered {
    let now = tx.request.now;
    let region = tx.region_mut();
    if schedule.enabled {
        start(region, &schedule.arn, &schedule.timing).map_err(|why| invalid(why.to_string()))?;
        if schedule.after == AfterCompletion::Delete {
            end_if_over(region, &schedule.arn, now);
        }
    } else {
        stop(region, &schedule.arn);
    }
    let arn = schedule.arn.clone();
    region
        .event_schedules
        .insert(key(&schedule.group, &schedule.name), Arc::new(schedule));
    Ok(json!({"ScheduleArn": arn}))
}

/// How long ago the start date of a new schedule may be.
const START_AGO: Duration = Duration::from_secs(300);

pub(super) fn create(tx: &mut Tx<'_>) -> Answered {
    let schedule = given(tx, tx.request.now)?;
    let schedules = &tx.region().event_schedules;
    if let Some(before) = schedules.get(&key(&schedule.group, &schedule.name)) {
        // A client that got no answer calls again with the same token.
        return if schedule.token.is_some() && schedule.is_like(before) {
            Ok(json!({"ScheduleArn": before.arn}))
        } else {
            Err(conflict("Schedule", &schedule.name))
        };
    }
    let recurs = !schedule.timing.expression.starts_with("at(");
    if recurs
        && schedule
            .timing
            .start
            .is_some_and(|start| start + START_AGO < tx.request.now)
    {
        return Err(invalid(
            "The StartDate you specify cannot be earlier than 5 minutes ago.",
        ));
    }
    if schedules.len() >= SCHEDULES {
        return Err(quota(format!("A region has {SCHEDULES} schedules at most.")));
    }
    keep(tx, schedule)
}

pub(super) fn update(tx: &mut Tx<'_>) -> Answered {
    let before = found(tx)?;
    let mut schedule = given(tx, tx.request.now)?;
    schedule.created = before.created;
    schedule.token.clone_from(&before.token);
    // If its times do not change, it continues as before: a rate keeps counting from the same time, and runs that wait for
    // their moment still come.
    let times = |timing: &Timing| (timing.expression.clone(), timing.zone.clone(), timing.start);
    let goes_on = before.enabled && times(&schedule.timing) == times(&before.timing);
    if goes_on {
        schedule.timing.since = before.timing.since;
    }
    let now = tx.request.now;
    let changed = (goes_on && schedule.enabled).then_some((&schedule.target, &schedule.timing));
    rearrange(tx.region_mut(), &schedule.arn, now, changed);
    keep(tx, schedule)
}

pub(super) fn delete(tx: &mut Tx<'_>) -> Answered {
    let schedule = found(tx)?;
    let region = tx.region_mut();
    region
        .event_schedules
        .remove(&key(&schedule.group, &schedule.name));
    forget(region, &schedule.arn);
    Ok(json!({}))
}

fn shown_target(target: &Target) -> Value {
    let mut shown = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            shown.insert(name.to_owned(), value);
        }
    };
    put("Arn", Some(json!(target.arn)));
    put("RoleArn", target.role.as_ref().map(|role| json!(role)));
    put("Input", target.input.as_ref().map(|input| json!(input)));
    put(
        "SqsParameters",
        target
            .message_group
            .as_ref()
            .map(|group| json!({"MessageGroupId": group})),
    );
    put(
        "DeadLetterConfig",
        target.dead_letter.as_ref().map(|arn| json!({"Arn": arn})),
    );
    // AWS shows defaults.
    put(
        "RetryPolicy",
        Some(json!({
            "MaximumEventAgeInSeconds": target.age_s.unwrap_or(86_400),
            "MaximumRetryAttempts": target.retries.unwrap_or(185),
        })),
    );
    Value::Object(shown)
}

pub(super) fn get(view: &View<'_>) -> Answered {
    let schedule = found(view)?;
    let timing = &schedule.timing;
    let flexible = match timing.window {
        None => json!({"Mode": "OFF"}),
        Some(minutes) => json!({"Mode": "FLEXIBLE", "MaximumWindowInMinutes": minutes}),
    };
    let mut shown = json!({
        "Arn": schedule.arn,
        "GroupName": schedule.group,
        "Name": schedule.name,
        "ScheduleExpression": timing.expression,
        "ScheduleExpressionTimezone": timing.zone.as_deref().unwrap_or("UTC"),
        "State": state(&schedule),
        "CreationDate": schedule.created.seconds(),
        "LastModificationDate": schedule.modified.seconds(),
        "Target": shown_target(&schedule.target),
        "FlexibleTimeWindow": flexible,
        "ActionAfterCompletion": if schedule.after == AfterCompletion::Delete { "DELETE" } else { "NONE" },
    });
    for (name, at) in [("StartDate", timing.start), ("EndDate", timing.end)] {
        if let Some(at) = at {
            shown[name] = json!(at.seconds());
        }
    }
    if let Some(text) = &schedule.description {
        shown["Description"] = json!(text);
    }
    Ok(shown)
}

fn state(schedule: &EventSchedule) -> &'static str {
    if schedule.enabled { "ENABLED" } else { "DISABLED" }
}

pub(super) fn list(view: &View<'_>) -> Answered {
    let input = &view.request.input;
    let text = |name: &str| input[name].as_str();
    if let Some(group) = text("GroupName") {
        named(view, group)?;
    }
    let wanted = |schedule: &&Arc<EventSchedule>| {
        text("GroupName").is_none_or(|group| schedule.group == group)
            && text("NamePrefix").is_none_or(|prefix| schedule.name.starts_with(prefix))
            && text("State").is_none_or(|wanted| state(schedule) == wanted)
    };
    let all: Vec<_> = view
        .region()
        .event_schedules
        .values()
        .filter(wanted)
        .cloned()
        .collect();
    let (held, next) = page(view, PAGE_SIZE, all, |schedule| {
        key(&schedule.group, &schedule.name)
    })?;
    let shown: Vec<Value> = held
        .iter()
        .map(|schedule| {
            json!({
                "Arn": schedule.arn,
                "Name": schedule.name,
                "GroupName": schedule.group,
                "State": state(schedule),
                "CreationDate": schedule.created.seconds(),
                "LastModificationDate": schedule.modified.seconds(),
                "Target": {"Arn": schedule.target.arn},
            })
        })
        .collect();
    Ok(with_token(json!({"Schedules": shown}), next))
}
