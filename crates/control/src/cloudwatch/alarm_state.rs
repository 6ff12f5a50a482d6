//! Calls about existing alarms: set their state, enable or disable their actions, delete them.

use crate::api::context::Tx;
use crate::api::errors::{error, validation};
use crate::api::tagging::put_tags;
use crate::cloudwatch::changes::set_state;
use crate::cloudwatch::history;
use crate::records::Tags;
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_signals::alarm::State;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The most alarms in one call of DeleteAlarms.
const DELETE_LIMIT: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NewState {
    alarm_name: String,
    state_value: String,
    state_reason: String,
    state_reason_data: Option<String>,
}

pub(crate) fn set_alarm_state(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: NewState = tx.input()?;
    let data = input.state_reason_data;
    if data
        .as_ref()
        .is_some_and(|data| serde_json::from_str::<Value>(data).is_err())
    {
        return Err(error("InvalidFormat", "StateReasonData is not valid JSON"));
    }
    let missing = || error("ResourceNotFound", "Unknown").with_status(404);
    let mut alarm = (**tx.region().alarms.get(&input.alarm_name).ok_or_else(missing)?).clone();
    let state = State::named(&input.state_value)
        .ok_or_else(|| validation(format!("'{}' is not a state of an alarm", input.state_value)))?;
    let (before, now) = (alarm.state, tx.request.now);
    let region = tx.region_mut();
    set_state(region, &mut alarm, state, input.state_reason, data, now);
    // The next tick runs the actions.
    alarm.actions_due = alarm.actions_enabled && before != state;
    region.alarms.insert(alarm.name.clone(), Arc::new(alarm));
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Names {
    alarm_names: Vec<String>,
}

pub(crate) fn enable_actions(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    switch_actions(tx, true)
}

pub(crate) fn disable_actions(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    switch_actions(tx, false)
}

/// AWS ignores names without an alarm.
fn switch_actions(tx: &mut Tx<'_>, enabled: bool) -> Result<Value, ApiError> {
    let (input, now): (Names, _) = (tx.input()?, tx.request.now);
    for name in input.alarm_names {
        let Some(mut alarm) = tx.region().alarms.get(&name).map(|alarm| (**alarm).clone()) else {
            continue;
        };
        if alarm.actions_enabled == enabled {
            continue;
        }
        alarm.actions_enabled = enabled;
        alarm.configured = now;
        let summary = format!(
            "Alarm \"{name}\" actions {}",
            if enabled { "enabled" } else { "disabled" }
        );
        let data = json!({"version": "1.0", "type": "Update", "updatedAlarm": {"alarmName": name, "actionsEnabled": enabled}});
        let region = tx.region_mut();
        history::enter(region, &mut alarm, now, history::CONFIGURATION, &summary, &data);
        region.alarms.insert(name, Arc::new(alarm));
    }
    Ok(json!({}))
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: Names = tx.input()?;
    if input.alarm_names.len() > DELETE_LIMIT {
        return Err(validation(format!(
            "The collection AlarmNames must not have a size greater than {DELETE_LIMIT}."
        )));
    }
    let alarms = &tx.region().alarms;
    let (found, missing): (Vec<String>, Vec<String>) = input
        .alarm_names
        .into_iter()
        .partition(|name| alarms.contains_key(name));
    let composites = found
        .iter()
        .filter_map(|name| alarms.get(name))
        .filter(|alarm| alarm.kind() == "CompositeAlarm");
    if composites.count() > 1 {
        return Err(validation("One composite alarm can be deleted at a time"));
    }
    if !missing.is_empty() && tx.dialect() == Dialect::Aws {
        let text = format!("Alarms not found: {}", missing.join(", "));
        return Err(error("ResourceNotFound", text).with_status(404));
    }
    for name in found {
        let region = tx.region_mut();
        if let Some(alarm) = region.alarms.remove(&name) {
            history::forget(region, &alarm);
            put_tags(region, &alarm.arn, Tags::new());
        }
    }
    Ok(json!({}))
}
