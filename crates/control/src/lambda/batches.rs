//! Batches of a queue's messages as events, and the failures that functions report.

use super::kept::KeptMapping;
use forebay_queues::{Delivered, MessageId};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The event of a batch.
pub fn batch_event(mapping: &KeptMapping, messages: &[Delivered<Vec<u8>>]) -> Vec<u8> {
    let records = crate::sqs::records(mapping.queue, &mapping.source, messages);
    json!({"Records": records}).to_string().into_bytes()
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
