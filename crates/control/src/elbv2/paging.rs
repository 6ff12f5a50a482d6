//! Pages of a sorted list: a marker names the last item of the page before.

use crate::elbv2::errors::validation;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};

/// The page asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PageInput {
    #[serde(default)]
    pub(crate) marker: Option<String>,
    #[serde(default)]
    pub(crate) page_size: Option<i64>,
}

/// The items of the page asked for, and the next page's marker. `items` ascend by `key`; without a size, `default_size` counts.
pub(crate) fn page<T>(
    items: Vec<T>,
    key: impl Fn(&T) -> String,
    asked: &PageInput,
    default_size: usize,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let size = match asked.page_size {
        None => default_size,
        Some(size) => match usize::try_from(size) {
            Ok(size @ 1..=400) => size,
            _ => return Err(validation("Page size must be between 1 and 400")),
        },
    };
    // The item the marker names may be gone by now: the page begins after its place.
    let marker = asked.marker.as_deref().filter(|marker| !marker.is_empty());
    let mut rest = items
        .into_iter()
        .skip_while(|item| marker.is_some_and(|marker| key(item).as_str() <= marker));
    let held: Vec<T> = rest.by_ref().take(size).collect();
    let more = rest.next().is_some();
    let next = held.last().filter(|_| more).map(key);
    Ok((held, next))
}

/// An answer with a list and perhaps a marker.
pub(crate) fn answer(list: &str, items: Vec<Value>, next: Option<String>) -> Value {
    let mut answer = json!({ list: items });
    if let Some(marker) = next {
        answer["NextMarker"] = Value::String(marker);
    }
    answer
}
