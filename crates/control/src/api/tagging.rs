//! Tags as they are stored and shown: by ARN or id in the region's table, and as lists of keys and values in answers.

use crate::records::Tags;
use crate::tables::Region;
use serde_json::{Value, json};
use std::sync::Arc;

/// A resource's tags.
pub(crate) fn stored_tags(region: &Region, key: &str) -> Tags {
    region
        .tags
        .get(key)
        .map(|tags| (**tags).clone())
        .unwrap_or_default()
}

/// Replaces a resource's tags.
pub(crate) fn put_tags(region: &mut Region, key: &str, tags: Tags) {
    region.tags.remove(key);
    if !tags.is_empty() {
        region.tags.insert(key.to_owned(), Arc::new(tags));
    }
}

/// Whether a resource has exactly these tags.
pub(crate) fn has_tags(region: &Region, key: &str, tags: &Tags) -> bool {
    region
        .tags
        .get(key)
        .map_or(tags.is_empty(), |stored| **stored == *tags)
}

/// A resource's tags as answers show them.
pub(crate) fn tags_value(region: &Region, key: &str) -> Value {
    region.tags.get(key).map_or_else(|| json!([]), |tags| shown(tags))
}

/// Tags as answers show them.
pub(crate) fn shown(tags: &Tags) -> Value {
    tags.iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect()
}
