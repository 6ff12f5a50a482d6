//! Tags of alarms, insight rules and dashboards.

use crate::api::arns::parts;
use crate::api::context::{Tx, View};
use crate::api::errors::{error, validation};
use crate::api::tagging::{put_tags, stored_tags, tags_value};
use crate::cloudwatch::metric::wrong;
use crate::records::Tags;
use crate::state::Dialect;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};

/// The most tags of one alarm (AWS's quota).
const TAG_LIMIT: usize = 50;

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(rename = "ResourceARN")]
    resource_arn: String,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

/// A call's tags, merged with the existing ones.
pub(super) fn read(given: Vec<Tag>, mut tags: Tags) -> Result<Tags, ApiError> {
    for Tag { key, value } in given {
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(validation(
                "aws: prefixed tag key names are not allowed for external use.",
            ));
        }
        tags.insert(key, value);
    }
    if tags.len() > TAG_LIMIT {
        return Err(wrong(format!("A resource can have {TAG_LIMIT} tags at most.")));
    }
    Ok(tags)
}

/// The region that holds a resource's tags, if the resource exists.
fn place(view: &View<'_>, arn: &str) -> Result<String, ApiError> {
    let resource = parts(arn).resource.unwrap_or_default();
    let alarm = resource.strip_prefix("alarm:");
    if let Some(alarm) = alarm.and_then(|name| view.region().alarms.get(name))
        && alarm.arn == arn
    {
        return Ok(view.request.region.to_owned());
    }
    let rule = resource.strip_prefix("insight-rule/");
    if let Some(rule) = rule.and_then(|name| view.region().insight_rules.get(name))
        && rule.arn == arn
    {
        return Ok(view.request.region.to_owned());
    }
    let dashboard = resource.strip_prefix("dashboard/");
    if let Some(dashboard) = dashboard.and_then(|name| view.home().dashboards.get(name).cloned())
        && dashboard.arn == arn
    {
        return Ok(view.state.settings().default_region.clone());
    }
    Err(error("ResourceNotFoundException", "Unknown").with_status(404))
}

pub(crate) fn tag(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: Input = tx.input()?;
    let place = place(tx, &input.resource_arn)?;
    let region = tx.state.region(&place);
    let tags = read(input.tags, stored_tags(&region, &input.resource_arn))?;
    put_tags(tx.region_named_mut(&place), &input.resource_arn, tags);
    Ok(json!({}))
}

pub(crate) fn untag(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: Input = tx.input()?;
    let place = place(tx, &input.resource_arn)?;
    let mut tags = stored_tags(&tx.state.region(&place), &input.resource_arn);
    tags.retain(|key, _| !input.tag_keys.contains(key));
    put_tags(tx.region_named_mut(&place), &input.resource_arn, tags);
    Ok(json!({}))
}

pub(crate) fn list(view: &View<'_>) -> Result<Value, ApiError> {
    let input: Input = view.input()?;
    let place = match (place(view, &input.resource_arn), view.dialect()) {
        // moto has no tags, and does not check the resource.
        (Err(_), Dialect::Moto) => return Ok(json!({"Tags": []})),
        (place, _) => place?,
    };
    let region = view.state.region(&place);
    Ok(json!({"Tags": tags_value(&region, &input.resource_arn)}))
}
