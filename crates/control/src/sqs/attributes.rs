//! A queue's attributes: which can be set, their ranges and defaults, and what they mean for messages.

use super::errors::{unknown_attribute, wrong_attribute};
use super::records::Queue;
use super::redrive;
use crate::api::context::View;
use crate::state::Dialect;
use crate::tables::Region;
use core::time::Duration;
use forebay_awswire::ApiError;
use forebay_queues::{Kind, RawSettings, Redrive, Scope, Settings};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The most bytes of a message with its attributes, and of a batch.
pub(super) const MESSAGE_MAX: u64 = 1 << 20;

/// The values that an attribute accepts.
enum Takes {
    /// A number in a range.
    Number(u64, u64),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A JSON object. The empty string removes the attribute.
    Object,
    /// Any text. The empty string removes the attribute.
    Text,
}

/// An attribute that can be set.
struct Attribute {
    name: &'static str,
    takes: Takes,
    /// The default; `None` if an attribute that is not set is not shown.
    default: Option<&'static str>,
    /// Whether only FIFO queues have it.
    fifo: bool,
}

const fn attribute(name: &'static str, takes: Takes, default: Option<&'static str>, fifo: bool) -> Attribute {
    Attribute {
        name,
        takes,
        default,
        fifo,
    }
}

const ATTRIBUTES: &[Attribute] = &[
    attribute("VisibilityTimeout", Takes::Number(0, 43_200), Some("30"), false),
    attribute(
        "MaximumMessageSize",
        Takes::Number(1024, MESSAGE_MAX),
        Some("1048576"),
        false,
    ),
    attribute(
        "MessageRetentionPeriod",
        Takes::Number(60, 1_209_600),
        Some("345600"),
        false,
    ),
    attribute("DelaySeconds", Takes::Number(0, 900), Some("0"), false),
    attribute(
        "ReceiveMessageWaitTimeSeconds",
        Takes::Number(0, 20),
        Some("0"),
        false,
    ),
    attribute("Policy", Takes::Object, None, false),
    attribute("RedrivePolicy", Takes::Object, None, false),
    attribute("RedriveAllowPolicy", Takes::Object, None, false),
    attribute("KmsMasterKeyId", Takes::Text, None, false),
    attribute(
        "KmsDataKeyReusePeriodSeconds",
        Takes::Number(60, 86_400),
        None,
        false,
    ),
    attribute("SqsManagedSseEnabled", Takes::Flag, Some("true"), false),
    attribute("FifoQueue", Takes::Flag, None, true),
    attribute("ContentBasedDeduplication", Takes::Flag, Some("false"), true),
    attribute(
        "DeduplicationScope",
        Takes::Word(&["messageGroup", "queue"]),
        Some("queue"),
        true,
    ),
    attribute(
        "FifoThroughputLimit",
        Takes::Word(&["perMessageGroupId", "perQueue"]),
        Some("perQueue"),
        true,
    ),
];

/// The attributes that count messages.
pub(super) const COUNTS: [&str; 3] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
];
/// The other read-only attributes.
const READ_ONLY: [&str; 3] = ["CreatedTimestamp", "LastModifiedTimestamp", "QueueArn"];

/// A queue's attributes after a call, each of which is checked; those set to an empty string are removed. For a redrive
/// policy, the dead-letter queue must exist.
pub(super) fn set(
    view: &View<'_>,
    name: &str,
    before: &BTreeMap<String, String>,
    given: &Map<String, Value>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let fifo = name.ends_with(".fifo");
    let mut after = before.clone();
    // moto and its test suites accept more than AWS: names with blanks around them, queues that are "not FIFO", short
    // retention periods.
    let lax = view.dialect() == Dialect::Moto;
    for (key, value) in given {
        let key = if lax { key.trim() } else { key };
        let value = value.as_str().unwrap_or_default();
        if lax && key == "FifoQueue" && value != "true" {
            continue;
        }
        let attribute = ATTRIBUTES.iter().find(|attribute| attribute.name == key);
        let attribute = attribute.ok_or_else(|| unknown_attribute(key))?;
        if attribute.fifo && !fifo {
            return Err(unknown_attribute(key));
        }
        let checked = match (key, value) {
            ("Policy" | "RedrivePolicy" | "RedriveAllowPolicy" | "KmsMasterKeyId", "") => None,
            ("RedrivePolicy", _) => Some(redrive::policy(view, name, value)?),
            ("MessageRetentionPeriod", short) if lax && short.parse::<u64>().is_ok() => {
                Some(short.to_owned())
            }
            ("RedriveAllowPolicy", _) => Some(redrive::allowed(value)?),
            _ => Some(checked(attribute, value)?),
        };
        match checked {
            Some(checked) => after.insert(key.to_owned(), checked),
            None => after.remove(key),
        };
    }
    fits_together(&mut after, given)?;
    Ok(after)
}

fn checked(attribute: &Attribute, value: &str) -> Result<String, ApiError> {
    let wrong = |why: String| wrong_attribute(attribute.name, &why);
    match attribute.takes {
        Takes::Number(least, most) => match value.trim().parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(number.to_string()),
            _ => Err(wrong(format!("Must be between {least} and {most}."))),
        },
        Takes::Flag => match value.to_ascii_lowercase().as_str() {
            "false" if attribute.name == "FifoQueue" => Err(unknown_attribute(attribute.name)),
            flag @ ("true" | "false") => Ok(flag.to_owned()),
            _ => Err(wrong("Must be true or false.".to_owned())),
        },
        Takes::Word(words) if words.contains(&value) => Ok(value.to_owned()),
        Takes::Word(words) => Err(wrong(format!("Must be one of {}.", words.join(", ")))),
        Takes::Object => match serde_json::from_str::<Value>(value) {
            Ok(Value::Object(_)) => Ok(value.to_owned()),
            _ => Err(wrong("Must be a JSON object.".to_owned())),
        },
        Takes::Text => Ok(value.to_owned()),
    }
}

/// Checks attributes that depend on each other.
fn fits_together(after: &mut BTreeMap<String, String>, given: &Map<String, Value>) -> Result<(), ApiError> {
    let is = |after: &BTreeMap<String, String>, key: &str, value: &str| {
        after.get(key).is_some_and(|found| found == value)
    };
    if is(after, "FifoThroughputLimit", "perMessageGroupId")
        && !is(after, "DeduplicationScope", "messageGroup")
    {
        return Err(wrong_attribute(
            "FifoThroughputLimit",
            "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup.",
        ));
    }
    // Only one kind of encryption is active: the one that was set last.
    let key = given.get("KmsMasterKeyId").and_then(Value::as_str);
    let managed = given.get("SqsManagedSseEnabled").and_then(Value::as_str);
    match (key.is_some_and(|key| !key.is_empty()), managed) {
        (true, Some("true")) => {
            return Err(wrong_attribute(
                "SqsManagedSseEnabled",
                "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.",
            ));
        }
        (true, _) => {
            after.insert("SqsManagedSseEnabled".to_owned(), "false".to_owned());
        }
        (false, Some("true")) => {
            after.remove("KmsMasterKeyId");
        }
        _ => {}
    }
    Ok(())
}

/// Whether there is an attribute with that name.
pub(super) fn is_known(name: &str) -> bool {
    ATTRIBUTES.iter().any(|attribute| attribute.name == name)
        || COUNTS.contains(&name)
        || READ_ONLY.contains(&name)
}

/// An attribute's value, if the queue has it.
pub(super) fn value_of(queue: &Queue, name: &str) -> Option<String> {
    match name {
        "QueueArn" => return Some(queue.arn.clone()),
        "CreatedTimestamp" => return Some((queue.created.0 / 1_000_000).to_string()),
        "LastModifiedTimestamp" => return Some((queue.modified.0 / 1_000_000).to_string()),
        "FifoQueue" => return queue.fifo().then(|| "true".to_owned()),
        _ => {}
    }
    if let Some(value) = queue.attributes.get(name) {
        return Some(value.clone());
    }
    let attribute = ATTRIBUTES.iter().find(|attribute| attribute.name == name)?;
    if name == "KmsDataKeyReusePeriodSeconds" && queue.attributes.contains_key("KmsMasterKeyId") {
        return Some("300".to_owned());
    }
    let has = queue.fifo() || !attribute.fifo;
    attribute.default.filter(|_| has).map(str::to_owned)
}

/// All attributes of the queue, except counts.
pub(super) fn all(queue: &Queue) -> impl Iterator<Item = (&'static str, String)> {
    let settable = ATTRIBUTES.iter().map(|attribute| attribute.name);
    settable
        .chain(READ_ONLY)
        .filter_map(|name| Some((name, value_of(queue, name)?)))
}

/// A numeric attribute.
pub(super) fn number(queue: &Queue, name: &str) -> u64 {
    let value = value_of(queue, name).and_then(|value| value.parse().ok());
    value.unwrap_or_default()
}

/// Whether an attribute is `true`.
pub(super) fn flag(queue: &Queue, name: &str) -> bool {
    value_of(queue, name).is_some_and(|value| value == "true")
}

/// The queue's visibility timeout in seconds: how long a message is invisible after a receive.
pub(crate) fn visibility_s(queue: &Queue) -> u64 {
    number(queue, "VisibilityTimeout")
}

pub(crate) fn settings(region: &Region, queue: &Queue) -> Settings {
    let is = |name: &str, value: &str| queue.attributes.get(name).is_some_and(|found| found == value);
    let kind = match (queue.fifo(), is("DeduplicationScope", "messageGroup")) {
        (false, _) => Kind::Standard,
        (true, false) => Kind::Fifo(Scope::Queue),
        (true, true) => Kind::Fifo(Scope::Group),
    };
    let raw = RawSettings {
        kind,
        limit_per_group: is("FifoThroughputLimit", "perMessageGroupId"),
        visibility_s: number(queue, "VisibilityTimeout"),
        delay_s: number(queue, "DelaySeconds"),
        retention_s: number(queue, "MessageRetentionPeriod"),
        redrive: redrive::of(queue).and_then(|(arn, max_receives)| {
            let name = arn.rsplit(':').next().unwrap_or_default();
            let to = region.queues.get(name).filter(|to| to.arn == arn)?.id;
            Some(Redrive { max_receives, to })
        }),
    };
    let retention = Duration::from_secs(raw.retention_s);
    let usual = RawSettings {
        retention_s: RawSettings::of(kind).retention_s,
        ..raw
    };
    // All other values were checked when they were set; only a corrupted row would fail here.
    let settings = Settings::new(usual).unwrap_or_else(|_| Settings::of(kind));
    settings.with_retention(retention)
}

/// How long a receive waits by default, in seconds.
pub(super) fn wait_seconds(queue: &Queue) -> u64 {
    number(queue, "ReceiveMessageWaitTimeSeconds")
}

/// The first of these attributes that differs from the queue's.
pub(super) fn differing<'a>(
    view: &View<'_>,
    queue: &Queue,
    given: &'a Map<String, Value>,
) -> Result<Option<&'a str>, ApiError> {
    let wanted = set(view, &queue.name, &BTreeMap::new(), given)?;
    let wanted = Queue {
        attributes: wanted,
        ..queue.clone()
    };
    let mut names = given.keys().map(String::as_str);
    Ok(names.find(|name| value_of(&wanted, name) != value_of(queue, name)))
}
