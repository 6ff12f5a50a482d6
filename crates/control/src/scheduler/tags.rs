//! Tags of schedule groups, which alone have some.

use super::errors::invalid;
use super::lookup::named;
use crate::api::context::{Answered, Tx, View};
use crate::api::tagging::{put_tags, stored_tags, tags_value};
use crate::records::Tags;
use forebay_awswire::ApiError;
use serde_json::{Value, json};

/// Tags of a group.
const MOST: usize = 50;

/// These tags, and those that were there.
pub(super) fn checked(given: &Value, mut tags: Tags) -> Result<Tags, ApiError> {
    for tag in given.as_array().into_iter().flatten() {
        let text = |name: &str| tag[name].as_str().unwrap_or_default().to_owned();
        let key = text("Key");
        if key.to_lowercase().starts_with("aws:") {
            return Err(invalid(format!("The tag key '{key}' is reserved.")));
        }
        tags.insert(key, text("Value"));
    }
    if tags.len() > MOST {
        return Err(invalid(format!("A schedule group has {MOST} tags at most.")));
    }
    Ok(tags)
}

fn group(view: &View<'_>) -> Result<String, ApiError> {
    let arn = view.request.input["ResourceArn"].as_str().unwrap_or_default();
    let name = arn.rsplit('/').next().unwrap_or_default();
    let group = named(view, name)?;
    if group.arn != arn {
        return Err(super::errors::not_found("Resource", arn));
    }
    Ok(group.arn.clone())
}

pub(super) fn list(view: &View<'_>) -> Answered {
    let arn = group(view)?;
    Ok(json!({"Tags": tags_value(view.region(), &arn)}))
}

pub(super) fn tag(tx: &mut Tx<'_>) -> Answered {
    let arn = group(tx)?;
    let tags = checked(&tx.request.input["Tags"], stored_tags(tx.region(), &arn))?;
    put_tags(tx.region_mut(), &arn, tags);
    Ok(json!({}))
}

pub(super) fn untag(tx: &mut Tx<'_>) -> Answered {
    let arn = group(tx)?;
    let mut tags = stored_tags(tx.region(), &arn);
    let keys = tx.request.input["TagKeys"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    tags.retain(|key, _| !keys.iter().any(|gone| gone == key));
    put_tags(tx.region_mut(), &arn, tags);
    Ok(json!({}))
}
