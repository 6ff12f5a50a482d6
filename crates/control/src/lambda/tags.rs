//! Tags of functions.

use super::errors::{invalid, not_found};
use super::lookup::by_arn;
use crate::api::context::{Answered, Tx, View};
use crate::api::tagging::{put_tags, stored_tags};
use crate::records::Tags;
use forebay_awswire::ApiError;
use serde_json::{Value, json};

/// The most tags of a resource.
const MOST: usize = 50;

/// Checks the tags in a call.
pub(super) fn checked(given: &Value) -> Result<Tags, ApiError> {
    let given = given.as_object().into_iter().flatten();
    let tags: Tags = given
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    few(tags)
}

fn few(tags: Tags) -> Result<Tags, ApiError> {
    if tags.len() > MOST {
        return Err(invalid(format!("A resource has {MOST} tags at most.")));
    }
    let fits = |(key, value): (&String, &String)| {
        (1..=128).contains(&key.chars().count())
            && value.chars().count() <= 256
            && !key.to_lowercase().starts_with("aws:")
    };
    match tags.iter().find(|tag| !fits(*tag)) {
        Some((key, _)) => Err(invalid(format!("The tag '{key}' is invalid."))),
        None => Ok(tags),
    }
}

/// The ARN of the resource in a call, without a qualifier.
fn resource(view: &View<'_>) -> Result<String, ApiError> {
    let arn = view.request.input["Resource"].as_str().unwrap_or_default();
    let region = view.region();
    let function = by_arn(region, arn).map(|function| function.arn.clone());
    let mapping = || {
        region
            .mappings
            .values()
            .find(|mapping| mapping.arn == arn)
            .map(|mapping| mapping.arn.clone())
    };
    function
        .or_else(mapping)
        .ok_or_else(|| not_found(format!("The resource you requested does not exist: {arn}")))
}

pub(super) fn list(view: &View<'_>) -> Answered {
    let arn = resource(view)?;
    Ok(json!({"Tags": stored_tags(view.region(), &arn)}))
}

pub(super) fn tag(tx: &mut Tx<'_>) -> Answered {
    let arn = resource(tx)?;
    let mut tags = stored_tags(tx.region(), &arn);
    tags.extend(checked(&tx.request.input["Tags"])?);
    let tags = few(tags)?;
    put_tags(tx.region_mut(), &arn, tags);
    Ok(Value::Null)
}

pub(super) fn untag(tx: &mut Tx<'_>) -> Answered {
    let arn = resource(tx)?;
    let mut tags = stored_tags(tx.region(), &arn);
    let keys = tx.request.input["TagKeys"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    tags.retain(|key, _| !keys.iter().any(|gone| gone == key));
    put_tags(tx.region_mut(), &arn, tags);
    Ok(Value::Null)
}
