//! Tags as they are kept and shown: by ARN or id in the region's table, as lists of keys and values in answers.

use crate::records::Tags;
use crate::tables::Region;
use serde_json::{Value, json};
use std::sync::Arc;

/// Stores a new resource's tags.
pub(crate) fn put_tags(region: &mut Region, arn: &str, tags: Tags) {
    if !tags.is_empty() {
        region.tags.insert(arn.to_owned(), Arc::new(tags));
    }
}

/// Whether a resource's tags are these.
pub(crate) fn has_tags(region: &Region, arn: &str, tags: &Tags) -> bool {
    region
        .tags
        .get(arn)
        .map_or(tags.is_empty(), |stored| **stored == *tags)
}

/// A resource's tags as answers show them.
pub(crate) fn tags_value(region: &Region, id: &str) -> Value {
    let tags = region.tags.get(id).map(|tags| &**tags).into_iter().flatten();
    tags.map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect()
}
