//! Composite alarms: which alarms their rules refer to, and when a rule is met.

use crate::api::context::View;
use crate::api::errors::validation;
use crate::cloudwatch::metric::alarm_arn;
use crate::cloudwatch::records::{Alarm, Watches};
use crate::tables::Region;
use forebay_awswire::{ApiError, timestamp};
use forebay_signals::alarm::State;
use forebay_signals::composite::Rule;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most alarms that a rule may refer to (AWS's quota).
const CHILD_LIMIT: usize = 100;
/// The most characters of a rule.
const RULE_LIMIT: usize = 10_240;

/// The name of the alarm that a rule refers to by name or ARN.
fn name_in(called: &str) -> &str {
    let of_arn = called
        .strip_prefix("arn:")
        .and_then(|rest| rest.split_once(":alarm:"));
    of_arn.map_or(called, |(_, name)| name)
}

/// The names of the alarms that an alarm's rule refers to; empty for a metric alarm.
pub(super) fn children(region: &Region, name: &str) -> BTreeSet<String> {
    let alarm = region.alarms.get(name);
    match alarm.map(|alarm| &alarm.watches) {
        Some(Watches::Composite(text)) => names_in(text),
        _ => BTreeSet::new(),
    }
}

fn names_in(text: &str) -> BTreeSet<String> {
    let rule = Rule::parse(text).ok();
    let names = rule.iter().flat_map(Rule::alarms);
    names.map(|called| name_in(called).to_owned()).collect()
}

/// Checks a rule: its grammar, that the alarms it refers to exist, and that none of them refers back to it.
pub(super) fn check(view: &View<'_>, name: &str, text: &str) -> Result<(), ApiError> {
    if text.chars().count() > RULE_LIMIT {
        return Err(validation(format!(
            "AlarmRule must have {RULE_LIMIT} characters at most"
        )));
    }
    let rule =
        Rule::parse(text).map_err(|problem| validation(format!("AlarmRule is not valid: {problem}")))?;
    let asked = rule.alarms();
    for called in &asked {
        let of = name_in(called);
        let elsewhere = called.starts_with("arn:")
            && **called != alarm_arn(view.request.region, view.request.account, of);
        if of != name && (elsewhere || !view.region().alarms.contains_key(of)) {
            return Err(validation(format!(
                "AlarmRule names an alarm that does not exist: {called}"
            )));
        }
    }
    let mut next: Vec<String> = names_in(text).into_iter().collect();
    if next.len() > CHILD_LIMIT {
        return Err(validation(format!(
            "AlarmRule can name {CHILD_LIMIT} alarms at most"
        )));
    }
    let mut seen = BTreeSet::new();
    while let Some(child) = next.pop() {
        if child == name {
            return Err(validation("AlarmRule must not refer back to its own alarm"));
        }
        if seen.insert(child.clone()) {
            next.extend(children(view.region(), &child));
        }
    }
    Ok(())
}

/// A composite alarm's new state, and the reason.
pub(super) struct Verdict {
    pub(super) name: String,
    pub(super) state: State,
    pub(super) reason: String,
    pub(super) data: String,
}

/// Composite alarms that change state, given the states that others are about to enter. Composite alarms that depend on
/// those follow in turn; rules have no cycles, so this ends.
pub(super) fn verdicts(region: &Region, mut states: BTreeMap<String, State>) -> Vec<Verdict> {
    let mut composites: Vec<(&Arc<Alarm>, Rule)> = Vec::new();
    for alarm in region.alarms.values() {
        if let Watches::Composite(text) = &alarm.watches
            && let Ok(rule) = Rule::parse(text)
        {
            composites.push((alarm, rule));
        }
    }
    let mut found: BTreeMap<&str, Verdict> = BTreeMap::new();
    // A change takes at most as many rounds as there are composite alarms to get from the first to the last.
    for _ in 0..composites.len() {
        let mut changed = false;
        for (alarm, rule) in &composites {
            let now = |name: &str| {
                let known = states.get(name).copied();
                known.or_else(|| region.alarms.get(name).map(|alarm| alarm.state))
            };
            let holds = rule.holds(&|called| now(name_in(called)));
            let state = if holds { State::Alarm } else { State::Ok };
            if now(&alarm.name) != Some(state) {
                let (reason, data) = reason(region, rule, &states, state);
                let verdict = Verdict {
                    name: alarm.name.clone(),
                    state,
                    reason,
                    data,
                };
                found.insert(&alarm.name, verdict);
                states.insert(alarm.name.clone(), state);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    found.into_values().collect()
}

/// The reason in AWS's words: which of the alarms caused the change.
fn reason(region: &Region, rule: &Rule, states: &BTreeMap<String, State>, to: State) -> (String, String) {
    let asked: Vec<&Arc<Alarm>> = rule
        .alarms()
        .into_iter()
        .filter_map(|called| region.alarms.get(name_in(called)))
        .collect();
    let state = |alarm: &Alarm| states.get(&alarm.name).copied().unwrap_or(alarm.state);
    // An alarm that is changing now, or else the one that changed last.
    let cause = asked
        .iter()
        .max_by_key(|alarm| (states.contains_key(&alarm.name), alarm.transitioned));
    let text = match cause {
        Some(cause) => format!("{} transitioned to {}", cause.arn, state(cause).name()),
        None => format!("The rule makes it {}", to.name()),
    };
    let triggering: Vec<Value> = asked
        .iter()
        .map(|alarm| {
            let at = timestamp(alarm.transitioned.0 as f64 / 1e6);
            json!({"arn": alarm.arn, "state": {"value": state(alarm).name(), "timestamp": at}})
        })
        .collect();
    (text, json!({ "triggeringAlarms": triggering }).to_string())
}
