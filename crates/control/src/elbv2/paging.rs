//! Pages of a sorted list: a marker names the operation and the last item of the page before.

use crate::api::context::View;
use crate::elbv2::errors::validation;
use crate::state::Dialect;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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
    view: &View<'_>,
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
    let after = marker.map(|marker| key_of(view, marker)).transpose()?;
    let mut rest = items
        .into_iter()
        .skip_while(|item| after.as_ref().is_some_and(|after| key(item) <= *after));
    let held: Vec<T> = rest.by_ref().take(size).collect();
    let more = rest.next().is_some();
    let next = held
        .last()
        .filter(|_| more)
        .map(|item| marker_of(view, &key(item)));
    Ok((held, next))
}

/// moto's markers are the names themselves.
fn marker_of(view: &View<'_>, key: &str) -> String {
    match view.dialect() {
        Dialect::Moto => key.to_owned(),
        Dialect::Aws => URL_SAFE_NO_PAD.encode(format!("{}/{key}", view.request.operation)),
    }
}

/// The key in a marker that an answer of the same operation gave.
fn key_of(view: &View<'_>, marker: &str) -> Result<String, ApiError> {
    if view.dialect() == Dialect::Moto {
        return Ok(marker.to_owned());
    }
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(marker).ok()?).ok()?;
        let key = text.strip_prefix(view.request.operation)?.strip_prefix('/')?;
        Some(key.to_owned())
    };
    read().ok_or_else(|| validation(format!("The marker '{marker}' is not valid")))
}

/// An answer with a list and perhaps a marker.
pub(crate) fn answer(list: &str, items: Vec<Value>, next: Option<String>) -> Value {
    let mut answer = json!({ list: items });
    if let Some(marker) = next {
        answer["NextMarker"] = Value::String(marker);
    }
    answer
}
