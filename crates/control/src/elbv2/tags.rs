//! Tags of load balancers, listeners, rules and target groups.

use crate::api::context::{Tx, View};
use crate::api::errors::{groups_missing, validation};
use crate::api::tagging::{put_tags, stored_tags, tags_value};
use crate::elbv2::arns::{Noun, noun};
use crate::elbv2::records::TargetGroup;
use crate::own_tags::groups::wrong_for;
use crate::own_tags::names::wrong_tag;
use crate::records::Tags;
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_model::limits;
use serde::Deserialize;
use serde_json::{Value, json};

/// A tag as calls give it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TagInput {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: String,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagsInput {
    resource_arns: Vec<String>,
    #[serde(default)]
    tags: Vec<TagInput>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

/// Checks the tags given in a call.
pub(crate) fn read_tags(given: Vec<TagInput>) -> Result<Tags, ApiError> {
    let mut tags = Tags::new();
    for tag in given {
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(validation(
                "aws: prefixed tag key names are not allowed for external use.",
            ));
        }
        if tags.contains_key(&tag.key) {
            let text = format!("Tag key was specified more than once: {}", tag.key);
            return Err(ApiError::sender("DuplicateTagKeys", text));
        }
        if let Some(wrong) = wrong_tag(&tag.key, &tag.value) {
            return Err(validation(wrong));
        }
        tags.insert(tag.key, tag.value);
    }
    check_count(&tags)?;
    Ok(tags)
}

/// Checks that a target group may have these tags.
pub(crate) fn check_group(group: &TargetGroup, tags: &Tags) -> Result<(), ApiError> {
    match wrong_for(group.control_port.is_some(), tags) {
        None => Ok(()),
        Some(wrong) => Err(validation(wrong)),
    }
}

fn check_count(tags: &Tags) -> Result<(), ApiError> {
    if tags.len() <= limits::TAGS_PER_RESOURCE {
        return Ok(());
    }
    let text = "The quota for the number of tags that can be assigned to a load balancer has been reached";
    Err(ApiError::sender("TooManyTags", text))
}

fn gone(code: &'static str, noun: &str) -> ApiError {
    ApiError::sender(code, format!("The specified {noun} does not exist."))
}

/// An ARN of another service or region is invalid; one of this region that names nothing is not found.
fn check_exists(view: &View<'_>, arn: &str) -> Result<(), ApiError> {
    let region = view.region();
    let place = format!("arn:aws:elasticloadbalancing:{}:", view.request.region);
    let ours = view.dialect() == Dialect::Moto || arn.starts_with(&place);
    match noun(arn).filter(|_| ours) {
        Some(Noun::Balancer) => region.balancer(arn).map(|_| ()),
        Some(Noun::Listener) => region
            .listener(arn)
            .map(|_| ())
            .map_err(|_| gone("ListenerNotFound", "listener")),
        Some(Noun::Rule) if region.rules.contains_key(arn) => Ok(()),
        Some(Noun::Rule) => Err(gone("RuleNotFound", "rule")),
        Some(Noun::Group) => region.group(arn).map(|_| ()).map_err(|_| groups_missing()),
        None => Err(validation(format!(
            "'{arn}' is not a valid load balancer, target group, listener or rule ARN"
        ))),
    }
}

fn arns(input: &TagsInput) -> Result<&[String], ApiError> {
    match input.resource_arns.len() {
        0 => Err(validation("A resource ARN must be specified")),
        1..=20 => Ok(&input.resource_arns),
        _ => Err(validation("Up to 20 resource ARNs can be specified")),
    }
}

pub(crate) fn add_tags(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: TagsInput = tx.input()?;
    let added = read_tags(input.tags.clone())?;
    for arn in arns(&input)? {
        check_exists(tx, arn)?;
        let mut tags = stored_tags(tx.region(), arn);
        tags.extend(added.clone());
        check_count(&tags)?;
        if let Some(group) = tx.region().target_groups.get(arn) {
            check_group(group, &tags)?;
        }
        put_tags(tx.region_mut(), arn, tags);
    }
    Ok(json!({}))
}

pub(crate) fn remove_tags(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: TagsInput = tx.input()?;
    for arn in arns(&input)? {
        check_exists(tx, arn)?;
        let Some(tags) = tx.region().tags.get(arn) else {
            continue;
        };
        let mut tags = (**tags).clone();
        tags.retain(|key, _| !input.tag_keys.contains(key));
        put_tags(tx.region_mut(), arn, tags);
    }
    Ok(json!({}))
}

pub(crate) fn describe_tags(view: &View<'_>) -> Result<Value, ApiError> {
    let input: TagsInput = view.input()?;
    let region = view.region();
    let mut described = Vec::new();
    for arn in arns(&input)? {
        check_exists(view, arn)?;
        described.push(json!({"ResourceArn": arn, "Tags": tags_value(region, arn)}));
    }
    Ok(json!({"TagDescriptions": described}))
}
