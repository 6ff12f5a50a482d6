//! Queues themselves: create, find, list, change and delete them.

use super::attributes::{self, COUNTS};
use super::errors::{invalid_value, no_queue, unknown_attribute};
use super::lookup::{self, arn_of, check_name, named, url_of};
use super::records::Queue;
use super::{redrive, tags};
use crate::api::context::{Answered, Tx, View};
use crate::api::errors::error;
use crate::api::paging::{after, sealed_cut};
use crate::api::tagging::put_tags;
use crate::messages::{Asked, MessageOrder, MessageOutcome};
use forebay_awswire::ApiError;
use forebay_queues::{Counts, QueueId};
use forebay_units::Rng;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most queues of a region. AWS has no such limit.
const QUEUES: usize = 10_000;
/// The largest page of a list.
const PAGE: usize = 1000;

pub(super) fn create(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input = &tx.request.input;
    let name = input["QueueName"].as_str().unwrap_or_default().to_owned();
    let given = input["Attributes"].as_object().cloned().unwrap_or_default();
    let wanted = tags::checked(&input["tags"])?;
    tags::few(&name, &wanted)?;
    check_name(&name, given.get("FifoQueue").is_some_and(|flag| flag == "true"))?;
    let url = url_of(tx, &name);
    if let Some(queue) = tx.region().queues.get(&name).cloned() {
        if let Some(differing) = attributes::differing(tx, &queue, &given)? {
            return Err(error(
                "QueueAlreadyExists",
                format!(
                    "A queue already exists with the same name and a different value for attribute {differing}"
                ),
            ));
        }
        return Ok(json!({"QueueUrl": url}));
    }
    if tx.region().queues.len() >= QUEUES {
        return Err(error("OverLimit", format!("A region can have {QUEUES} queues.")));
    }
    let queue = Queue {
        arn: arn_of(tx, &name),
        id: QueueId(tx.rng.next_u64()),
        attributes: attributes::set(tx, &name, &BTreeMap::new(), &given)?,
        created: tx.request.now,
        modified: tx.request.now,
        name: name.clone(),
    };
    let arn = queue.arn.clone();
    tx.region_mut().queues.insert(name, Arc::new(queue));
    if !wanted.is_empty() {
        put_tags(tx.region_mut(), &arn, wanted);
    }
    Ok(json!({"QueueUrl": url}))
}

pub(super) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let queue = named(tx)?;
    let region = tx.region_mut();
    region.queues.remove(&queue.name);
    region.tags.remove(&queue.arn);
    Ok(Value::Null)
}

pub(super) fn url(view: &View<'_>) -> Result<Value, ApiError> {
    let input = &view.request.input;
    let owner = input["QueueOwnerAWSAccountId"].as_str();
    if owner.is_some_and(|owner| owner != view.request.account) {
        return Err(no_queue());
    }
    let queue = lookup::by_name(view, input["QueueName"].as_str().unwrap_or_default())?;
    Ok(json!({"QueueUrl": url_of(view, &queue.name)}))
}

pub(super) fn list(view: &View<'_>) -> Result<Value, ApiError> {
    let prefix = view.request.input["QueueNamePrefix"].as_str().unwrap_or_default();
    let names = view.region().queues.keys();
    let names = names.filter(|name| name.starts_with(prefix)).cloned().collect();
    paged(view, "QueueUrls", names)
}

pub(super) fn dead_letter_sources(view: &View<'_>) -> Result<Value, ApiError> {
    let queue = named(view)?;
    let sources = redrive::sources(view, &queue.arn);
    paged(view, "queueUrls", sources)
}

/// The requested page of these queues.
fn paged(view: &View<'_>, list: &str, names: Vec<String>) -> Answered {
    let input = &view.request.input;
    let asked = input["MaxResults"].as_i64();
    let size = match asked {
        None => PAGE,
        Some(size) => usize::try_from(size)
            .ok()
            .filter(|size| (1..=PAGE).contains(size))
            .ok_or_else(|| {
                invalid_value(
                    &size.to_string(),
                    "MaxResults",
                    "Must be an integer between 1 and 1000.",
                )
            })?,
    };
    let wrong = |token: &str| invalid_value(token, "NextToken", "Unknown token.");
    let after = after(view, input["NextToken"].as_str(), wrong)?;
    let (held, next) = sealed_cut(view, names, String::clone, &after, size);
    let urls: Vec<String> = held.iter().map(|name| url_of(view, name)).collect();
    // For ListQueues, AWS leaves an empty list out; ListDeadLetterSourceQueues requires it.
    let mut answer = Map::new();
    if !urls.is_empty() || list == "queueUrls" {
        answer.insert(list.to_owned(), json!(urls));
    }
    if let Some(next) = next.filter(|_| asked.is_some()) {
        answer.insert("NextToken".to_owned(), json!(next));
    }
    Ok(Value::Object(answer))
}

pub(super) fn set_attributes(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let queue = named(tx)?;
    let given = tx.request.input["Attributes"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    if given.contains_key("FifoQueue") {
        return Err(unknown_attribute("FifoQueue"));
    }
    let attributes = attributes::set(tx, &queue.name, &queue.attributes, &given)?;
    put_attributes(tx, &queue, attributes);
    Ok(Value::Null)
}

/// Replaces a queue's attributes.
pub(super) fn put_attributes(tx: &mut Tx<'_>, queue: &Queue, attributes: BTreeMap<String, String>) {
    let changed = Queue {
        attributes,
        modified: tx.request.now,
        ..queue.clone()
    };
    let name = queue.name.clone();
    tx.region_mut().queues.insert(name, Arc::new(changed));
}

pub(super) fn get_attributes(view: &View<'_>, _: &mut Rng) -> Result<Asked, ApiError> {
    let given = view.request.input["AttributeNames"].as_array();
    let asked: BTreeSet<String> = given
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let every = asked.contains("All");
    if let Some(unknown) = asked
        .iter()
        .find(|name| *name != "All" && !attributes::is_known(name))
    {
        return Err(unknown_attribute(unknown));
    }
    let queue = named(view)?;
    let mut shown = Map::new();
    for (name, value) in attributes::all(&queue) {
        if every || asked.contains(name) {
            shown.insert(name.to_owned(), json!(value));
        }
    }
    if !every && !COUNTS.iter().any(|name| asked.contains(*name)) {
        return Ok(Asked::answered(attributes_answer(shown)));
    }
    let order = MessageOrder::Count { queue: queue.id };
    Ok(Asked::order(order, move |outcome| {
        let MessageOutcome::Counted(counts) = outcome else {
            return Err(outcome.unexpected());
        };
        let Counts {
            visible,
            in_flight,
            delayed,
        } = counts;
        for (name, count) in COUNTS.into_iter().zip([visible, in_flight, delayed]) {
            if every || asked.contains(name) {
                shown.insert(name.to_owned(), json!(count.to_string()));
            }
        }
        Ok(attributes_answer(shown))
    }))
}

/// AWS leaves out attributes that would be an empty map.
fn attributes_answer(shown: Map<String, Value>) -> Value {
    if shown.is_empty() {
        return json!({});
    }
    json!({"Attributes": shown})
}

pub(super) fn purge(view: &View<'_>, _: &mut Rng) -> Result<Asked, ApiError> {
    let queue = named(view)?;
    let name = queue.name.clone();
    Ok(Asked::order(
        MessageOrder::Purge { queue: queue.id },
        move |outcome| match outcome {
            MessageOutcome::Purged(Ok(_)) => Ok(Value::Null),
            MessageOutcome::Purged(Err(_)) => Err(error(
                "AWS.SimpleQueueService.PurgeQueueInProgress",
                format!("Only one PurgeQueue operation on {name} is allowed every 60 seconds."),
            )),
            other => Err(other.unexpected()),
        },
    ))
}
