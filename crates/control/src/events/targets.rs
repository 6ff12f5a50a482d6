//! Targets of rules.

use super::errors::{invalid, limit};
use super::rules::{PAGE_SIZE, check_bus, keep, named};
use crate::api::context::{Answered, Tx, View};
use crate::schedules::check;
use crate::schedules::lists::{page, with_token};
use crate::schedules::records::Target;
use forebay_awswire::ApiError;
use serde_json::{Map, Value, json};

/// The most targets of a rule (AWS's quota).
const TARGETS: usize = 5;

/// Parameters of targets that are not supported.
const REFUSED: [&str; 8] = [
    "KinesisParameters",
    "RunCommandParameters",
    "EcsParameters",
    "BatchParameters",
    "HttpParameters",
    "RedshiftDataParameters",
    "SageMakerPipelineParameters",
    "AppSyncParameters",
];

/// Refuses parameters of kinds of targets that are not supported.
fn refuse(given: &Value) -> Result<(), ApiError> {
    if let Some(name) = REFUSED.iter().find(|name| !given[**name].is_null()) {
        return Err(invalid(format!(
            "{name} is for a kind of target that Forebay does not support: leave it out."
        )));
    }
    Ok(())
}

fn read(view: &View<'_>, given: &Value) -> Result<Target, ApiError> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let inputs = ["Input", "InputPath", "InputTransformer"];
    if inputs.iter().filter(|name| !given[**name].is_null()).count() > 1 {
        return Err(invalid(
            "Only one of Input, InputPath, or InputTransformer must be provided for target.",
        ));
    }
    if let Some(input) = given["Input"].as_str()
        && serde_json::from_str::<serde::de::IgnoredAny>(input).is_err()
    {
        return Err(invalid("JSON syntax error in input for target."));
    }
    let target = Target {
        id: text(&given["Id"]).unwrap_or_default(),
        arn: text(&given["Arn"]).unwrap_or_default(),
        role: text(&given["RoleArn"]),
        input: text(&given["Input"]),
        input_path: text(&given["InputPath"]),
        transformer: given["InputTransformer"]
            .as_object()
            .map(|given| Value::Object(given.clone())),
        message_group: text(&given["SqsParameters"]["MessageGroupId"]),
        dead_letter: text(&given["DeadLetterConfig"]["Arn"]),
        retries: number(&given["RetryPolicy"]["MaximumRetryAttempts"]),
        age_s: number(&given["RetryPolicy"]["MaximumEventAgeInSeconds"]),
    };
    check(view, &target, true).map_err(invalid)?;
    Ok(target)
}

pub(super) fn put(tx: &mut Tx<'_>) -> Answered {
    let given = tx.request.input["Targets"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    given.iter().try_for_each(refuse)?;
    let mut rule = (*named(tx, "Rule")?).clone();
    for one in &given {
        let target = read(tx, one)?;
        rule.targets.retain(|known| known.id != target.id);
        rule.targets.push(target);
    }
    rule.targets.sort_by(|one, other| one.id.cmp(&other.id));
    if rule.targets.len() > TARGETS {
        return Err(limit(format!(
            "The requested resource exceeds the maximum number allowed: {TARGETS} targets."
        )));
    }
    keep(tx, rule)?;
    Ok(json!({"FailedEntryCount": 0, "FailedEntries": []}))
}

pub(super) fn remove(tx: &mut Tx<'_>) -> Answered {
    let mut rule = (*named(tx, "Rule")?).clone();
    let ids = tx.request.input["Ids"].as_array().cloned().unwrap_or_default();
    let before = rule.targets.len();
    rule.targets
        .retain(|target| !ids.iter().any(|id| *id == target.id));
    if rule.targets.len() < before {
        keep(tx, rule)?;
    }
    Ok(json!({"FailedEntryCount": 0, "FailedEntries": []}))
}

fn shown(target: &Target) -> Value {
    let mut shown = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            shown.insert(name.to_owned(), value);
        }
    };
    put("Id", Some(json!(target.id)));
    put("Arn", Some(json!(target.arn)));
    put("RoleArn", target.role.as_ref().map(|role| json!(role)));
    put("Input", target.input.as_ref().map(|input| json!(input)));
    put("InputPath", target.input_path.as_ref().map(|path| json!(path)));
    put("InputTransformer", target.transformer.clone());
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
    let mut retries = Map::new();
    for (name, value) in [
        ("MaximumRetryAttempts", target.retries),
        ("MaximumEventAgeInSeconds", target.age_s),
    ] {
        if let Some(value) = value {
            retries.insert(name.to_owned(), json!(value));
        }
    }
    put(
        "RetryPolicy",
        (!retries.is_empty()).then_some(Value::Object(retries)),
    );
    Value::Object(shown)
}

pub(super) fn list(view: &View<'_>) -> Answered {
    let rule = named(view, "Rule")?;
    let (held, next) = page(view, PAGE_SIZE, rule.targets.clone(), |target| target.id.clone())?;
    let shown: Vec<Value> = held.iter().map(shown).collect();
    Ok(with_token(json!({"Targets": shown}), next))
}

pub(super) fn rule_names(view: &View<'_>) -> Answered {
    check_bus(view)?;
    let arn = view.request.input["TargetArn"].as_str().unwrap_or_default();
    let rules = view.region().event_rules.values();
    let rules = rules.filter(|rule| rule.targets.iter().any(|target| target.arn == arn));
    let names: Vec<String> = rules.map(|rule| rule.name.clone()).collect();
    let (held, next) = page(view, PAGE_SIZE, names, String::clone)?;
    Ok(with_token(json!({"RuleNames": held}), next))
}
