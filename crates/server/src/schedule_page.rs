//! The page `/schedules` of the admin address: all schedules and rules, their next runs, and their last runs.

use forebay_control::State;
use forebay_control::schedules::ScheduleView;
use forebay_control::schedules::records::{RunPhase, ScheduledRun};
use forebay_units::Wall;
use serde_json::{Value, json};

/// The page as of `now`.
pub(crate) fn page(state: &State, now: Wall) -> Value {
    let schedules: Vec<Value> = state.schedule_views(now).iter().map(schedule).collect();
    json!({"now": time(now), "schedules": schedules})
}

fn time(at: Wall) -> String {
    forebay_awswire::timestamp(at.0 as f64 / 1e6)
}

fn schedule(view: &ScheduleView) -> Value {
    let runs: Vec<Value> = view.runs.iter().map(|one| run(one)).collect();
    json!({
        "arn": view.arn,
        "kind": if view.arn.contains(":rule/") { "rule" } else { "schedule" },
        "name": view.arn.split_once(":schedule/").or_else(|| view.arn.split_once(":rule/")).map(|(_, name)| name),
        "expression": view.expression,
        "timezone": view.zone,
        "enabled": view.enabled,
        "targets": view.targets,
        "next": view.next.map(time),
        "missed": view.missed,
        "runs": runs,
    })
}

fn run(run: &ScheduledRun) -> Value {
    let (status, at, why) = match &run.phase {
        RunPhase::Due { at, why: None } => ("due", *at, None),
        RunPhase::Due { at, why } => ("retrying", *at, why.clone()),
        RunPhase::DeadLetter { code, why, .. } => ("failed", run.begun, Some(format!("{code}: {why}"))),
        RunPhase::Done { at, why: None } => ("ok", *at, None),
        RunPhase::Done { at, why } => ("failed", *at, why.clone()),
    };
    json!({
        "scheduled": time(run.scheduled),
        "begun": time(run.begun),
        "caught_up": run.caught_up,
        "target": run.target.arn,
        "failures": run.failures,
        "status": status,
        "at": time(at),
        "why": why,
    })
}
