//! ReceiveMessage.

use super::attributes::wait_seconds;
use super::content::{Content, md5_of, md5_of_attributes};
use super::errors::{invalid, invalid_value, unknown_attribute};
use super::lookup::{arn_of_id, named};
use super::message_attributes::chosen;
use super::receipts::{handle, timeout};
use super::sending::{message_id, name, sequence_number};
use crate::api::context::View;
use crate::api::errors::error;
use crate::messages::{Asked, MessageError, MessageOrder, MessageOutcome};
use crate::tables::Region;
use core::time::Duration;
use forebay_awswire::ApiError;
use forebay_queues::{Ask, Delivered, QueueId, ReceiveRefusal};
use forebay_units::{Rng, Wall};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The system attributes of a received message.
const SYSTEM: [&str; 9] = [
    "SenderId",
    "SentTimestamp",
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SequenceNumber",
    "MessageDeduplicationId",
    "MessageGroupId",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
];

/// What a receive wants to know about its messages.
struct Wanted {
    queue: QueueId,
    fifo: bool,
    system: Vec<String>,
    attributes: Vec<String>,
    /// ARNs of queues whose dead letters come here, by id.
    sources: BTreeMap<QueueId, String>,
}

pub(super) fn receive(view: &View<'_>, _: &mut Rng) -> Result<Asked, ApiError> {
    let input = &view.request.input;
    let system = system(input)?;
    let queue = named(view)?;
    let most = input["MaxNumberOfMessages"].as_i64().unwrap_or(1);
    if !(1..=10).contains(&most) {
        let reason = "Must be between 1 and 10, if provided.";
        return Err(invalid_value(&most.to_string(), "MaxNumberOfMessages", reason));
    }
    let wait = match input["WaitTimeSeconds"].as_i64() {
        None => wait_seconds(&queue),
        Some(seconds @ 0..=20) => seconds.unsigned_abs(),
        Some(seconds) => {
            let reason = "Must be >= 0 and <= 20, if provided.";
            return Err(invalid_value(&seconds.to_string(), "WaitTimeSeconds", reason));
        }
    };
    let attempt = name(input, "ReceiveRequestAttemptId")?;
    if attempt.is_some() && !queue.fifo() {
        return Err(invalid(
            "The request include parameter that is not valid for this queue type: ReceiveRequestAttemptId.",
        ));
    }
    let visibility = match input.get("VisibilityTimeout") {
        None | Some(Value::Null) => None,
        Some(_) => Some(timeout(input)?),
    };
    let wanted = Wanted {
        queue: queue.id,
        fifo: queue.fifo(),
        system,
        attributes: texts(&input["MessageAttributeNames"]),
        sources: sources(view, &queue.arn),
    };
    let wait = Duration::from_secs(wait);
    let holder = view.request.instance;
    // A leaving instance would not finish new messages in time: they would only be delayed until they are visible
    // again.
    if holder.is_some_and(|id| is_leaving(view.region(), id)) {
        return Ok(Asked::order(MessageOrder::Idle { wait }, |_| Ok(json!({}))));
    }
    let order = MessageOrder::Receive {
        queue: queue.id,
        ask: Ask {
            most: usize::try_from(most).unwrap_or(1),
            visibility,
            attempt: attempt.as_deref().map(Into::into),
        },
        wait,
        holder: holder.map(str::to_owned),
    };
    Ok(Asked::order(order, move |outcome| match outcome {
        MessageOutcome::Received(Ok(messages)) if messages.is_empty() => Ok(json!({})),
        MessageOutcome::Received(Ok(messages)) => {
            let messages: Vec<Value> = messages
                .iter()
                .map(|message| wanted.shown(message))
                .collect::<Result<_, ApiError>>()?;
            Ok(json!({"Messages": messages}))
        }
        MessageOutcome::Received(Err(ReceiveRefusal::OverLimit)) => Err(error(
            "OverLimit",
            "Too many messages are in flight in this queue: delete some, or let their visibility timeouts end.",
        )),
        MessageOutcome::Received(Err(ReceiveRefusal::Visibility)) => Err(invalid(
            "VisibilityTimeout must be an integer between 0 and 43200",
        )),
        other => Err(other.unexpected()),
    }))
}

/// Whether an instance must get no more work: it has an interruption notice, or is no longer running.
pub(crate) fn is_leaving(region: &Region, id: &str) -> bool {
    let instance = region.instances.get(id);
    instance.is_none_or(|instance| {
        instance.interrupted_at.is_some() || !matches!(&*instance.state, "pending" | "running")
    })
}

/// The system attributes requested by either of two lists. The older one may also contain names of queue attributes.
fn system(input: &Value) -> Result<Vec<String>, ApiError> {
    let mut asked = texts(&input["AttributeNames"]);
    asked.extend(texts(&input["MessageSystemAttributeNames"]));
    if asked.iter().any(|name| name == "All") {
        return Ok(SYSTEM.iter().map(|name| (*name).to_owned()).collect());
    }
    let unknown = asked
        .iter()
        .find(|name| !SYSTEM.contains(&name.as_str()) && !super::attributes::is_known(name));
    match unknown {
        Some(unknown) => Err(unknown_attribute(unknown)),
        None => Ok(asked),
    }
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten();
    texts
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}

/// The queues whose dead letters go to this queue.
fn sources(view: &View<'_>, arn: &str) -> BTreeMap<QueueId, String> {
    let region = view.region();
    let names = super::redrive::sources(view, arn);
    let queues = names.iter().filter_map(|name| region.queues.get(name));
    queues
        .filter_map(|queue| Some((queue.id, arn_of_id(region, queue.id)?)))
        .collect()
}

/// Messages as records of a function's event.
pub(crate) fn records(queue: QueueId, arn: &str, messages: &[Delivered<Vec<u8>>]) -> Vec<Value> {
    let wanted = Wanted {
        queue,
        fifo: arn.ends_with(".fifo"),
        system: SYSTEM.iter().map(|name| (*name).to_owned()).collect(),
        attributes: vec!["All".to_owned()],
        sources: BTreeMap::new(),
    };
    let region = arn.split(':').nth(3).unwrap_or_default();
    let record = |message| {
        let shown = wanted.shown(message).ok()?;
        let attributes: Map<String, Value> = shown["MessageAttributes"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, attribute)| (name.clone(), attribute_of_event(attribute)))
            .collect();
        let mut record = json!({
            "messageId": shown["MessageId"],
            "receiptHandle": shown["ReceiptHandle"],
            "body": shown["Body"],
            "attributes": shown["Attributes"],
            "messageAttributes": attributes,
            "md5OfBody": shown["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": arn,
            "awsRegion": region,
        });
        if !attributes.is_empty() {
            record["md5OfMessageAttributes"] = shown["MD5OfMessageAttributes"].clone();
        }
        Some(record)
    };
    messages.iter().filter_map(record).collect()
}

fn attribute_of_event(attribute: &Value) -> Value {
    let mut shown =
        json!({"stringListValues": [], "binaryListValues": [], "dataType": attribute["DataType"]});
    for (ours, theirs) in [("StringValue", "stringValue"), ("BinaryValue", "binaryValue")] {
        if !attribute[ours].is_null() {
            shown[theirs] = attribute[ours].clone();
        }
    }
    shown
}

fn millis(at: Wall) -> String {
    (at.0 / 1000).to_string()
}

impl Wanted {
    fn shown(&self, message: &Delivered<Vec<u8>>) -> Result<Value, ApiError> {
        let content = Content::from_bytes(&message.body).ok_or(MessageError::Storage)?;
        let attributes = chosen(&content.attributes, &self.attributes);
        let mut shown = json!({
            "MessageId": message_id(message.id),
            "ReceiptHandle": handle(self.queue, message.receipt),
            "MD5OfBody": md5_of(&content.body),
            "MD5OfMessageAttributes": md5_of_attributes(&attributes),
        });
        let known: Map<String, Value> = self
            .system
            .iter()
            .filter_map(|name| Some((name.clone(), json!(self.fact(name, message, &content)?))))
            .collect();
        if !known.is_empty() {
            shown["Attributes"] = Value::Object(known);
        }
        if !attributes.is_empty() {
            shown["MessageAttributes"] = Value::Object(attributes);
        }
        shown["Body"] = json!(content.body);
        Ok(shown)
    }

    fn fact(&self, name: &str, message: &Delivered<Vec<u8>>, content: &Content) -> Option<String> {
        match name {
            "SenderId" => Some(content.sender.clone()),
            "SentTimestamp" => Some(millis(message.sent)),
            "ApproximateReceiveCount" => Some(message.receives.to_string()),
            "ApproximateFirstReceiveTimestamp" => Some(millis(message.first_received)),
            "SequenceNumber" => self.fifo.then(|| sequence_number(message.receipt.sequence)),
            "MessageDeduplicationId" => content.deduplication.clone(),
            "MessageGroupId" => {
                // A message that was sent without a group is in a group of its own, which has no name.
                let alone = format!("{:032x}", message.id.0);
                let group = message.group.as_deref();
                group.filter(|group| *group != alone).map(str::to_owned)
            }
            "AWSTraceHeader" => {
                let trace = content.system_attributes.get("AWSTraceHeader")?;
                trace["StringValue"].as_str().map(str::to_owned)
            }
            "DeadLetterQueueSourceArn" => self.sources.get(&message.origin?).cloned(),
            _ => None,
        }
    }
}
