//! SendMessage and SendMessageBatch.

use super::attributes::{self, MESSAGE_MAX};
use super::batches::{Results, entries};
use super::content::{Content, md5_of, md5_of_attributes, sha256_of};
use super::errors::{invalid, invalid_value, missing};
use super::lookup::named;
use super::message_attributes::{checked, is_allowed, size};
use super::records::Queue;
use crate::api::context::View;
use crate::api::errors::error;
use crate::messages::{Asked, MessageOrder, MessageOutcome, NotSent};
use crate::state::Dialect;
use core::time::Duration;
use forebay_awswire::ApiError;
use forebay_queues::{Accepted, Letter, MessageId, SendRefusal};
use forebay_units::Rng;
use serde_json::{Value, json};

/// The most characters of a message group id, and of a deduplication id.
const NAME: usize = 128;

/// A message that can be sent, and what its answer contains besides its id.
struct Prepared {
    letter: Letter<Vec<u8>>,
    digests: Value,
    size: usize,
}

pub(super) fn send(view: &View<'_>, rng: &mut Rng) -> Result<Asked, ApiError> {
    let queue = named(view)?;
    kind(view, &queue, &view.request.input)?;
    let Prepared { letter, digests, .. } = prepared(view, &queue, &view.request.input, rng)?;
    let fifo = queue.fifo();
    let order = MessageOrder::Send {
        queue: queue.id,
        letters: vec![letter],
    };
    Ok(Asked::order(order, move |outcome| {
        let MessageOutcome::Sent(mut sent) = outcome else {
            return Err(outcome.unexpected());
        };
        match sent.pop() {
            Some(Ok(accepted)) => Ok(answer(accepted, digests, fifo)),
            Some(Err(why)) => Err(refused(why)),
            None => Err(MessageOutcome::Sent(sent).unexpected()),
        }
    }))
}

pub(super) fn send_batch(view: &View<'_>, rng: &mut Rng) -> Result<Asked, ApiError> {
    let queue = named(view)?;
    let entries = entries(view)?;
    let mut results = Results::of(&entries);
    for (_, entry) in &entries {
        // Parameters that no message of this queue may have or lack are an error of the whole call.
        kind(view, &queue, entry)?;
    }
    let mut total = 0;
    let (letters, places) = results.ready(&entries, |entry| {
        let one = prepared(view, &queue, entry, rng);
        total += one.as_ref().map_or_else(
            |_| entry["MessageBody"].as_str().map_or(0, str::len),
            |one| one.size,
        );
        one.map(|one| (one.letter, one.digests))
    });
    if total as u64 > MESSAGE_MAX {
        return Err(error(
            "AWS.SimpleQueueService.BatchRequestTooLong",
            format!("Batch requests cannot be longer than {MESSAGE_MAX} bytes. You have sent {total} bytes."),
        ));
    }
    if letters.is_empty() {
        return Ok(Asked::answered(results.answer()));
    }
    let fifo = queue.fifo();
    let order = MessageOrder::Send {
        queue: queue.id,
        letters,
    };
    Ok(Asked::order(order, move |outcome| {
        let MessageOutcome::Sent(sent) = outcome else {
            return Err(outcome.unexpected());
        };
        results.done(places, sent, |digests, sent| {
            sent.map(|accepted| answer(accepted, digests, fifo))
                .map_err(refused)
        });
        Ok(results.answer())
    }))
}

fn prepared(view: &View<'_>, queue: &Queue, given: &Value, rng: &mut Rng) -> Result<Prepared, ApiError> {
    let body = given["MessageBody"].as_str().unwrap_or_default();
    if body.is_empty() {
        return Err(missing("MessageBody"));
    }
    if let Some(letter) = body.chars().find(|letter| !is_allowed(*letter)) {
        return Err(error(
            "InvalidMessageContents",
            format!(
                "Invalid binary character '#x{:X}' was found in the message body, the set of allowed characters is #x9 | #xA | #xD | \
                 #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
                u32::from(letter)
            ),
        ));
    }
    let message_attributes = checked(&given["MessageAttributes"])?;
    let system_attributes = system(&given["MessageSystemAttributes"])?;
    let size = body.len() + size(&message_attributes);
    let most = attributes::number(queue, "MaximumMessageSize");
    if size as u64 > most {
        return Err(invalid(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {most} bytes."
        )));
    }
    let group = name(given, "MessageGroupId")?;
    let own = name(given, "MessageDeduplicationId")?;
    let deduplication = own.or_else(|| queue.fifo().then(|| sha256_of(body)));
    let digests = json!({
        "MD5OfMessageBody": md5_of(body),
        "MD5OfMessageAttributes": md5_of_attributes(&message_attributes),
        "MD5OfMessageSystemAttributes": md5_of_attributes(&system_attributes),
    });
    let content = Content {
        body: body.to_owned(),
        attributes: message_attributes,
        system_attributes,
        sender: view.request.caller.to_owned(),
        deduplication: deduplication.clone(),
    };
    let id = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
    let letter = Letter {
        id: MessageId(id),
        group: group.as_deref().map(Into::into),
        deduplication: deduplication.filter(|_| queue.fifo()).as_deref().map(Into::into),
        delay: delay(given)?,
        body: content.bytes(),
    };
    Ok(Prepared {
        letter,
        digests,
        size,
    })
}

/// Checks system attributes. There is only one.
fn system(given: &Value) -> Result<serde_json::Map<String, Value>, ApiError> {
    let names = given.as_object().into_iter().flat_map(|given| given.keys());
    if let Some(unknown) = names.into_iter().find(|name| *name != "AWSTraceHeader") {
        return Err(invalid(format!(
            "Message system attribute name '{unknown}' is invalid. The only one is AWSTraceHeader."
        )));
    }
    if given["AWSTraceHeader"]["DataType"]
        .as_str()
        .is_some_and(|kind| kind != "String")
    {
        return Err(invalid("The data type of AWSTraceHeader must be String."));
    }
    checked(given)
}

pub(super) fn name(given: &Value, parameter: &str) -> Result<Option<String>, ApiError> {
    let Some(name) = given[parameter].as_str() else {
        return Ok(None);
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte.is_ascii_punctuation();
    if name.is_empty() || name.len() > NAME || !name.bytes().all(fits) {
        return Err(invalid_value(
            name,
            parameter,
            &format!(
                "{parameter} can only include alphanumeric and punctuation characters. 1 to {NAME} in length."
            ),
        ));
    }
    Ok(Some(name.to_owned()))
}

fn delay(given: &Value) -> Result<Option<Duration>, ApiError> {
    let Some(seconds) = given["DelaySeconds"].as_i64() else {
        return Ok(None);
    };
    match u64::try_from(seconds) {
        Ok(seconds @ 0..=900) => Ok(Some(Duration::from_secs(seconds))),
        _ => Err(invalid_value(
            &seconds.to_string(),
            "DelaySeconds",
            "DelaySeconds must be >= 0 and <= 900.",
        )),
    }
}

/// Checks that a message's parameters fit the kind of queue. The queue checks again; here the error can name what the
/// caller gave.
fn kind(view: &View<'_>, queue: &Queue, given: &Value) -> Result<(), ApiError> {
    let has = |name: &str| !given[name].is_null();
    let seconds = given["DelaySeconds"].as_i64().unwrap_or_default();
    if !queue.fifo() {
        // moto stores a deduplication id that has no effect.
        let odd = has("MessageDeduplicationId") && view.dialect() == Dialect::Aws;
        return if odd {
            Err(of_kind(SendRefusal::Deduplication, 0))
        } else {
            Ok(())
        };
    }
    let by_content = attributes::flag(queue, "ContentBasedDeduplication");
    let refusal = if !has("MessageGroupId") {
        SendRefusal::NoGroup
    } else if !has("MessageDeduplicationId") && !by_content {
        SendRefusal::NoDeduplication
    } else if seconds != 0 {
        SendRefusal::DelayOfMessage
    } else {
        return Ok(());
    };
    Err(of_kind(refusal, seconds))
}

fn of_kind(refusal: SendRefusal, seconds: i64) -> ApiError {
    let odd = "The request include parameter that is not valid for this queue type.";
    match refusal {
        SendRefusal::NoGroup => missing("MessageGroupId"),
        SendRefusal::NoDeduplication => invalid(
            "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
        ),
        SendRefusal::Deduplication => invalid(
            "The request includes a parameter that is not valid for this queue type: MessageDeduplicationId.",
        ),
        SendRefusal::DelayOfMessage => invalid_value(&seconds.to_string(), "DelaySeconds", odd),
        SendRefusal::Delay => invalid("DelaySeconds must be >= 0 and <= 900."),
    }
}

fn refused(why: NotSent) -> ApiError {
    match why {
        NotSent::Full => error(
            "OverLimit",
            "There is no room for more messages: there are as many as --max-messages allows, or as many bytes as --max-message-disk.",
        ),
        NotSent::Refused(refusal) => of_kind(refusal, 0),
    }
}

fn answer(accepted: Accepted, mut digests: Value, fifo: bool) -> Value {
    digests["MessageId"] = json!(message_id(accepted.id));
    if fifo {
        digests["SequenceNumber"] = json!(sequence_number(accepted.sequence));
    }
    digests
}

/// A message's id in the form of a UUID.
pub(crate) fn message_id(id: MessageId) -> String {
    let hex = format!("{:032x}", id.0);
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}

/// Twenty digits as on AWS, so that they sort as strings.
pub(super) fn sequence_number(sequence: forebay_queues::Sequence) -> String {
    format!("{:020}", sequence.0)
}
