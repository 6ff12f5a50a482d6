//! The names of SQS's Query protocol. Its present model describes only JSON, but older clients still speak Query, and
//! clients of JSON read Query's error codes (`x-amzn-query-error`). The names are those of the API reference's examples
//! and of WSDL 2012-11-05.

/// The XML namespace of answers, for SQS.
pub(crate) fn namespace(is_sqs: bool) -> &'static str {
    if is_sqs {
        "http://queue.amazonaws.com/doc/2012-11-05/"
    } else {
        ""
    }
}

/// The namespace of error shapes, for SQS.
pub(crate) fn errors(is_sqs: bool) -> &'static str {
    if is_sqs { "com.amazonaws.sqs#" } else { "" }
}

/// Entries of maps: the shape, and the names of an entry, its key and its value.
const MAPS: &[(&str, &str, &str, &str)] = &[
    ("QueueAttributeMap", "Attribute", "Name", "Value"),
    ("MessageBodyAttributeMap", "MessageAttribute", "Name", "Value"),
    (
        "MessageBodySystemAttributeMap",
        "MessageSystemAttribute",
        "Name",
        "Value",
    ),
    ("MessageSystemAttributeMap", "Attribute", "Name", "Value"),
    ("TagMap", "Tag", "Key", "Value"),
];

/// Lists whose items are not named after the list without `List`.
const LISTS: &[(&str, &str)] = &[
    ("AttributeNameList", "AttributeName"),
    ("MessageSystemAttributeList", "MessageSystemAttributeName"),
    ("StringList", "StringListValue"),
    ("BinaryList", "BinaryListValue"),
];

/// Errors whose codes differ from their shapes' names.
const CODES: &[(&str, &str)] = &[
    ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"),
    ("QueueNameExists", "QueueAlreadyExists"),
];

/// Errors whose codes are their shapes' names with a prefix.
const PREFIXED: &[&str] = &[
    "BatchEntryIdsNotDistinct",
    "BatchRequestTooLong",
    "EmptyBatchRequest",
    "InvalidBatchEntryId",
    "MessageNotInflight",
    "PurgeQueueInProgress",
    "QueueDeletedRecently",
    "TooManyEntriesInBatchRequest",
    "UnsupportedOperation",
];

/// The code of the error with this shape.
pub(crate) fn code(shape: &str) -> String {
    if let Some((_, code)) = CODES.iter().find(|(name, _)| *name == shape) {
        return (*code).to_owned();
    }
    if PREFIXED.contains(&shape) {
        return format!("AWS.SimpleQueueService.{shape}");
    }
    shape.to_owned()
}

/// The name of an item in a list of this shape.
pub(crate) fn item(list: &str) -> &str {
    let other = LISTS.iter().find(|(name, _)| *name == list);
    other.map_or_else(|| list.strip_suffix("List").unwrap_or(list), |(_, item)| item)
}

/// The names of an entry in a map of this shape, its key, and its value.
pub(crate) fn entry(map: &str) -> Option<(&'static str, &'static str, &'static str)> {
    let found = MAPS.iter().find(|(name, ..)| *name == map);
    found.map(|(_, entry, key, value)| (*entry, *key, *value))
}
