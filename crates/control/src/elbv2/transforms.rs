//! Transforms of rules: from the API's words to the model's, and back.

use crate::elbv2::errors::validation;
use forebay_awswire::ApiError;
use forebay_model::{Rewrite, Transform};
use serde::Deserialize;
use serde_json::{Value, json};

/// Characters of a rewrite's expression and replacement.
const REWRITE_CHARS: usize = 1024;

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

/// Reads a rule's transforms: at most one of each type.
pub(crate) fn read_transforms(given: Vec<TransformInput>) -> Result<Vec<Transform>, ApiError> {
    let mut transforms: Vec<Transform> = Vec::new();
    for input in given {
        let (wanted, config) = match input.r#type.as_str() {
            "host-header-rewrite" => ("HostHeaderRewriteConfig", input.host_header_rewrite_config),
            "url-rewrite" => ("UrlRewriteConfig", input.url_rewrite_config),
            other => return Err(validation(format!("Transform type '{other}' is not known"))),
        };
        let config = config.filter(|config| !config.rewrites.is_empty());
        let Some(config) = config else {
            let text = format!(
                "A '{wanted}' with a rewrite must be specified with '{}'",
                input.r#type
            );
            return Err(validation(text));
        };
        if config.rewrites.len() > 1 {
            return Err(validation(format!(
                "Only one rewrite can be specified in '{wanted}'"
            )));
        }
        let rewrites = config
            .rewrites
            .into_iter()
            .map(read_rewrite)
            .collect::<Result<Vec<_>, _>>()?;
        let transform = if input.r#type == "url-rewrite" {
            Transform::Url(rewrites)
        } else {
            Transform::HostHeader(rewrites)
        };
        if transforms
            .iter()
            .any(|other| core::mem::discriminant(other) == core::mem::discriminant(&transform))
        {
            return Err(validation(format!(
                "Only one '{}' transform can be specified",
                input.r#type
            )));
        }
        transforms.push(transform);
    }
    Ok(transforms)
}

fn read_rewrite(given: RewriteInput) -> Result<Rewrite, ApiError> {
    for (name, text) in [("Regex", &given.regex), ("Replace", &given.replace)] {
        if text.chars().count() > REWRITE_CHARS {
            return Err(validation(format!(
                "The '{name}' value is too long; the limit is '{REWRITE_CHARS}'"
            )));
        }
    }
    if given.regex.is_empty() {
        return Err(validation("A 'Regex' must be specified in a rewrite"));
    }
    Ok(Rewrite {
        regex: given.regex,
        replace: given.replace,
    })
}

/// A transform in the API's words.
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
