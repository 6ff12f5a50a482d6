//! Message move tasks: messages of a dead-letter queue go back to where they came from, or to another queue.

use super::errors::{invalid_value, no_resource, unsupported};
use super::lookup::{arn_of_id, by_arn};
use super::records::Queue;
use super::redrive;
use crate::api::context::View;
use crate::messages::{Asked, MessageOrder, MessageOutcome};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use forebay_awswire::ApiError;
use forebay_queues::{MoveStatus, MoveTask, QueueId, limits};
use forebay_units::{Rng, Wall};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most tasks in one answer.
const TASKS: i64 = 10;

fn source(view: &View<'_>) -> Result<Arc<Queue>, ApiError> {
    let arn = view.request.input["SourceArn"].as_str().unwrap_or_default();
    by_arn(view, arn).ok_or_else(|| {
        no_resource("The resource that you specified for the SourceArn parameter doesn't exist.")
    })
}

/// The handle by which callers name a task.
fn handle(source: &str, started: Wall) -> String {
    STANDARD.encode(json!({"started": started.0, "sourceArn": source}).to_string())
}

pub(super) fn start(view: &View<'_>, _: &mut Rng) -> Result<Asked, ApiError> {
    let from = source(view)?;
    let input = &view.request.input;
    if redrive::sources(view, &from.arn).is_empty() {
        return Err(unsupported(
            "Source queue must be configured as a Dead Letter Queue.",
        ));
    }
    let to = match input["DestinationArn"].as_str() {
        None => None,
        Some(arn) => {
            let to = by_arn(view, arn).ok_or_else(|| {
                no_resource("The resource that you specified for the DestinationArn parameter doesn't exist.")
            })?;
            if to.id == from.id {
                return Err(unsupported(
                    "The source queue and the destination queue must differ.",
                ));
            }
            if to.fifo() != from.fifo() {
                return Err(unsupported(
                    "The source queue and the destination queue must be of the same type.",
                ));
            }
            Some(to.id)
        }
    };
    let rate = match input["MaxNumberOfMessagesPerSecond"].as_i64() {
        None => None,
        Some(rate) => match u32::try_from(rate) {
            Ok(rate @ 1..=limits::MOVE_RATE_MAX) => Some(rate),
            _ => {
                return Err(invalid_value(
                    &rate.to_string(),
                    "MaxNumberOfMessagesPerSecond",
                    "Must be between 1 and 500.",
                ));
            }
        },
    };
    let order = MessageOrder::Move {
        from: from.id,
        to,
        rate,
    };
    Ok(Asked::order(order, move |outcome| match outcome {
        MessageOutcome::MoveStarted(Some(started)) => Ok(json!({"TaskHandle": handle(&from.arn, started)})),
        MessageOutcome::MoveStarted(None) => Err(unsupported(
            "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
        )),
        other => Err(other.unexpected()),
    }))
}

pub(super) fn cancel(view: &View<'_>, _: &mut Rng) -> Result<Asked, ApiError> {
    let gone = || no_resource("The task handle names no message move task that is running.");
    let said = view.request.input["TaskHandle"].as_str().unwrap_or_default();
    let said = STANDARD.decode(said).map_err(|_| gone())?;
    let said: Value = serde_json::from_slice(&said).map_err(|_| gone())?;
    let arn = said["sourceArn"].as_str().unwrap_or_default();
    let from = by_arn(view, arn).ok_or_else(gone)?;
    let started = Wall(said["started"].as_i64().ok_or_else(gone)?);
    let order = MessageOrder::CancelMove {
        from: from.id,
        started,
    };
    Ok(Asked::order(order, move |outcome| match outcome {
        MessageOutcome::MoveCancelled(Some(moved)) => Ok(json!({"ApproximateNumberOfMessagesMoved": moved})),
        MessageOutcome::MoveCancelled(None) => Err(no_resource(
            "The task handle names no message move task that is running.",
        )),
        other => Err(other.unexpected()),
    }))
}

pub(super) fn list(view: &View<'_>, _: &mut Rng) -> Result<Asked, ApiError> {
    let from = source(view)?;
    let most = view.request.input["MaxResults"].as_i64().unwrap_or(1);
    if !(1..=TASKS).contains(&most) {
        let reason = "Must be between 1 and 10.";
        return Err(invalid_value(&most.to_string(), "MaxResults", reason));
    }
    let region = view.region();
    let arns: BTreeMap<QueueId, String> = region
        .queues
        .values()
        .filter_map(|queue| Some((queue.id, arn_of_id(region, queue.id)?)))
        .collect();
    let order = MessageOrder::Moves { from: from.id };
    Ok(Asked::order(order, move |outcome| {
        let MessageOutcome::Moves(tasks) = outcome else {
            return Err(outcome.unexpected());
        };
        let tasks = tasks.iter().take(usize::try_from(most).unwrap_or(1));
        let shown: Vec<Value> = tasks.map(|task| shown(task, &from.arn, &arns)).collect();
        Ok(json!({"Results": shown}))
    }))
}

fn shown(task: &MoveTask, source: &str, arns: &BTreeMap<QueueId, String>) -> Value {
    let (moved, to_move) = task.progress();
    let mut shown = json!({
        "SourceArn": source,
        "ApproximateNumberOfMessagesMoved": moved,
        "ApproximateNumberOfMessagesToMove": to_move,
        "MaxNumberOfMessagesPerSecond": task.rate(),
        "StartedTimestamp": task.started().0 / 1000,
        "Status": match task.status() {
            MoveStatus::Running => "RUNNING",
            MoveStatus::Completed => "COMPLETED",
            MoveStatus::Cancelled => "CANCELLED",
            MoveStatus::Failed(_) => "FAILED",
        },
    });
    if let Some(to) = task.to().and_then(|to| arns.get(&to)) {
        shown["DestinationArn"] = json!(to);
    }
    match task.status() {
        // Only a running task can be cancelled, so only it has a handle.
        MoveStatus::Running => shown["TaskHandle"] = json!(handle(source, task.started())),
        MoveStatus::Failed(why) => shown["FailureReason"] = json!(why.to_string()),
        MoveStatus::Completed | MoveStatus::Cancelled => {}
    }
    shown
}
