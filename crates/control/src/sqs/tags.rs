//! Tags of queues.

use super::errors::{invalid, missing};
use super::lookup::named;
use crate::api::context::{Tx, View};
use crate::api::tagging::{put_tags, stored_tags};
use crate::records::Tags;
use forebay_awswire::ApiError;
use serde_json::{Map, Value, json};

/// The most tags of a queue.
const MOST: usize = 50;

/// Checks the tags in a call.
pub(super) fn checked(given: &Value) -> Result<Tags, ApiError> {
    let given = given.as_object().into_iter().flatten();
    let tags: Tags = given
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    for (key, value) in &tags {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(invalid(format!(
                "A tag's key must have 1 to 128 characters, and its value at most 256: '{key}'."
            )));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid(format!(
                "Tag keys that begin with aws: are reserved: '{key}'."
            )));
        }
    }
    Ok(tags)
}

pub(super) fn few(queue: &str, tags: &Tags) -> Result<(), ApiError> {
    if tags.len() > MOST {
        return Err(invalid(format!("Too many tags added for queue {queue}.")));
    }
    Ok(())
}

pub(crate) fn tag(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let queue = named(tx)?;
    let given = checked(&tx.request.input["Tags"])?;
    if given.is_empty() {
        return Err(missing("Tags"));
    }
    let mut tags = stored_tags(tx.region(), &queue.arn);
    tags.extend(given);
    few(&queue.name, &tags)?;
    put_tags(tx.region_mut(), &queue.arn, tags);
    Ok(Value::Null)
}

pub(crate) fn untag(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let queue = named(tx)?;
    let keys = tx.request.input["TagKeys"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    if keys.is_empty() {
        return Err(invalid(
            "Tag keys must be between 1 and 128 characters in length.",
        ));
    }
    let mut tags = stored_tags(tx.region(), &queue.arn);
    for key in keys.iter().filter_map(Value::as_str) {
        tags.remove(key);
    }
    put_tags(tx.region_mut(), &queue.arn, tags);
    Ok(Value::Null)
}

pub(super) fn list(view: &View<'_>) -> Result<Value, ApiError> {
    let queue = named(view)?;
    let tags: Map<String, Value> = stored_tags(view.region(), &queue.arn)
        .into_iter()
        .map(|(key, value)| (key, Value::String(value)))
        .collect();
    if tags.is_empty() {
        return Ok(json!({}));
    }
    Ok(json!({"Tags": tags}))
}
