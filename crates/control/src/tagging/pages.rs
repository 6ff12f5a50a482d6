//! Pages limited by resources or by tags, and their tokens.

use crate::api::context::View;
use crate::api::errors::{error, invalid_parameter};
use crate::api::paging::{sealed, unsealed};
use forebay_awswire::ApiError;

/// The lifetime of a token (AWS: 15 minutes).
const TOKEN_SECONDS: i64 = 900;

/// The size of a page.
#[derive(Clone, Copy)]
pub(super) struct Size {
    items: usize,
    /// The most tags; an item without tags counts as one.
    tags: usize,
}

impl Size {
    /// The page size of keys and values.
    pub(super) const WORDS: Size = Size {
        items: 1000,
        tags: usize::MAX,
    };

    /// The requested size: 1 to 100 resources (50 by default), or 100 to 500 tags.
    pub(super) fn new(items: Option<i64>, tags: Option<i64>) -> Result<Size, ApiError> {
        let within = |name: &str, given: Option<i64>, most: usize, least: usize, default: usize| {
            let Some(given) = given else { return Ok(default) };
            let size = usize::try_from(given).ok();
            size.filter(|size| (least..=most).contains(size))
                .ok_or_else(|| invalid_parameter(format!("{name} must be between {least} and {most}.")))
        };
        let default = if tags.is_some() { usize::MAX } else { 50 };
        Ok(Size {
            items: within("ResourcesPerPage", items, 100, 1, default)?,
            tags: within("TagsPerPage", tags, 500, 100, usize::MAX)?,
        })
    }
}

/// The items of the page that begins at `token`, and the next page's token, which is empty after the last page as on
/// AWS. `items` ascend by name; `tags` counts an item's tags. An item that does not fit is on the next page.
pub(super) fn page<T>(
    view: &View<'_>,
    items: impl Iterator<Item = (String, T)>,
    tags: impl Fn(&T) -> usize,
    size: Size,
    token: Option<&str>,
) -> Result<(Vec<(String, T)>, String), ApiError> {
    let token = token.filter(|token| !token.is_empty());
    let after = token.map(|token| read(view, token)).transpose()?;
    // The item that the token names may have been deleted: the page begins where it was.
    let rest = items.skip_while(|(name, _)| after.as_ref().is_some_and(|after| name <= after));
    let (mut held, mut used): (Vec<(String, T)>, usize) = (Vec::new(), 0);
    for (name, item) in rest {
        let cost = tags(&item).max(1);
        if held.len() == size.items || (!held.is_empty() && used.saturating_add(cost) > size.tags) {
            let last = held.last().map_or("", |(name, _)| name);
            let next = written(view, last);
            return Ok((held, next));
        }
        used = used.saturating_add(cost);
        held.push((name, item));
    }
    Ok((held, String::new()))
}

fn written(view: &View<'_>, last: &str) -> String {
    let now = view.request.now.seconds();
    sealed(view, &format!("{now}/{last}"))
}

/// The name in a token that the same operation issued.
fn read(view: &View<'_>, token: &str) -> Result<String, ApiError> {
    let parts = || {
        let rest = unsealed(view, token)?;
        let (given, name) = rest.split_once('/')?;
        Some((given.parse::<i64>().ok()?, name.to_owned()))
    };
    let (given, name) = parts().ok_or_else(|| invalid_parameter("The pagination token is not valid."))?;
    if view.request.now.seconds().saturating_sub(given) > TOKEN_SECONDS {
        return Err(error(
            "PaginationTokenExpiredException",
            "The pagination token has expired.",
        ));
    }
    Ok(name)
}
