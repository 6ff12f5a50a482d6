//! Dead-letter queues: which queue sends its dead letters where, and which queues may.

use super::errors::{invalid_value, wrong_attribute};
use super::lookup;
use super::records::Queue;
use crate::api::context::View;
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_queues::limits;
use serde_json::{Value, json};

/// The most queues in a `RedriveAllowPolicy`.
const SOURCES: usize = 10;

/// Checks a redrive policy. Returns it in the form that answers show.
pub(super) fn policy(view: &View<'_>, name: &str, text: &str) -> Result<String, ApiError> {
    let wrong = |reason: &str| invalid_value(text, "RedrivePolicy", reason);
    let Ok(Value::Object(given)) = serde_json::from_str::<Value>(text) else {
        return Err(wrong("Redrive policy is not a valid JSON map."));
    };
    let Some(arn) = given.get("deadLetterTargetArn").and_then(Value::as_str) else {
        return Err(wrong(
            "Redrive policy does not contain mandatory attribute: deadLetterTargetArn.",
        ));
    };
    let Some(most) = given.get("maxReceiveCount") else {
        return Err(wrong(
            "Redrive policy does not contain mandatory attribute: maxReceiveCount.",
        ));
    };
    let most = most
        .as_u64()
        .or_else(|| most.as_str().and_then(|text| text.trim().parse().ok()));
    let Some(most @ 1..) = most.filter(|most| *most <= u64::from(limits::RECEIVES_MAX)) else {
        return Err(wrong(
            "Invalid value for maxReceiveCount. Valid values are integers from 1 to 1000.",
        ));
    };
    let own = lookup::arn_of(view, name);
    let Some(target) = lookup::by_arn(view, arn).filter(|target| target.arn != own) else {
        return Err(wrong("Dead letter target does not exist."));
    };
    if target.fifo() != name.ends_with(".fifo") {
        return Err(wrong(
            "Dead-letter queue must be same type of queue as the source.",
        ));
    }
    if !allows(&target, &own) {
        return Err(wrong("Queue owner has denied access for this queue."));
    }
    // moto formats it as Python does.
    Ok(match view.dialect() {
        Dialect::Moto => format!("{{\"deadLetterTargetArn\": \"{arn}\", \"maxReceiveCount\": {most}}}"),
        Dialect::Aws => json!({"deadLetterTargetArn": arn, "maxReceiveCount": most}).to_string(),
    })
}

/// A queue's dead-letter queue, and after how many receives messages go there.
pub(super) fn of(queue: &Queue) -> Option<(String, u32)> {
    let policy: Value = serde_json::from_str(queue.attributes.get("RedrivePolicy")?).ok()?;
    let most = &policy["maxReceiveCount"];
    let most = most.as_u64().or_else(|| most.as_str()?.trim().parse().ok())?;
    let most = u32::try_from(most).ok()?;
    Some((policy["deadLetterTargetArn"].as_str()?.to_owned(), most))
}

/// Checks a redrive allow policy. Returns it in the form that answers show.
pub(super) fn allowed(text: &str) -> Result<String, ApiError> {
    let wrong = |why: &str| wrong_attribute("RedriveAllowPolicy", why);
    let Ok(given @ Value::Object(_)) = serde_json::from_str::<Value>(text) else {
        return Err(wrong("Must be a JSON object."));
    };
    let sources = given["sourceQueueArns"].as_array();
    match given["redrivePermission"].as_str() {
        Some("allowAll" | "denyAll") if sources.is_none_or(Vec::is_empty) => Ok(given.to_string()),
        Some("allowAll" | "denyAll") => Err(wrong(
            "sourceQueueArns is allowed only when redrivePermission is byQueue.",
        )),
        Some("byQueue") if sources.is_some_and(|sources| (1..=SOURCES).contains(&sources.len())) => {
            Ok(given.to_string())
        }
        Some("byQueue") => Err(wrong("byQueue needs one to ten sourceQueueArns.")),
        _ => Err(wrong("redrivePermission must be allowAll, denyAll or byQueue.")),
    }
}

/// Whether a queue accepts dead letters from this source.
fn allows(target: &Queue, source: &str) -> bool {
    let policy = target.attributes.get("RedriveAllowPolicy");
    let policy: Value = policy
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    match policy["redrivePermission"].as_str() {
        Some("denyAll") => false,
        Some("byQueue") => {
            let mut sources = policy["sourceQueueArns"].as_array().into_iter().flatten();
            sources.any(|arn| arn.as_str() == Some(source))
        }
        _ => true,
    }
}

/// The names of the queues whose dead letters go to this queue.
pub(super) fn sources(view: &View<'_>, arn: &str) -> Vec<String> {
    let queues = view.region().queues.values();
    let sources = queues.filter(|queue| of(queue).is_some_and(|(to, _)| to == arn));
    sources.map(|queue| queue.name.clone()).collect()
}
