//! Tags of Auto Scaling groups, which also say whether new instances get them.

use crate::api::context::{Tx, View};
use crate::api::errors::validation;
use crate::autoscaling::lookup::{listed, put_group, texts};
use crate::autoscaling::records::{Group, GroupTag};
use crate::own_tags::names::wrong_tag;
use forebay_awswire::ApiError;
use serde_json::{Value, json};

/// Adds a tag, in place of one with the same key.
///
/// # Errors
/// If it is one of Forebay's own tags and is invalid.
pub(super) fn add(tags: &mut Vec<GroupTag>, given: &Value) -> Result<(), ApiError> {
    let tag = GroupTag {
        key: given["Key"].as_str().unwrap_or_default().to_owned(),
        value: given["Value"].as_str().unwrap_or_default().to_owned(),
        propagate: given["PropagateAtLaunch"] == true,
    };
    if let Some(wrong) = wrong_tag(&tag.key, &tag.value) {
        return Err(validation(wrong));
    }
    match tags.iter_mut().find(|known| known.key == tag.key) {
        Some(known) => *known = tag,
        None => tags.push(tag),
    }
    Ok(())
}

/// A group's tags as answers show them.
pub(super) fn of_group(group: &Group) -> impl Iterator<Item = Value> {
    group.tags.iter().map(|tag| {
        json!({
            "ResourceId": group.name, "ResourceType": "auto-scaling-group", "Key": tag.key, "Value": tag.value,
            "PropagateAtLaunch": tag.propagate,
        })
    })
}

/// The group that a tag in a call is for.
fn owner(view: &View<'_>, tag: &Value) -> Result<Group, ApiError> {
    let kind = tag["ResourceType"].as_str().unwrap_or("auto-scaling-group");
    if kind != "auto-scaling-group" {
        return Err(validation(format!(
            "The resource type {kind} is invalid: it must be auto-scaling-group."
        )));
    }
    let name = tag["ResourceId"].as_str().unwrap_or_default();
    view.region().scaling_group(name).map(|group| Group::clone(group))
}

pub(crate) fn put(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    for tag in tx.request.input["Tags"].as_array().cloned().unwrap_or_default() {
        let mut group = owner(tx, &tag)?;
        add(&mut group.tags, &tag)?;
        put_group(tx, group);
    }
    Ok(json!({}))
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    for tag in tx.request.input["Tags"].as_array().cloned().unwrap_or_default() {
        let mut group = owner(tx, &tag)?;
        let value = tag["Value"].as_str();
        group.tags.retain(|known| {
            Some(&*known.key) != tag["Key"].as_str() || value.is_some_and(|value| value != known.value)
        });
        put_group(tx, group);
    }
    Ok(json!({}))
}

/// Whether a filter value matches. The filter on propagation ignores case.
fn is_asked(filter: &Value, value: &str, found: &str) -> bool {
    if filter["Name"] == "propagate-at-launch" {
        value.eq_ignore_ascii_case(found)
    } else {
        value == found
    }
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let filters = view.request.input["Filters"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let fits = |tag: &Value| {
        filters.iter().all(|filter| {
            let values = texts(&filter["Values"]);
            let found = match filter["Name"].as_str().unwrap_or_default() {
                "auto-scaling-group" => tag["ResourceId"].as_str().map(str::to_owned),
                "key" => tag["Key"].as_str().map(str::to_owned),
                "value" => tag["Value"].as_str().map(str::to_owned),
                "propagate-at-launch" => tag["PropagateAtLaunch"].as_bool().map(|flag| flag.to_string()),
                _ => None,
            };
            found.is_some_and(|found| values.iter().any(|value| is_asked(filter, value, &found)))
        })
    };
    let groups = view.region().scaling_groups.values();
    let tags = groups.flat_map(|group| of_group(group)).filter(fits);
    let items: Vec<(String, Value)> = tags
        .map(|tag| {
            let text = |name: &str| tag[name].as_str().unwrap_or_default();
            (
                format!("{}\u{1f}{}", text("ResourceId"), text("Key")),
                tag.clone(),
            )
        })
        .collect();
    let mut items = items;
    items.sort_by(|one, other| one.0.cmp(&other.0));
    listed(view, "Tags", items)
}
