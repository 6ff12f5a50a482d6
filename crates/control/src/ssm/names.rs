//! Names of parameters, and how calls refer to versions.

use crate::api::errors::error;
use forebay_awswire::ApiError;

/// The longest name of a parameter: AWS's limit for the whole ARN, minus the part before the name.
const LONGEST: usize = 1011;
/// The most levels of a hierarchy.
const LEVELS: usize = 15;

fn validation(message: impl Into<String>) -> ApiError {
    error("ValidationException", message)
}

/// Checks the name of a new parameter.
pub(super) fn check(name: &str) -> Result<(), ApiError> {
    let first = name.trim_start_matches('/').to_ascii_lowercase();
    for prefix in ["aws", "ssm"] {
        if first.starts_with(prefix) {
            return Err(if name.starts_with('/') || prefix == "ssm" {
                validation(format!(
                    "Parameter name: can't be prefixed with \"{prefix}\" (case-insensitive)."
                ))
            } else {
                error(
                    "AccessDeniedException",
                    format!("No access to reserved parameter name: {name}."),
                )
            });
        }
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_allowed) || name.contains("//") || name.ends_with('/') {
        return Err(validation(
            "Parameter name: can't be empty, must not end with a slash or have two in a row, and can only include letters, numbers and the \
             following symbols: a period (.), a hyphen (-), an underscore (_) and a slash (/).",
        ));
    }
    if name.len() > LONGEST {
        return Err(validation(format!(
            "Parameter name: can have {LONGEST} characters at most."
        )));
    }
    if name.contains('/') && !name.starts_with('/') {
        return Err(validation(
            "Parameter name must be a fully qualified name: one with a slash begins with a slash.",
        ));
    }
    if name.matches('/').count() > LEVELS {
        return Err(error(
            "HierarchyLevelLimitExceededException",
            format!("A parameter's name can have {LEVELS} levels at most."),
        ));
    }
    Ok(())
}

/// A reference to a parameter: its name, and which version.
pub(super) struct Asked<'a> {
    pub(super) name: &'a str,
    /// The version number or label, without the colon.
    pub(super) selector: Option<&'a str>,
}

/// Parses a name or an ARN, possibly followed by a version or a label.
pub(super) fn asked(text: &str) -> Asked<'_> {
    // arn:aws:ssm:REGION:ACCOUNT:parameter/NAME[:SELECTOR]
    let rest = match text
        .strip_prefix("arn:")
        .and_then(|arn| arn.splitn(5, ':').nth(4))
    {
        Some(resource) => resource.strip_prefix("parameter").unwrap_or(resource),
        None => text,
    };
    // The ARN of a name without hierarchy has a slash that is not part of the name.
    let own = if text.starts_with("arn:") && rest.matches('/').count() == 1 {
        rest.trim_start_matches('/')
    } else {
        rest
    };
    match own.split_once(':') {
        Some((name, selector)) => Asked {
            name,
            selector: Some(selector),
        },
        None => Asked {
            name: own,
            selector: None,
        },
    }
}

/// The resource part of a parameter's ARN.
pub(super) fn resource(name: &str) -> String {
    if name.starts_with('/') {
        format!("parameter{name}")
    } else {
        format!("parameter/{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_aws_has_them() {
        for good in ["queue", "/app/queue", "/a.b/c-d/e_f", "x"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for wrong in ["", "a/b", "/a//b", "/a/", "a b", "/aws/x", "ssm-x", "AWSx", "a:b"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert!(check(&"/a".repeat(15)).is_ok());
        assert_eq!(
            check(&"/a".repeat(16)).unwrap_err().code,
            "HierarchyLevelLimitExceededException"
        );
    }

    #[test]
    fn names_arns_and_selectors_are_told_apart() {
        let found = |text: &str| {
            let asked = asked(text);
            (asked.name.to_owned(), asked.selector.map(str::to_owned))
        };
        assert_eq!(found("queue"), ("queue".to_owned(), None));
        assert_eq!(found("/a/b:3"), ("/a/b".to_owned(), Some("3".to_owned())));
        let arn = "arn:aws:ssm:local-1:123456789012:parameter/";
        assert_eq!(found(&format!("{arn}queue")), ("queue".to_owned(), None));
        assert_eq!(
            found(&format!("{arn}a/b:live")),
            ("/a/b".to_owned(), Some("live".to_owned()))
        );
    }
}
