//! Rules, and the only event bus.

use super::errors::{invalid, limit, no_rule};
use crate::api::arns::own_arn;
use crate::api::context::{Answered, Tx, View};
use crate::api::errors::error;
use crate::api::tagging::put_tags;
use crate::records::Tags;
use crate::schedules::lists::{checked_tags, page, with_token};
use crate::schedules::records::{EventRule, Timing};
use crate::schedules::{forget, start, stop};
use forebay_awswire::ApiError;
use forebay_schedules::{Dialect, ExpressionError};
use serde_json::{Value, json};
use std::sync::Arc;

/// The input member with the page size.
pub(super) const PAGE_SIZE: &str = "Limit";
/// The name of the only event bus.
const BUS: &str = "default";
/// The most rules of a bus (AWS's quota).
const RULES: usize = 300;

/// Refuses a call that names another event bus.
pub(super) fn check_bus(view: &View<'_>) -> Result<(), ApiError> {
    match view.request.input["EventBusName"].as_str() {
        None | Some(BUS) => Ok(()),
        Some(arn) if arn == bus_arn(view) => Ok(()),
        Some(other) => Err(error(
            "ResourceNotFoundException",
            format!("Event bus {other} does not exist."),
        )),
    }
}

fn bus_arn(view: &View<'_>) -> String {
    own_arn(view, "events", "event-bus/default")
}

/// The rule that the call names.
pub(super) fn named(view: &View<'_>, member: &str) -> Result<Arc<EventRule>, ApiError> {
    check_bus(view)?;
    let name = view.request.input[member].as_str().unwrap_or_default();
    view.region()
        .event_rules
        .get(name)
        .cloned()
        .ok_or_else(|| no_rule(name))
}

/// Stores a rule, and starts or stops its clock.
pub(super) fn keep(tx: &mut Tx<'_>, rule: EventRule) -> Result<(), ApiError> {
    let region = tx.region_mut();
    if rule.enabled {
        start(region, &rule.arn, &rule.timing).map_err(|why| invalid(why.to_string()))?;
    } else {
        stop(region, &rule.arn);
    }
    region.event_rules.insert(rule.name.clone(), Arc::new(rule));
    Ok(())
}

pub(super) fn put(tx: &mut Tx<'_>) -> Answered {
    check_bus(tx)?;
    let input = tx.request.input.clone();
    let text = |name: &str| {
        input[name]
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let name = text("Name").unwrap_or_default();
    if text("EventPattern").is_some() {
        return Err(error(
            "InvalidEventPatternException",
            "Event patterns are not supported by Forebay, whose only events are those of schedules: give ScheduleExpression alone.",
        ));
    }
    let expression = text("ScheduleExpression")
        .ok_or_else(|| invalid("Parameter(s) EventPattern or ScheduleExpression must be specified."))?;
    let before = tx.region().event_rules.get(&name).cloned();
    if before.is_none() && tx.region().event_rules.len() >= RULES {
        return Err(limit(format!(
            "The requested resource exceeds the maximum number allowed: {RULES} rules."
        )));
    }
    let enabled = input["State"] != "DISABLED";
    let mut timing = Timing {
        expression,
        of_rule: true,
        zone: None,
        since: tx.request.now,
        start: None,
        end: None,
        window: None,
    };
    if let Err(why) = timing.times() {
        let told = ExpressionError::aws_message(Dialect::Rules, &timing.expression);
        return Err(invalid(format!("{told} ({why})")));
    }
    if let Some(before) = before
        .as_ref()
        .filter(|before| before.enabled && before.timing.expression == timing.expression)
    {
        timing.since = before.timing.since;
    }
    let rule = EventRule {
        arn: own_arn(tx, "events", &format!("rule/{name}")),
        timing,
        enabled,
        targets: before
            .as_ref()
            .map(|before| before.targets.clone())
            .unwrap_or_default(),
        description: text("Description"),
        role: text("RoleArn"),
        name,
    };
    let arn = rule.arn.clone();
    // Tags of an existing rule are changed by other calls.
    if before.is_none() {
        let wanted = checked_tags(&input["Tags"], Tags::new())?;
        put_tags(tx.region_mut(), &arn, wanted);
    }
    keep(tx, rule)?;
    Ok(json!({"RuleArn": arn}))
}

pub(super) fn enable(tx: &mut Tx<'_>) -> Answered {
    turn(tx, true)
}

pub(super) fn disable(tx: &mut Tx<'_>) -> Answered {
    turn(tx, false)
}

fn turn(tx: &mut Tx<'_>, enabled: bool) -> Answered {
    let mut rule = (*named(tx, "Name")?).clone();
    if rule.enabled != enabled {
        rule.enabled = enabled;
        rule.timing.since = tx.request.now;
        keep(tx, rule)?;
    }
    Ok(Value::Null)
}

pub(super) fn delete(tx: &mut Tx<'_>) -> Answered {
    check_bus(tx)?;
    let name = tx.request.input["Name"].as_str().unwrap_or_default();
    // Deleting a rule that does not exist succeeds.
    let Some(rule) = tx.region().event_rules.get(name).cloned() else {
        return Ok(Value::Null);
    };
    if !rule.targets.is_empty() {
        return Err(invalid("Rule can't be deleted since it has targets."));
    }
    let region = tx.region_mut();
    region.event_rules.remove(&rule.name);
    region.tags.remove(&rule.arn);
    forget(region, &rule.arn);
    Ok(Value::Null)
}

fn shown(rule: &EventRule) -> Value {
    let mut shown = json!({
        "Name": rule.name,
        "Arn": rule.arn,
        "ScheduleExpression": rule.timing.expression,
        "State": if rule.enabled { "ENABLED" } else { "DISABLED" },
        "EventBusName": BUS,
    });
    for (name, text) in [("Description", &rule.description), ("RoleArn", &rule.role)] {
        if let Some(text) = text {
            shown[name] = json!(text);
        }
    }
    shown
}

pub(super) fn describe(view: &View<'_>) -> Answered {
    let mut answer = shown(&*named(view, "Name")?);
    answer["CreatedBy"] = json!(view.request.account);
    Ok(answer)
}

pub(super) fn list(view: &View<'_>) -> Answered {
    check_bus(view)?;
    let prefix = view.request.input["NamePrefix"].as_str().unwrap_or_default();
    let all = view
        .region()
        .event_rules
        .values()
        .filter(|rule| rule.name.starts_with(prefix));
    let (held, next) = page(view, PAGE_SIZE, all.cloned().collect(), |rule| rule.name.clone())?;
    let shown: Vec<Value> = held.iter().map(|rule| shown(rule)).collect();
    Ok(with_token(json!({"Rules": shown}), next))
}

pub(super) fn bus(view: &View<'_>) -> Answered {
    if let Some(name) = view.request.input["Name"].as_str()
        && name != BUS
        && name != bus_arn(view)
    {
        return Err(error(
            "ResourceNotFoundException",
            format!("Event bus {name} does not exist."),
        ));
    }
    Ok(json!({"Name": BUS, "Arn": bus_arn(view)}))
}

pub(super) fn buses(view: &View<'_>) -> Answered {
    Ok(json!({"EventBuses": [{"Name": BUS, "Arn": bus_arn(view)}]}))
}
