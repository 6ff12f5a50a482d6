//! What SQS's Query protocol calls things. Its model of today describes JSON alone; older clients go on speaking Query, and clients of
//! JSON read Query's error codes (`x-amzn-query-error`). The names are those of the API reference's examples and of WSDL 2012-11-05.

/// The namespace of answers, if they are SQS's.
pub(crate) fn namespace(is_sqs: bool) -> &'static str {
    if is_sqs {
        "http://queue.amazonaws.com/doc/2012-11-05/"
    } else {
        ""
    }
}

/// Where its errors' shapes are, if it is SQS.
pub(crate) fn errors(is_sqs: bool) -> &'static str {
    if is_sqs { "com.amazonaws.sqs#" } else { "" }
}

/// A map's entries: the shape, what an entry is called, its key, its value.
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

/// Lists whose items are not called as the list is, without `List`.
const LISTS: &[(&str, &str)] = &[
    ("AttributeNameList", "AttributeName"),
    ("MessageSystemAttributeList", "MessageSystemAttributeName"),
    ("StringList", "StringListValue"),
    ("BinaryList", "BinaryListValue"),
];

/// Errors whose codes are not their shapes' names.
const CODES: &[(&str, &str)] = &[
    ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"),
    ("QueueNameExists", "QueueAlreadyExists"),
];

/// Those that are, behind a prefix.
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

/// The code of an error of this shape.
pub(crate) fn code(shape: &str) -> String {
    if let Some((_, code)) = CODES.iter().find(|(name, _)| *name == shape) {
        return (*code).to_owned();
    }
    if PREFIXED.contains(&shape) {
        return format!("AWS.SimpleQueueService.{shape}");
    }
    shape.to_owned()
}

/// What an item of a list of this shape is called.
pub(crate) fn item(list: &str) -> &str {
    let other = LISTS.iter().find(|(name, _)| *name == list);
    other.map_or_else(|| list.strip_suffix("List").unwrap_or(list), |(_, item)| item)
}

/// What an entry of a map of this shape is called, its key, and its value.
pub(crate) fn entry(map: &str) -> Option<(&'static str, &'static str, &'static str)> {
    let found = MAPS.iter().find(|(name, ..)| *name == map);
    found.map(|(_, entry, key, value)| (*entry, *key, *value))
}
