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

/// Whether the run is a rule's, not a schedule's.
pub(super) fn is_of_rule(run: &ScheduledRun) -> bool {
    run.schedule.contains(":rule/")
}

/// The time as events show it.
pub(super) fn time(run: &ScheduledRun) -> String {
    forebay_awswire::timestamp(run.scheduled.seconds() as f64).replace(".000Z", "Z")
}

/// The event of a run.
pub(super) fn event(run: &ScheduledRun, of_rule: bool) -> Value {
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
    let target = &run.target;
    if is_of_rule(run) {
        return of_rule_input(run, target);
    }
    match &target.input {
        None => event(run, false).to_string(),
        Some(input) => filled(
            input,
            [
                &run.schedule,
                &time(run),
                &execution_id(run),
                &(run.failures + 1).to_string(),
            ],
        ),
    }
}

/// An input with its context attributes filled in: the ARN, the scheduled time, the execution's id, the attempt's number.
fn filled(input: &str, values: [&str; 4]) -> String {
    const NAMES: [&str; 4] = [
        "<aws.scheduler.schedule-arn>",
        "<aws.scheduler.scheduled-time>",
        "<aws.scheduler.execution-id>",
        "<aws.scheduler.attempt-number>",
    ];
    let both = NAMES.iter().zip(values);
    both.fold(input.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// The input of a target of Scheduler as a run would have it, so that it can be checked before there is one.
pub(super) fn sample_input(target: &Target) -> Option<String> {
    let arn = "arn:aws:scheduler:local-1:123456789012:schedule/default/sample";
    let id = "00000000-0000-4000-8000-000000000000";
    let input = target.input.as_deref()?;
    Some(filled(input, [arn, "2026-01-01T00:00:00Z", id, "1"]))
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
    let found = paths.map(|(name, path)| {
        let found = path.as_str().and_then(|path| at(event, path));
        (name.as_str(), found.cloned().unwrap_or_default())
    });
    let mut values: BTreeMap<&str, Value> = found.collect();
    let rule = run.schedule.rsplit('/').next().unwrap_or_default();
    let mut without_detail = event.clone();
    if let Some(members) = without_detail.as_object_mut() {
        members.remove("detail");
    }
    values.insert("aws.events.rule-arn", json!(run.schedule));
    values.insert("aws.events.rule-name", json!(rule));
    values.insert("aws.events.event.ingestion-time", json!(time(run)));
    values.insert("aws.events.event", without_detail);
    values.insert("aws.events.event.json", event.clone());
    fill_in(transformer["InputTemplate"].as_str().unwrap_or_default(), &values)
}

/// A template with the values of its variables. One within quotes becomes a part of that string; one without becomes a JSON
/// value, a text in quotes of its own. Other text between `<` and `>` stays.
fn fill_in(template: &str, values: &BTreeMap<&str, Value>) -> String {
    let (mut filled, mut quoted, mut rest) = (String::with_capacity(template.len()), false, template);
    while let Some(first) = rest.chars().next() {
        let name = rest.strip_prefix('<').and_then(|behind| behind.split_once('>'));
        if let Some((value, behind)) = name.and_then(|(name, behind)| Some((values.get(name)?, behind))) {
            match value {
                _ if !quoted => filled.push_str(&value.to_string()),
                Value::Null => {}
                Value::String(text) => filled.push_str(&escaped(text)),
                other => filled.push_str(&escaped(&other.to_string())),
            }
            rest = behind;
            continue;
        }
        // An escaped character, such as a quote, ends nothing.
        let length = match rest.chars().nth(1) {
            Some(next) if first == '\\' => 1 + next.len_utf8(),
            _ => first.len_utf8(),
        };
        quoted ^= first == '"';
        filled.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    filled
}

/// A text as it stands between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = json!(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_become_values_or_parts_of_strings() {
        let values = BTreeMap::from([
            ("time", json!("2026-11-29T12:00:00Z")),
            ("said", json!("a \"b\"")),
            ("all", json!({"a": [1]})),
            ("none", Value::Null),
        ]);
        for (template, wanted) in [
            (r#"{"at": <time>}"#, r#"{"at": "2026-11-29T12:00:00Z"}"#),
            (r#""at <time>: <said>""#, r#""at 2026-11-29T12:00:00Z: a \"b\"""#),
            (r#"{"e": <all>, "n": <none>}"#, r#"{"e": {"a":[1]}, "n": null}"#),
            (
                r#""\"<time> <other> <none>|""#,
                r#""\"2026-11-29T12:00:00Z <other> |""#,
            ),
            (r#""<all>""#, r#""{\"a\":[1]}""#),
            ("<", "<"),
        ] {
            assert_eq!(fill_in(template, &values), wanted);
        }
    }
}
