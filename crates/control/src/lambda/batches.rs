//! Batches of a queue's messages as events, and the failures that functions report.

use super::invoke::AT_ONCE;
use super::kept::KeptMapping;
use forebay_queues::{Delivered, MessageId};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The event of a batch.
pub fn batch_event(mapping: &KeptMapping, messages: &[Delivered<Vec<u8>>]) -> Vec<u8> {
    let records = crate::sqs::records(mapping.queue, &mapping.source, messages);
    json!({"Records": records}).to_string().into_bytes()
}

/// An event, and the messages in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The event.
    pub event: Vec<u8>,
    /// Its messages.
    pub messages: Vec<Delivered<Vec<u8>>>,
}

/// The events of messages, in their order: one, or as many as needed for each to be within the size of an invocation. The size
/// of a message is known only after it has been received, and ten messages may have 1 MiB each. An event of one message
/// may still be too large.
pub fn batch_events(mapping: &KeptMapping, messages: Vec<Delivered<Vec<u8>>>) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut left = vec![messages];
    while let Some(mut messages) = left.pop() {
        let event = batch_event(mapping, &messages);
        if event.len() <= AT_ONCE || messages.len() < 2 {
            batches.push(Batch { event, messages });
            continue;
        }
        // The first half is on top, so the order is kept.
        let later = messages.split_off(messages.len() / 2);
        left.push(later);
        left.push(messages);
    }
    batches
}

/// Which messages of a batch have failed, by the function's answer: none, some, or all if the answer names an unknown
/// message. (Lambda developer guide, "Implementing partial batch responses": an empty or null answer is a success; a
/// malformed one fails the whole batch.)
pub fn failed_of(
    mapping: &KeptMapping,
    messages: &[Delivered<Vec<u8>>],
    answer: &[u8],
) -> BTreeSet<MessageId> {
    if !mapping.reports_failures {
        return BTreeSet::new();
    }
    let all = || messages.iter().map(|message| message.id).collect();
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else {
        return all();
    };
    let failures = match &answer {
        Value::Null => return BTreeSet::new(),
        Value::Object(members) => match members.get("batchItemFailures") {
            None | Some(Value::Null) => return BTreeSet::new(),
            Some(Value::Array(failures)) => failures,
            Some(_) => return all(),
        },
        _ => return all(),
    };
    let mut failed = BTreeSet::new();
    for failure in failures {
        let named = failure["itemIdentifier"].as_str().unwrap_or_default();
        let known = messages
            .iter()
            .find(|message| crate::sqs::message_id(message.id) == named);
        match known {
            Some(message) => failed.insert(message.id),
            None => return all(),
        };
    }
    // With a FIFO queue, functions stop at the first failure (Lambda developer guide, "Implementing partial batch
    // responses"), so the messages after it have not been processed either, whether the answer names them or not.
    if mapping.source.ends_with(".fifo")
        && let Some(first) = messages.iter().position(|message| failed.contains(&message.id))
    {
        failed.extend(messages[first..].iter().map(|message| message.id));
    }
    failed
}
