//! What all describe operations share: ids, filters, tags and pages.

use crate::api::context::View;
use crate::api::errors::{bad, error};
use crate::api::filtering::{Filter, Item, NOWHERE};
use crate::api::paging::cut;
use crate::own_tags::names::wrong_name;
use crate::records::Tags;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The filters of each describe operation.
const FILTERS: &str = include_str!("filters.txt");

/// The filters of a describe operation by name, each with the path of its values. `member` is the output's list.
fn places(member: &str) -> BTreeMap<&'static str, &'static str> {
    let lines = FILTERS.lines().skip_while(|line| {
        let section = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
        section != Some(member)
    });
    let own = lines.skip(1).take_while(|line| !line.is_empty());
    own.map(|line| line.split_once(' ').unwrap_or((line, NOWHERE)))
        .collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    max_results: Option<i64>,
    #[serde(default)]
    next_token: Option<String>,
}

/// How a describe operation lists.
pub(crate) struct Listing {
    /// The output member with the list.
    pub(crate) member: &'static str,
    /// The input member with ids.
    pub(crate) ids: &'static str,
    /// Code and noun of the error for an id that does not exist.
    pub(crate) missing: (&'static str, &'static str),
}

impl Listing {
    /// The requested items, ordered by id.
    pub(crate) fn list(&self, view: &View<'_>, items: Vec<Item>) -> Result<Value, ApiError> {
        let (items, next) = self.select(view, items)?;
        let values: Vec<Value> = items.into_iter().map(|item| item.value).collect();
        let mut answer = json!({ self.member: values });
        if let Some(token) = next {
            answer["NextToken"] = json!(token);
        }
        Ok(answer)
    }

    fn select(&self, view: &View<'_>, mut items: Vec<Item>) -> Result<(Vec<Item>, Option<String>), ApiError> {
        let asked: Asked = input(view)?;
        let ids = strings(&view.request.input[self.ids]);
        let places = places(self.member);
        let known = |name: &str| {
            name.starts_with("tag:") || ["tag-key", "tag-value"].contains(&name) || places.contains_key(name)
        };
        if let Some(filter) = asked.filters.iter().find(|filter| !known(&filter.name)) {
            return Err(bad(format!("The filter '{}' is invalid", filter.name)));
        }
        if let Some(id) = ids.iter().find(|id| !items.iter().any(|item| item.id == **id)) {
            let (code, noun) = self.missing;
            return Err(error(code, format!("The {noun} '{id}' does not exist")));
        }
        items.retain(|item| {
            (ids.is_empty() || ids.contains(&item.id))
                && asked.filters.iter().all(|filter| item.matches(filter, &places))
        });
        items.sort_by(|one, other| one.id.cmp(&other.id));
        let limit = match asked.max_results {
            Some(limit) if limit < 1 => {
                return Err(bad(format!(
                    "Value ( {limit} ) for parameter maxResults is invalid."
                )));
            }
            Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
            None => usize::MAX,
        };
        let after = asked.next_token.unwrap_or_default();
        Ok(cut(items, |item| item.id.clone(), &after, limit))
    }
}

/// The input as the operation's own type. A dry run ends here.
pub(crate) fn input<T: serde::de::DeserializeOwned>(view: &View<'_>) -> Result<T, ApiError> {
    if view.request.input.get("DryRun") == Some(&Value::Bool(true)) {
        let text = "Request would have succeeded, but DryRun flag is set.";
        return Err(error("DryRunOperation", text).with_status(412));
    }
    serde_json::from_value(view.request.input.clone())
        .map_err(|cause| bad(format!("The request cannot be read: {cause}")))
}

/// The strings in a list.
pub(crate) fn strings(list: &Value) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The tags that a call gives to new resources of that type.
pub(crate) fn new_tags(view: &View<'_>, resource_type: &str) -> Result<Tags, ApiError> {
    let specifications = view.request.input["TagSpecifications"]
        .as_array()
        .into_iter()
        .flatten();
    let mut tags = Tags::new();
    for specification in specifications.filter(|given| given["ResourceType"] == resource_type) {
        for tag in specification["Tags"].as_array().into_iter().flatten() {
            read_tag(tag, &mut tags)?;
        }
    }
    Ok(tags)
}

/// Reads one tag into `tags`.
pub(crate) fn read_tag(tag: &Value, tags: &mut Tags) -> Result<(), ApiError> {
    let key = tag["Key"].as_str().unwrap_or_default();
    let value = tag["Value"].as_str().unwrap_or_default();
    if key.is_empty() || key.chars().count() > 127 || value.chars().count() > 255 {
        return Err(bad(
            "Tag key must be 1 to 127 characters long and its value at most 255".to_owned(),
        ));
    }
    if key.starts_with("aws:") {
        return Err(bad(
            "Tag keys starting with 'aws:' are reserved for internal use".to_owned()
        ));
    }
    if let Some(wrong) = wrong_name(key) {
        return Err(bad(wrong));
    }
    if tags.len() >= 50 && !tags.contains_key(key) {
        return Err(error(
            "TagLimitExceeded",
            "More than 50 tags specified".to_owned(),
        ));
    }
    tags.insert(key.to_owned(), value.to_owned());
    Ok(())
}
