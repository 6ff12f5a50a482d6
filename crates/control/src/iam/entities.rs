//! What all IAM entities share: names, paths, documents, errors and pages.

use crate::api::context::{Tx, View};
use crate::api::errors::error;
use crate::api::paging::cut;
use crate::records::Tags;
use forebay_awswire::ApiError;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

/// The default page size.
const PAGE: usize = 100;
/// The most tags of an entity (AWS's quota).
const TAGS: usize = 50;
/// The most bytes of a trust policy (AWS's quota, which does not count white space; here it counts).
pub(super) const LONGEST_TRUST: usize = 8192;
/// The most bytes of a managed or inline policy, likewise.
pub(super) const LONGEST_POLICY: usize = 10_240;

/// The characters that are encoded in documents: all but those that RFC 3986 leaves unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The members of all calls' inputs.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Given {
    pub(super) role_name: Option<String>,
    pub(super) policy_name: Option<String>,
    pub(super) policy_arn: Option<String>,
    pub(super) version_id: Option<String>,
    pub(super) instance_profile_name: Option<String>,
    pub(super) path: Option<String>,
    pub(super) path_prefix: Option<String>,
    pub(super) assume_role_policy_document: Option<String>,
    pub(super) policy_document: Option<String>,
    pub(super) description: Option<String>,
    pub(super) max_session_duration: Option<i64>,
    pub(super) permissions_boundary: Option<String>,
    #[serde(default)]
    pub(super) set_as_default: bool,
    pub(super) scope: Option<String>,
    #[serde(default)]
    pub(super) only_attached: bool,
    #[serde(default)]
    pub(super) tags: Value,
    #[serde(default)]
    pub(super) tag_keys: Vec<String>,
    marker: Option<String>,
    max_items: Option<usize>,
}

impl Given {
    /// The path of a new entity.
    pub(super) fn new_path(&self) -> String {
        self.path.clone().unwrap_or_else(|| "/".to_owned())
    }

    /// Whether the path prefix in the call selects this path.
    pub(super) fn wants(&self, path: &str) -> bool {
        self.path_prefix
            .as_deref()
            .is_none_or(|prefix| path.starts_with(prefix))
    }

    /// The requested page of a sorted list under this name, with the next page's marker.
    pub(super) fn page<T>(
        &self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        key: impl Fn(&T) -> String,
        shown: impl Fn(&T) -> Value,
    ) -> Value {
        let after = self.marker.as_deref().unwrap_or_default();
        let (page, next) = cut(items, key, after, self.max_items.unwrap_or(PAGE));
        let shown: Vec<Value> = page.iter().map(shown).collect();
        let mut answer = json!({name: shown, "IsTruncated": next.is_some()});
        if let Some(last) = next {
            answer["Marker"] = json!(last);
        }
        answer
    }
}

/// An entity's id, such as AROA and 17 more characters.
pub(super) fn new_id(tx: &mut Tx<'_>, prefix: &str) -> String {
    format!("{prefix}{}", tx.rng.hex(17).to_ascii_uppercase())
}

pub(super) fn no_such(what: &str, name: &str) -> ApiError {
    error(
        "NoSuchEntity",
        format!("The {what} with name {name} cannot be found."),
    )
    .with_status(404)
}

pub(super) fn exists(what: &str, name: &str) -> ApiError {
    error(
        "EntityAlreadyExists",
        format!("{what} with name {name} already exists."),
    )
    .with_status(409)
}

pub(super) fn conflict(why: impl Into<String>) -> ApiError {
    error("DeleteConflict", why).with_status(409)
}

pub(super) fn limit(why: impl Into<String>) -> ApiError {
    error("LimitExceeded", why).with_status(409)
}

/// Checks a policy document: JSON with statements. The statements are not enforced, so they are not checked further.
pub(super) fn document(text: Option<&str>, longest: usize) -> Result<String, ApiError> {
    let text = text.unwrap_or_default();
    let malformed = |why: &str| error("MalformedPolicyDocument", why);
    if text.len() > longest {
        return Err(limit(format!(
            "A policy document can have {longest} bytes at most here."
        )));
    }
    let parsed: Value =
        serde_json::from_str(text).map_err(|_| malformed("This policy contains invalid Json"))?;
    let statements = match &parsed["Statement"] {
        Value::Array(statements) => statements.iter().collect(),
        Value::Object(_) => vec![&parsed["Statement"]],
        _ => Vec::new(),
    };
    if statements.is_empty() {
        return Err(malformed("Syntax errors in policy: it has no Statement."));
    }
    if !statements
        .iter()
        .all(|one| one["Effect"] == "Allow" || one["Effect"] == "Deny")
    {
        return Err(malformed(
            "Syntax errors in policy: a statement's Effect is Allow or Deny.",
        ));
    }
    Ok(text.to_owned())
}

/// A document as answers show it: URL-encoded.
pub(super) fn encoded(document: &str) -> Value {
    json!(utf8_percent_encode(document, ENCODED).to_string())
}

/// The given tags, merged with the existing ones.
pub(super) fn with_tags(given: &Value, mut tags: Tags) -> Result<Tags, ApiError> {
    for tag in given.as_array().into_iter().flatten() {
        let text = |member: &str| tag[member].as_str().unwrap_or_default().to_owned();
        tags.insert(text("Key"), text("Value"));
    }
    if tags.len() > TAGS {
        return Err(limit("The number of tags has reached the maximum limit."));
    }
    Ok(tags)
}

/// The tags of an entity as answers show them.
pub(super) fn tags_of(view: &View<'_>, arn: &str) -> Value {
    view.home().tags.get(arn).map_or_else(
        || json!([]),
        |tags| {
            let shown = tags
                .iter()
                .map(|(key, value)| json!({"Key": key, "Value": value}));
            Value::Array(shown.collect())
        },
    )
}

/// A time as answers show it.
pub(super) fn seconds(at: forebay_units::Wall) -> Value {
    json!(at.0 as f64 / 1e6)
}
