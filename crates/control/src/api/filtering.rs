//! Filters of lists: by tags, by values in the answer, and by facts that the answer does not show.

use crate::records::Tags;
use forebay_units::wildcard;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The place of a filter whose values each item supplies as a fact.
const STATED: &str = "=";
/// The place of a filter that matches nothing.
pub(crate) const NOWHERE: &str = "";

/// A filter by name. Its values may hold wildcards.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Filter {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    values: Vec<String>,
}

/// An item that may be listed.
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) value: Value,
    /// What filters see beyond the item's value: pairs of filter name and value. A name may occur more than once.
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
        // DescribeTags lists the tags themselves, so its items have no list of tags.
        let tags = match tags.map(Value::as_array) {
            Some(tags) => tags.map_or(&[][..], Vec::as_slice),
            None => core::slice::from_ref(&self.value),
        };
        let tags = tags.iter();
        tags.filter_map(|tag| Some((tag["Key"].as_str()?, tag["Value"].as_str()?)))
    }

    pub(crate) fn matches(&self, filter: &Filter, places: &BTreeMap<&str, &str>) -> bool {
        let wanted = |value: &str| {
            filter
                .values
                .iter()
                .any(|pattern| wildcard::matches(pattern, value))
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

/// The strings at a path such as `Placement.Tenancy`. Lists on the way are searched.
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

/// A filter by a tag's key. Its values are compared literally, without wildcards.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct TagFilter {
    pub(crate) key: Option<String>,
    values: Vec<String>,
}

impl TagFilter {
    /// Whether the tag is present and, if the filter has values, has one of them.
    pub(crate) fn matches(&self, tags: &Tags) -> bool {
        let value = self.key.as_ref().and_then(|key| tags.get(key));
        value.is_some_and(|value| self.values.is_empty() || self.values.contains(value))
    }
}
