//! What evaluations and calls lead to: new states of alarms, and the actions that are run because of them.

use crate::autoscaling::execute::by_alarm;
use crate::cloudwatch::history::{ACTION, STATE, enter};
use crate::cloudwatch::notification::notification;
use crate::cloudwatch::records::Alarm;
use crate::ports::{ActionError, Actions, AlarmAction};
use crate::state::State;
use crate::tables::Region;
use forebay_signals::alarm;
use forebay_units::Wall;
use serde_json::{Value, json};
use std::sync::Arc;

/// A change of an alarm.
#[derive(Clone, Debug, PartialEq)]
pub enum AlarmCommand {
    /// The alarm enters another state: record it, and run the new state's actions.
    SetState {
        /// The alarm's region.
        region: String,
        /// The alarm's name.
        alarm_name: String,
        /// The new state.
        state: alarm::State,
        /// The reason, for people.
        reason: String,
        /// The reason for programs, as JSON.
        reason_data: String,
        /// The newest value in the evaluation.
        newest: Option<f64>,
    },
    /// A call has set the state: run that state's actions.
    RunActions {
        /// The alarm's region.
        region: String,
        /// The alarm's name.
        alarm_name: String,
    },
    /// The state persists: run the scaling policies again.
    RepeatScaling {
        /// The alarm's region.
        region: String,
        /// The alarm's name.
        alarm_name: String,
        /// The newest value in the evaluation.
        newest: Option<f64>,
    },
}

impl AlarmCommand {
    /// The alarm's region.
    pub(crate) fn region(&self) -> &str {
        match self {
            AlarmCommand::SetState { region, .. }
            | AlarmCommand::RunActions { region, .. }
            | AlarmCommand::RepeatScaling { region, .. } => region,
        }
    }
}

/// Whether an action is a scaling policy, which is run again as long as the state persists.
pub(super) fn is_scaling(arn: &str) -> bool {
    arn.starts_with("arn:aws:autoscaling:")
}

/// Sets an alarm's state, with an entry in its history. Does not store the alarm.
pub(super) fn set_state(
    region: &mut Region,
    alarm: &mut Alarm,
    state: alarm::State,
    reason: String,
    reason_data: Option<String>,
    now: Wall,
) {
    let told = |state: alarm::State, reason: &str, data: Option<&str>| {
        let parsed = data.and_then(|data| serde_json::from_str::<Value>(data).ok());
        json!({"stateValue": state.name(), "stateReason": reason, "stateReasonData": parsed})
    };
    let data = json!({
        "version": "1.0",
        "oldState": told(alarm.state, &alarm.reason, alarm.reason_data.as_deref()),
        "newState": told(state, &reason, reason_data.as_deref()),
    });
    let summary = format!("Alarm updated from {} to {}", alarm.state.name(), state.name());
    enter(region, alarm, now, STATE, &summary, &data);
    if alarm.state != state {
        alarm.transitioned = now;
    }
    alarm.previous_state = alarm.state;
    alarm.state = state;
    alarm.reason = reason;
    alarm.reason_data = reason_data;
    alarm.updated = now;
}

/// The state after a command. If the alarm was deleted in the meantime, nothing happens.
pub(crate) fn apply(state: &State, command: &AlarmCommand, actions: &dyn Actions, now: Wall) -> State {
    match command {
        AlarmCommand::SetState {
            region,
            alarm_name,
            state: to,
            reason,
            reason_data,
            newest,
        } => changed(state, region, alarm_name, |region_name, region, alarm| {
            alarm.newest = *newest;
            set_state(region, alarm, *to, reason.clone(), Some(reason_data.clone()), now);
            alarm.actions_due = false;
            run(region_name, region, alarm, actions, now);
        }),
        AlarmCommand::RunActions { region, alarm_name } => {
            changed(state, region, alarm_name, |region_name, region, alarm| {
                alarm.actions_due = false;
                run(region_name, region, alarm, actions, now);
            })
        }
        AlarmCommand::RepeatScaling {
            region,
            alarm_name,
            newest,
        } => changed(state, region, alarm_name, |_, region, alarm| {
            alarm.newest = *newest;
            for arn in alarm.actions(alarm.state).iter().filter(|arn| is_scaling(arn)) {
                // It is run again soon, whatever the result, so it gets no entry in the history.
                let _ = by_alarm(region, alarm, arn, now);
            }
        }),
    }
}

fn changed(
    state: &State,
    region_name: &str,
    alarm_name: &str,
    change: impl FnOnce(&str, &mut Region, &mut Alarm),
) -> State {
    let known = state.existing_region(region_name);
    let Some((known, before)) = known.and_then(|region| Some((region, region.alarms.get(alarm_name)?)))
    else {
        return state.clone();
    };
    let (mut alarm, mut next) = ((**before).clone(), state.clone());
    let region = next.region_mut(region_name);
    change(region_name, region, &mut alarm);
    // A policy that is run repeatedly often changes nothing.
    let is_same = alarm == **before
        && region.scaling_groups == known.scaling_groups
        && region.alarm_history == known.alarm_history;
    if is_same {
        return state.clone();
    }
    region.alarms.insert(alarm_name.to_owned(), Arc::new(alarm));
    next.grow();
    next
}

fn ordered(region: &str, alarm: &Alarm, arn: &str) -> AlarmAction {
    AlarmAction {
        region: region.to_owned(),
        alarm_name: alarm.name.clone(),
        state: alarm.state,
        arn: arn.to_owned(),
        notification: notification(region, alarm),
    }
}

/// Runs the actions of an alarm's state, each with an entry in the history.
fn run(region_name: &str, region: &mut Region, alarm: &mut Alarm, actions: &dyn Actions, now: Wall) {
    if !alarm.actions_enabled {
        return;
    }
    for arn in alarm.actions(alarm.state).to_vec() {
        let ran = if is_scaling(&arn) {
            // Part of the same change as the alarm's state (docs/decisions/0034), so a crash cannot separate the two.
            by_alarm(region, alarm, &arn, now).map_err(ActionError)
        } else {
            actions.run(&ordered(region_name, alarm, &arn))
        };
        let (summary, problem) = match &ran {
            Ok(()) => (format!("Successfully executed action {arn}"), None),
            Err(problem) => (
                format!("Failed to execute action {arn}. Received error: \"{problem}\""),
                Some(problem.to_string()),
            ),
        };
        let data = json!({
            "actionState": if ran.is_ok() { "Succeeded" } else { "Failed" },
            "stateUpdateTimestamp": alarm.updated.0 / 1000,
            "notificationResource": arn,
            "error": problem,
        });
        enter(region, alarm, now, ACTION, &summary, &data);
    }
}
