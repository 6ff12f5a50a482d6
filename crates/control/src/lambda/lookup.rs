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

/// A function as a call names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Given<'a> {
    region: Option<&'a str>,
    account: Option<&'a str>,
    name: &'a str,
    qualifier: Option<&'a str>,
}

/// Reads an ARN, a partial ARN (`region:account:function:name`, each of the first three optional) or a name, each with or
/// without a qualifier. The positions between colons decide, because a function can itself be named `function`.
fn parse(given: &str) -> Option<Given<'_>> {
    let pieces: Vec<&str> = given.split(':').collect();
    let is_account = |piece: &str| piece.len() == 12 && piece.bytes().all(|byte| byte.is_ascii_digit());
    let (region, account, rest) = match pieces.as_slice() {
        ["arn", _, "lambda", region, account, "function", rest @ ..] => (Some(*region), Some(*account), rest),
        ["arn", _, ..] => return None,
        [region, account, rest @ ..] if *region != "function" && is_account(account) && !rest.is_empty() => {
            (Some(*region), Some(*account), rest)
        }
        [account, rest @ ..] if is_account(account) && !rest.is_empty() => (None, Some(*account), rest),
        rest => (None, None, rest),
    };
    let rest = match rest {
        // In an ARN it was taken already, and here would be a name with a qualifier.
        ["function", rest @ ..] if !given.starts_with("arn:") && !rest.is_empty() => rest,
        rest => rest,
    };
    let (name, qualifier) = match rest {
        [name] => (*name, None),
        [name, qualifier] => (*name, Some(*qualifier)),
        _ => return None,
    };
    Some(Given {
        region,
        account,
        name,
        qualifier,
    })
}

/// The ARN without that qualifier at its end.
fn unqualified<'a>(arn: &'a str, qualifier: Option<&str>) -> &'a str {
    let length = qualifier.map_or(0, |qualifier| qualifier.len() + 1);
    &arn[..arn.len() - length]
}

/// The function with that ARN, which may have a qualifier.
pub(crate) fn by_arn<'a>(region: &'a Region, arn: &str) -> Option<&'a Arc<Function>> {
    let Given { name, qualifier, .. } = parse(arn)?;
    let function = region.functions.get(name)?;
    let is_latest = qualifier.is_none_or(|qualifier| qualifier == LATEST);
    (function.arn == unqualified(arn, qualifier) && is_latest).then_some(function)
}

/// Whether a function of that name, given as a call names it, would be one of the call's own account and region.
fn is_own(view: &View<'_>, given: &str, parsed: Given<'_>) -> bool {
    let arn = own_arn(view, "lambda", &format!("function:{}", parsed.name));
    if given.starts_with("arn:") {
        return arn == unqualified(given, parsed.qualifier);
    }
    let own = parse(&arn);
    own.is_some_and(|own| {
        parsed.region.is_none_or(|_| parsed.region == own.region)
            && parsed.account.is_none_or(|_| parsed.account == own.account)
    })
}

/// The qualifier that a call gives, as a parameter or behind the name.
pub(super) fn qualifier<'a>(view: &'a View<'_>) -> Option<&'a str> {
    let input = &view.request.input;
    let within = || parse(input["FunctionName"].as_str().unwrap_or_default())?.qualifier;
    input["Qualifier"].as_str().or_else(within)
}

/// The function that a call names. There are no versions or aliases: the only qualifier is `$LATEST`.
pub(super) fn named(view: &View<'_>) -> Result<Arc<Function>, ApiError> {
    let given = view.request.input["FunctionName"].as_str().unwrap_or_default();
    let Some(parsed) = parse(given).filter(|parsed| is_own(view, given, *parsed)) else {
        return Err(no_function(given));
    };
    let name = parsed.name;
    let arn = own_arn(view, "lambda", &format!("function:{name}"));
    match qualifier(view) {
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
    let given = view.request.input["FunctionName"].as_str().unwrap_or_default();
    let fits = |name: &str| {
        let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=64).contains(&name.len()) && name.bytes().all(is_usual)
    };
    let Some(parsed) = parse(given).filter(|parsed| parsed.qualifier.is_none() && fits(parsed.name)) else {
        return Err(invalid(
            "A function's name has 1 to 64 letters, digits, hyphens and underscores.",
        ));
    };
    if !is_own(view, given, parsed) {
        return Err(invalid(format!(
            "A function is created in the account and the region of the call, and {given} names others: give its name only."
        )));
    }
    Ok(parsed.name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_by_position() {
        let read = |given| parse(given).map(|one| (one.region, one.account, one.name, one.qualifier));
        let (here, me) = (Some("local-1"), Some("123456789012"));
        for (given, expected) in [
            ("f", (None, None, "f", None)),
            ("f:1", (None, None, "f", Some("1"))),
            ("function", (None, None, "function", None)),
            ("function:f", (None, None, "f", None)),
            ("function:function:1", (None, None, "function", Some("1"))),
            (
                "my-function:$LATEST",
                (None, None, "my-function", Some("$LATEST")),
            ),
            ("123456789012", (None, None, "123456789012", None)),
            ("123456789012:function:f", (None, me, "f", None)),
            ("123456789012:f:1", (None, me, "f", Some("1"))),
            ("local-1:123456789012:function:f:1", (here, me, "f", Some("1"))),
            (
                "arn:aws:lambda:local-1:123456789012:function:f",
                (here, me, "f", None),
            ),
            (
                "arn:aws:lambda:local-1:123456789012:function:my-function:$LATEST",
                (here, me, "my-function", Some("$LATEST")),
            ),
            (
                "arn:aws:lambda:local-1:123456789012:function:function:1",
                (here, me, "function", Some("1")),
            ),
        ] {
            assert_eq!(read(given), Some(expected), "{given}");
        }
        for given in [
            "arn:aws:sqs:local-1:123456789012:f",
            "arn:aws:lambda:local-1:123456789012:layer:f",
            "arn:aws:lambda:local-1:123456789012:function",
            "f:1:2",
        ] {
            assert_eq!(read(given), None, "{given}");
        }
    }
}
