//! What the APIs of schedules and rules share: lists of tags, and pages.

use crate::api::context::{Answered, Tx, View};
use crate::api::errors::error;
use crate::api::paging::{after, sealed_cut};
use crate::api::tagging::{put_tags, stored_tags};
use crate::records::Tags;
use forebay_awswire::ApiError;
use serde_json::{Value, json};

/// The most tags of a resource.
const MOST_TAGS: usize = 50;
/// The largest page size, which is also the default.
const PAGE: u64 = 100;

fn invalid(message: impl Into<String>) -> ApiError {
    error("ValidationException", message)
}

/// The given tags, merged with the existing ones.
pub(crate) fn checked_tags(given: &Value, mut tags: Tags) -> Result<Tags, ApiError> {
    for tag in given.as_array().into_iter().flatten() {
        let text = |name: &str| tag[name].as_str().unwrap_or_default().to_owned();
        let key = text("Key");
        if key.to_lowercase().starts_with("aws:") {
            return Err(invalid(format!("The tag key '{key}' is reserved.")));
        }
        tags.insert(key, text("Value"));
    }
    if tags.len() > MOST_TAGS {
        return Err(invalid(format!("A resource has {MOST_TAGS} tags at most.")));
    }
    Ok(tags)
}

/// Adds the call's `Tags` to a resource.
pub(crate) fn tag(tx: &mut Tx<'_>, arn: &str) -> Answered {
    let tags = checked_tags(&tx.request.input["Tags"], stored_tags(tx.region(), arn))?;
    put_tags(tx.region_mut(), arn, tags);
    Ok(json!({}))
}

/// Removes the call's `TagKeys` from a resource.
pub(crate) fn untag(tx: &mut Tx<'_>, arn: &str) -> Answered {
    let mut tags = stored_tags(tx.region(), arn);
    let keys = tx.request.input["TagKeys"].as_array();
    let keys = keys.cloned().unwrap_or_default();
    tags.retain(|key, _| !keys.iter().any(|gone| gone == key));
    put_tags(tx.region_mut(), arn, tags);
    Ok(json!({}))
}

/// The requested page, whose size is the member `size`, and the next page's token.
pub(crate) fn page<T>(
    view: &View<'_>,
    size: &str,
    items: Vec<T>,
    key: impl Fn(&T) -> String,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let input = &view.request.input;
    let size = input[size].as_u64().unwrap_or(PAGE).clamp(1, PAGE);
    let after = after(view, input["NextToken"].as_str(), |_| {
        invalid("Invalid NextToken.")
    })?;
    let size = usize::try_from(size).unwrap_or(1);
    Ok(sealed_cut(view, items, key, &after, size))
}

/// An answer with the next page's token, if there is one.
pub(crate) fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    answer
}
