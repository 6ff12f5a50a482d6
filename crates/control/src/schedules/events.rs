//! The input of a target: the event of its schedule, or the input that was configured.

use super::records::{ScheduledRun, Target};
use crate::api::arns::account_of;
use crate::ids::uuid;
use forebay_units::Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The execution id of a run, the same in all attempts.
pub(super) fn execution_id(run: &ScheduledRun) -> String {
    uuid(&mut Rng::named(0, &run.key()))
}

fn region_of(arn: &str) -> &str {
    arn.split(':').nth(3).unwrap_or_default()
}

/// The time as events show it.
fn time(run: &ScheduledRun) -> String {
    forebay_awswire::timestamp(run.scheduled.seconds() as f64).replace(".000Z", "Z")
}

/// The event of a run.
fn event(run: &ScheduledRun, of_rule: bool) -> Value {
    let (source, detail) = if of_rule {
        ("aws.events", json!({}))
    } else {
        ("aws.scheduler", json!("{}"))
    };
    json!({
        "version": "0",
        "id": execution_id(run),
        "detail-type": "Scheduled Event",
        "source": source,
        "account": account_of(&run.schedule),
        "time": time(run),
        "region": region_of(&run.schedule),
        "resources": [run.schedule],
        "detail": detail,
    })
}

/// The input of a run's target.
pub(super) fn input(run: &ScheduledRun) -> String {
    let of_rule = run.schedule.contains(":rule/");
    let target = &run.target;
    if of_rule {
        return of_rule_input(run, target);
    }
    match &target.input {
        None => event(run, false).to_string(),
        Some(input) => input
            .replace("<aws.scheduler.schedule-arn>", &run.schedule)
            .replace("<aws.scheduler.scheduled-time>", &time(run))
            .replace("<aws.scheduler.execution-id>", &execution_id(run))
            .replace("<aws.scheduler.attempt-number>", &(run.failures + 1).to_string()),
    }
}

fn of_rule_input(run: &ScheduledRun, target: &Target) -> String {
    let event = event(run, true);
    if let Some(input) = &target.input {
        return input.clone();
    }
    if let Some(path) = &target.input_path {
        return at(&event, path).unwrap_or(&Value::Null).to_string();
    }
    match &target.transformer {
        None => event.to_string(),
        Some(transformer) => transformed(&event, run, transformer),
    }
}

/// The value in the event at a path such as `$.detail` or `$.resources[0]`.
fn at<'a>(event: &'a Value, path: &str) -> Option<&'a Value> {
    let mut place = event;
    for step in path.strip_prefix('$')?.split('.').filter(|step| !step.is_empty()) {
        let (name, number) = match step.split_once('[') {
            None => (step, None),
            Some((name, number)) => (name, number.strip_suffix(']')?.parse::<usize>().ok()),
        };
        place = place.get(name)?;
        if let Some(number) = number {
            place = place.get(number)?;
        }
    }
    Some(place)
}

fn transformed(event: &Value, run: &ScheduledRun, transformer: &Value) -> String {
    let paths = transformer["InputPathsMap"].as_object().into_iter().flatten();
    let mut values: BTreeMap<String, String> = paths
        .map(|(name, path)| {
            let found = path.as_str().and_then(|path| at(event, path));
            let text = match found {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            };
            (name.clone(), text)
        })
        .collect();
    let rule = run.schedule.rsplit('/').next().unwrap_or_default();
    values.insert("aws.events.rule-arn".to_owned(), run.schedule.clone());
    values.insert("aws.events.rule-name".to_owned(), rule.to_owned());
    values.insert("aws.events.event.ingestion-time".to_owned(), time(run));
    values.insert("aws.events.event.json".to_owned(), event.to_string());
    let template = transformer["InputTemplate"].as_str().unwrap_or_default();
    // A template in quotes yields a JSON string, with its placeholders filled in.
    values.iter().fold(template.to_owned(), |text, (name, value)| {
        text.replace(&format!("<{name}>"), value)
    })
}
