//! What all describes share: ids, filters, tags and pages.

use crate::api::context::View;
use crate::ec2::errors::{bad, error};
use crate::own_tags::names::wrong_name;
use crate::records::Tags;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One thing that may be listed.
pub(crate) struct Item {
    id: String,
    value: Value,
    /// What filters see beyond the value: filter name and value. A name may come more than once.
    facts: Vec<(&'static str, String)>,
}

impl Item {
    pub(crate) fn new(id: &str, value: Value) -> Item {
        Item {
            id: id.to_owned(),
            value,
            facts: Vec::new(),
        }
    }

    pub(crate) fn fact(mut self, name: &'static str, value: impl ToString) -> Item {
        self.facts.push((name, value.to_string()));
        self
    }

    pub(crate) fn facts(mut self, name: &'static str, values: impl IntoIterator<Item = String>) -> Item {
        self.facts.extend(values.into_iter().map(|value| (name, value)));
        self
    }

    fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        let tags = self.value.get("Tags").or_else(|| self.value.get("TagSet"));
        // DescribeTags lists tags themselves.
        let tags = match tags.map(Value::as_array) {
            Some(tags) => tags.map_or(&[][..], Vec::as_slice),
            None => core::slice::from_ref(&self.value),
        };
        let tags = tags.iter();
        tags.filter_map(|tag| Some((tag["Key"].as_str()?, tag["Value"].as_str()?)))
    }

    fn matches(&self, filter: &Filter, places: &BTreeMap<&str, &str>) -> bool {
        let wanted = |value: &str| {
            filter
                .values
                .iter()
                .any(|pattern| like(pattern.as_bytes(), value.as_bytes()))
        };
        if let Some(key) = filter.name.strip_prefix("tag:") {
            return self.tags().any(|(name, value)| name == key && wanted(value));
        }
        match filter.name.as_str() {
            "tag-key" => self.tags().any(|(name, _)| wanted(name)),
            "tag-value" => self.tags().any(|(_, value)| wanted(value)),
            name => match places.get(name).copied().unwrap_or_default() {
                NOWHERE => false,
                STATED => {
                    let mut facts = self.facts.iter();
                    facts.any(|(fact, value)| *fact == name && wanted(value))
                }
                place => texts(&self.value, place).iter().any(|text| wanted(text)),
            },
        }
    }
}

/// The filters of each Describe.
const FILTERS: &str = include_str!("filters.txt");
/// The place of a filter whose values items state.
const STATED: &str = "=";
/// The place of a filter that matches nothing.
const NOWHERE: &str = "";

/// A Describe's filters, by name, and where their values are. `member` is the output's.
fn places(member: &str) -> BTreeMap<&'static str, &'static str> {
    let lines = FILTERS.lines().skip_while(|line| {
        let section = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
        section != Some(member)
    });
    let own = lines.skip(1).take_while(|line| !line.is_empty());
    own.map(|line| line.split_once(' ').unwrap_or((line, NOWHERE)))
        .collect()
}

/// The texts at a place such as `Placement.Tenancy`; lists are looked through.
fn texts(value: &Value, place: &str) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(|item| texts(item, place)).collect(),
        Value::Object(members) => {
            let (name, rest) = place.split_once('.').unwrap_or((place, ""));
            members
                .get(name)
                .map_or_else(Vec::new, |below| texts(below, rest))
        }
        Value::Null => Vec::new(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    #[serde(default)]
    name: String,
    #[serde(default)]
    values: Vec<String>,
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

/// How one describe lists.
pub(crate) struct Listing {
    /// The output's member.
    pub(crate) member: &'static str,
    /// The input's member with ids.
    pub(crate) ids: &'static str,
    /// Code and noun of the error for an id that is not there.
    pub(crate) missing: (&'static str, &'static str),
}

impl Listing {
    /// The items asked for, in the order of their ids.
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
        if let Some(token) = asked.next_token.filter(|token| !token.is_empty()) {
            items.retain(|item| item.id > token);
        }
        let limit = match asked.max_results {
            Some(limit) if limit < 1 => {
                return Err(bad(format!(
                    "Value ( {limit} ) for parameter maxResults is invalid."
                )));
            }
            Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
            None => usize::MAX,
        };
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|item| item.id.clone());
        Ok((items, next))
    }
}

/// The input in the operation's own words; a dry run ends here.
pub(crate) fn input<T: serde::de::DeserializeOwned>(view: &View<'_>) -> Result<T, ApiError> {
    if view.request.input.get("DryRun") == Some(&Value::Bool(true)) {
        let text = "Request would have succeeded, but DryRun flag is set.";
        return Err(error("DryRunOperation", text).with_status(412));
    }
    serde_json::from_value(view.request.input.clone())
        .map_err(|cause| bad(format!("The request cannot be read: {cause}")))
}

/// The texts of a list.
pub(crate) fn strings(list: &Value) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The tags that a call gives to a new resource of that type.
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

/// Whether `text` is like `pattern`, in which `*` stands for any text and `?` for any character. Linear in both, nearly.
fn like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("a*c", "abbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("ELB app/x/*", "ELB app/x/1", true),
            ("a*b*c", "aXbYd", false),
        ] {
            assert_eq!(
                like(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }
}
