//! What SQS's Query protocol calls things. Its model of today describes JSON alone; older clients go on speaking Query, and clients of
//! JSON read Query's error codes (`x-amzn-query-error`). The names are those of the API reference's examples and of WSDL 2012-11-05.

use crate::model::{Kind, Shape};

/// The namespace of answers.
pub(crate) const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

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

/// The shape with the names of what is in it; and no enums: an attribute that there is not is told in words of SQS's own.
pub(crate) fn named(name: &str, mut shape: Shape) -> Shape {
    shape.choices.clear();
    match &mut shape.kind {
        Kind::List {
            name: item,
            flattened,
            repeated,
            ..
        } => {
            (*flattened, *repeated) = (true, true);
            let other = LISTS.iter().find(|(list, _)| *list == name);
            let other = other.map(|(_, item)| (*item).to_owned());
            *item = other.unwrap_or_else(|| name.strip_suffix("List").unwrap_or(name).to_owned());
        }
        Kind::Map {
            entry,
            key_name,
            value_name,
            ..
        } => {
            if let Some((_, called, key, value)) = MAPS.iter().find(|(map, ..)| *map == name) {
                *entry = Some((*called).to_owned());
                *key_name = (*key).to_owned();
                *value_name = (*value).to_owned();
            }
        }
        _ => {}
    }
    shape
}
