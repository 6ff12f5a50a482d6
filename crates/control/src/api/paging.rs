//! Pages of a sorted list. A token names the last item of the previous page, so items that come and go in between do no
//! harm.

use crate::api::context::View;
use crate::api::errors::validation;
use crate::state::Dialect;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};

/// The page that a call requests.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PageInput {
    #[serde(default)]
    pub(crate) marker: Option<String>,
    #[serde(default)]
    pub(crate) page_size: Option<i64>,
}

/// The items of the requested page, and the marker of the next. `items` ascend by `key`; without a size, `default_size`
/// applies.
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
    let marker = asked.marker.as_deref().filter(|marker| !marker.is_empty());
    let after = marker.map(|marker| key_of(view, marker)).transpose()?;
    let (held, last) = cut(items, key, &after.unwrap_or_default(), size);
    Ok((held, last.map(|last| marker_of(view, &last))))
}

/// The first `size` items after `after`, and the last one's key if there are more. `items` ascend by `key`. The item
/// that `after` names may have been deleted: the page then begins where it was. An empty `after` begins at the start.
pub(crate) fn cut<T>(
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> String,
    after: &str,
    size: usize,
) -> (Vec<T>, Option<String>) {
    let mut rest = items
        .into_iter()
        .skip_while(|item| !after.is_empty() && key(item).as_str() <= after);
    let held: Vec<T> = rest.by_ref().take(size).collect();
    let more = rest.next().is_some();
    let last = held.last().filter(|_| more).map(&key);
    (held, last)
}

/// The key after which a page begins, from the previous page's token; empty for the first page. `wrong` makes the error
/// for a token that this operation did not issue.
pub(crate) fn after(
    view: &View<'_>,
    token: Option<&str>,
    wrong: impl FnOnce(&str) -> ApiError,
) -> Result<String, ApiError> {
    match token.filter(|token| !token.is_empty()) {
        None => Ok(String::new()),
        Some(token) => unsealed(view, token).ok_or_else(|| wrong(token)),
    }
}

/// Like [`cut`], with the next page's token in place of the last key.
pub(crate) fn sealed_cut<T>(
    view: &View<'_>,
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> String,
    after: &str,
    size: usize,
) -> (Vec<T>, Option<String>) {
    let (held, last) = cut(items, key, after, size);
    (held, last.map(|last| sealed(view, &last)))
}

/// A token that only the same operation accepts.
pub(crate) fn sealed(view: &View<'_>, text: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}/{text}", view.request.operation))
}

/// The text in a token that the same operation issued.
pub(crate) fn unsealed(view: &View<'_>, token: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let rest = text.strip_prefix(view.request.operation)?.strip_prefix('/')?;
    Some(rest.to_owned())
}

/// moto's markers are the names themselves.
fn marker_of(view: &View<'_>, key: &str) -> String {
    match view.dialect() {
        Dialect::Moto => key.to_owned(),
        Dialect::Aws => sealed(view, key),
    }
}

/// The key in a marker that the same operation issued.
fn key_of(view: &View<'_>, marker: &str) -> Result<String, ApiError> {
    if view.dialect() == Dialect::Moto {
        return Ok(marker.to_owned());
    }
    unsealed(view, marker).ok_or_else(|| validation(format!("The marker '{marker}' is not valid")))
}

/// An answer with a list and, if there are more items, a marker.
pub(crate) fn answer(list: &str, items: Vec<Value>, next: Option<String>) -> Value {
    let mut answer = json!({ list: items });
    if let Some(marker) = next {
        answer["NextMarker"] = Value::String(marker);
    }
    answer
}
