//! Transforms of rules: conversion from the API's form to the model's, and back.

use crate::api::errors::validation;
use crate::elbv2::rewrite_syntax::{is_meaningless, is_taken};
use forebay_awswire::ApiError;
use forebay_model::{Rewrite, Transform};
use serde::Deserialize;
use serde_json::{Value, json};

/// The most characters of a rewrite's expression, and of its replacement.
const REWRITE_CHARS: usize = 1024;
/// An expression that never matches.
const NOTHING: &str = "[a&&b]";

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RewriteInput {
    regex: String,
    replace: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RewritesInput {
    rewrites: Vec<RewriteInput>,
}

/// A transform as calls give it.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct TransformInput {
    r#type: String,
    host_header_rewrite_config: Option<RewritesInput>,
    url_rewrite_config: Option<RewritesInput>,
}

/// Reads a rule's transforms. The checks, their order and their texts are AWS's.
pub(crate) fn read_transforms(given: Vec<TransformInput>) -> Result<Vec<Transform>, ApiError> {
    let twice = |kind: &str| given.iter().filter(|input| input.r#type == kind).count() > 1;
    if twice("url-rewrite") || twice("host-header-rewrite") {
        return Err(validation("A rule can only have one transform of each type"));
    }
    given.into_iter().map(read_transform).collect()
}

fn read_transform(input: TransformInput) -> Result<Transform, ApiError> {
    let (url, host) = (input.url_rewrite_config, input.host_header_rewrite_config);
    let ((name, config), (other_name, other)) = match input.r#type.as_str() {
        "url-rewrite" => (("UrlRewriteConfig", url), ("HostHeaderRewriteConfig", host)),
        _ => (("HostHeaderRewriteConfig", host), ("UrlRewriteConfig", url)),
    };
    let kind = &input.r#type;
    let Some(config) = config else {
        return Err(validation(format!(
            "For transforms of type '{kind}', you must specify the following field(s): '{name}'"
        )));
    };
    if other.is_some() {
        return Err(validation(format!(
            "A transform of type '{kind}' does not support the following field(s): '{other_name}'"
        )));
    }
    let mut rewrites = config.rewrites.into_iter();
    let (Some(only), None) = (rewrites.next(), rewrites.next()) else {
        return Err(validation("Rule transforms must have exactly one Rewrite"));
    };
    let rewrites = vec![read_rewrite(only)?];
    Ok(match kind.as_str() {
        "url-rewrite" => Transform::Url(rewrites),
        _ => Transform::HostHeader(rewrites),
    })
}

fn read_rewrite(given: RewriteInput) -> Result<Rewrite, ApiError> {
    let RewriteInput { regex, replace } = given;
    let refused = if replace.chars().count() > REWRITE_CHARS {
        "A transform rewrite Replace value must be between 0 and 1024 characters in length"
    } else if !replace.bytes().all(|byte| byte.is_ascii_graphic()) {
        "A transform rewrite Replace value may only consist of non-whitespace printable ASCII characters"
    } else if !(1..=REWRITE_CHARS).contains(&regex.chars().count()) {
        "A transform rewrite Regex value must be between 1 and 1024 characters in length"
    } else if !regex.is_ascii() {
        "Transform rewrite regex values can not be empty, and can only contain non-whitespace ASCII 128 characters"
    } else if !is_taken(&regex) {
        "One or more provided transform rewrite Regex values are invalid"
    } else {
        return Ok(Rewrite { regex, replace });
    };
    Err(validation(refused))
}

/// Transforms for the data plane. An expression that AWS accepts without a documented meaning becomes one that never
/// matches.
pub(crate) fn served(transforms: &[Transform]) -> Vec<Transform> {
    let rewrites = |rewrites: &[Rewrite]| {
        let one = |rewrite: &Rewrite| {
            let mut rewrite = rewrite.clone();
            if is_meaningless(&rewrite.regex) {
                rewrite.regex = NOTHING.to_owned();
            }
            rewrite
        };
        rewrites.iter().map(one).collect()
    };
    let one = |transform: &Transform| match transform {
        Transform::HostHeader(list) => Transform::HostHeader(rewrites(list)),
        Transform::Url(list) => Transform::Url(rewrites(list)),
    };
    transforms.iter().map(one).collect()
}

/// A transform in the API's form.
pub(crate) fn transform_value(transform: &Transform) -> Value {
    let rewrites = |rewrites: &[Rewrite]| {
        let rewrites: Vec<Value> = rewrites
            .iter()
            .map(|rewrite| json!({"Regex": rewrite.regex, "Replace": rewrite.replace}))
            .collect();
        json!({"Rewrites": rewrites})
    };
    match transform {
        Transform::HostHeader(list) => {
            json!({"Type": "host-header-rewrite", "HostHeaderRewriteConfig": rewrites(list)})
        }
        Transform::Url(list) => json!({"Type": "url-rewrite", "UrlRewriteConfig": rewrites(list)}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(given: Value) -> String {
        let given = serde_json::from_value(given).unwrap();
        read_transforms(given).unwrap_err().message
    }

    fn url(regex: &str, replace: &str) -> Value {
        json!({"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": regex, "Replace": replace}]}})
    }

    /// Regression: errors had texts of their own, and types were checked one by one.
    #[test]
    fn refusals_come_in_the_order_and_words_of_aws() {
        let (bare, good) = (json!({"Type": "url-rewrite"}), url("a", "b"));
        let mut both = good.clone();
        both["HostHeaderRewriteConfig"] = json!({"Rewrites": []});
        let host = json!({"Type": "host-header-rewrite", "UrlRewriteConfig": {"Rewrites": []}});
        let none = json!({"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": []}});
        let long = "a".repeat(1025);
        for (given, text) in [
            (
                json!([bare, good]),
                "A rule can only have one transform of each type",
            ),
            (
                json!([bare]),
                "For transforms of type 'url-rewrite', you must specify the following field(s): 'UrlRewriteConfig'",
            ),
            (
                json!([host]),
                "For transforms of type 'host-header-rewrite', you must specify the following field(s): 'HostHeaderRewriteConfig'",
            ),
            (
                json!([both]),
                "A transform of type 'url-rewrite' does not support the following field(s): 'HostHeaderRewriteConfig'",
            ),
            (json!([none]), "Rule transforms must have exactly one Rewrite"),
            (
                json!([url("", &long)]),
                "A transform rewrite Replace value must be between 0 and 1024 characters in length",
            ),
            (
                json!([url("", "a b")]),
                "A transform rewrite Replace value may only consist of non-whitespace printable ASCII characters",
            ),
            (
                json!([url("", "")]),
                "A transform rewrite Regex value must be between 1 and 1024 characters in length",
            ),
            (
                json!([url("é(", "")]),
                "Transform rewrite regex values can not be empty, and can only contain non-whitespace ASCII 128 characters",
            ),
            (
                json!([url("a b", "")]),
                "One or more provided transform rewrite Regex values are invalid",
            ),
            (
                json!([url("(", "")]),
                "One or more provided transform rewrite Regex values are invalid",
            ),
        ] {
            assert_eq!(refused(given), text);
        }
        for replace in [
            "", "$1", "${1}", "${name}", "\\1", "$$", "{host}", "#{host}", "~!",
        ] {
            let given = serde_json::from_value(json!([url("a", replace)])).unwrap();
            assert!(read_transforms(given).is_ok(), "{replace}");
        }
    }

    #[test]
    fn what_means_nothing_is_served_as_matching_nothing() {
        let transform = |regex: &str| {
            let (regex, replace) = (regex.to_owned(), "/".to_owned());
            vec![Transform::Url(vec![Rewrite { regex, replace }])]
        };
        assert_eq!(served(&transform("(?R)")), transform(NOTHING));
        assert_eq!(served(&transform("^/a")), transform("^/a"));
        assert!(is_taken(NOTHING));
    }
}
