//! Finds functions by name, ARN or partial ARN.

use super::errors::{invalid, no_function};
use super::records::Function;
use crate::api::arns::own_arn;
use crate::api::context::View;
use crate::tables::Region;
use forebay_awswire::ApiError;
use std::sync::Arc;

/// The only version.
pub(super) const LATEST: &str = "$LATEST";

/// The name and the qualifier in `name`, `name:qualifier`, `account:function:name` or an ARN.
pub(super) fn parts(given: &str) -> (&str, Option<&str>) {
    let rest = given.rsplit_once("function:").map_or(given, |(_, rest)| rest);
    match rest.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (rest, None),
    }
}

/// A function's ARN without its qualifier, and the qualifier.
pub(crate) fn split_arn(arn: &str) -> (String, Option<&str>) {
    let (name, qualifier) = parts(arn);
    let own = arn
        .rsplit_once("function:")
        .map_or(String::new(), |(before, _)| format!("{before}function:{name}"));
    (own, qualifier)
}

/// The function with that ARN, which may have a qualifier.
pub(crate) fn by_arn<'a>(region: &'a Region, arn: &str) -> Option<&'a Arc<Function>> {
    let (own, qualifier) = split_arn(arn);
    let function = region.functions.get(parts(arn).0)?;
    (function.arn == own && qualifier.is_none_or(|qualifier| qualifier == LATEST)).then_some(function)
}

/// The function that a call names. There are no versions or aliases: the only qualifier is `$LATEST`.
pub(super) fn named(view: &View<'_>) -> Result<Arc<Function>, ApiError> {
    let input = &view.request.input;
    let given = input["FunctionName"].as_str().unwrap_or_default();
    let (name, within) = parts(given);
    let qualifier = input["Qualifier"].as_str().or(within);
    let arn = own_arn(view, "lambda", &format!("function:{name}"));
    if given.starts_with("arn:") && split_arn(given).0 != arn {
        return Err(no_function(given));
    }
    match qualifier {
        None | Some(LATEST) => {}
        Some(other) => return Err(no_function(&format!("{arn}:{other}"))),
    }
    view.region()
        .functions
        .get(name)
        .cloned()
        .ok_or_else(|| no_function(&arn))
}

/// The name of a function that is being created.
pub(super) fn new_name(view: &View<'_>) -> Result<String, ApiError> {
    let (name, qualifier) = parts(view.request.input["FunctionName"].as_str().unwrap_or_default());
    if name.is_empty() || name.len() > 64 || qualifier.is_some() {
        return Err(invalid(
            "A function's name has 1 to 64 letters, digits, hyphens and underscores.",
        ));
    }
    Ok(name.to_owned())
}
