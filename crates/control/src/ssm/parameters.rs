//! Parameters: put, get and delete them. Besides those of users there are AWS's public ones that name the newest
//! images; here they name Forebay's image.

use super::names::{self, Asked};
use super::records::{Parameter, Version};
use crate::api::arns::own_arn;
use crate::api::context::{Tx, View};
use crate::api::errors::error;
use crate::api::tagging::{put_tags, stored_tags};
use crate::ec2::instance_view::own_image;
use crate::records::Tags;
use forebay_awswire::ApiError;
use forebay_units::Wall;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The prefix of AWS's public parameters with image ids.
const IMAGES: &str = "/aws/service/ami-";
/// The most bytes of a value of the standard tier.
const STANDARD: usize = 4096;
/// The most bytes of a value of the advanced tier.
const ADVANCED: usize = 8192;
/// How many versions are kept. A new one drops the oldest.
const VERSIONS: usize = 100;
/// The most parameters of a region (AWS's quota of standard ones).
const PARAMETERS: usize = 10_000;
/// The most tags of a parameter.
const TAGS: usize = 50;

pub(super) fn validation(message: impl Into<String>) -> ApiError {
    error("ValidationException", message)
}

pub(super) fn not_found(name: &str) -> ApiError {
    error("ParameterNotFound", format!("There is no parameter '{name}'."))
}

/// A time as answers show it.
pub(super) fn seconds(at: Wall) -> Value {
    json!(at.0 as f64 / 1e6)
}

/// The key of a parameter's tags.
pub(super) fn tag_key(view: &View<'_>, name: &str) -> String {
    own_arn(view, "ssm", &names::resource(name))
}

/// A version's value as answers show it. A secure string is shown only to callers that ask for decryption; others get a
/// text that reveals nothing.
pub(super) fn shown_value(version: &Version, decrypted: bool) -> String {
    if version.kind == "SecureString" && !decrypted {
        "(encrypted: ask for it with WithDecryption)".to_owned()
    } else {
        version.value.clone()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutInput {
    name: String,
    value: String,
    #[serde(rename = "Type")]
    kind: Option<String>,
    description: Option<String>,
    key_id: Option<String>,
    #[serde(default)]
    overwrite: bool,
    allowed_pattern: Option<String>,
    #[serde(default)]
    tags: Value,
    tier: Option<String>,
    policies: Option<String>,
    data_type: Option<String>,
}

/// The tier of a new value.
fn tier(given: Option<&str>, before: Option<&str>, length: usize) -> Result<&'static str, ApiError> {
    let asked = given.unwrap_or_else(|| before.unwrap_or("Standard"));
    let tier = match asked {
        "Advanced" => "Advanced",
        "Intelligent-Tiering" if length > STANDARD => "Advanced",
        _ if before == Some("Advanced") => {
            return Err(validation(
                "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the \
                 standard-parameter tier.",
            ));
        }
        _ => "Standard",
    };
    let most = if tier == "Advanced" { ADVANCED } else { STANDARD };
    if length > most {
        return Err(validation(format!(
            "Value has {length} bytes, and a parameter of the tier {tier} can have {most} at most."
        )));
    }
    Ok(tier)
}

fn fits(pattern: &str, value: &str) -> Result<(), ApiError> {
    let wrong = || {
        error(
            "InvalidAllowedPatternException",
            format!("'{pattern}' is not a valid regular expression."),
        )
    };
    let whole = regex::RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(1 << 20)
        .build()
        .map_err(|_| wrong())?;
    if whole.is_match(value) {
        return Ok(());
    }
    Err(error(
        "ParameterPatternMismatchException",
        format!("Parameter value, cannot be validated against allowedPattern: {pattern}"),
    ))
}

fn tags_of(given: &Value) -> Result<Tags, ApiError> {
    let tags = given.as_array().into_iter().flatten().map(|tag| {
        let text = |name: &str| tag[name].as_str().unwrap_or_default().to_owned();
        (text("Key"), text("Value"))
    });
    let tags: Tags = tags.collect();
    if tags.len() > TAGS {
        return Err(validation(format!("A parameter can have {TAGS} tags at most.")));
    }
    Ok(tags)
}

pub(crate) fn put(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: PutInput = tx.input()?;
    let Asked { name, selector } = names::asked(&given.name);
    if selector.is_some() {
        return Err(validation(
            "A parameter is put without a version or a label behind its name.",
        ));
    }
    names::check(name)?;
    if given
        .policies
        .as_deref()
        .is_some_and(|policies| !policies.is_empty())
    {
        return Err(error(
            "PoliciesLimitExceededException",
            "Parameter policies (expiration, notification) are not supported by Forebay: leave Policies out.",
        ));
    }
    let before = tx.region().parameters.get(name).cloned();
    if before.is_some() && !given.overwrite {
        return Err(error(
            "ParameterAlreadyExists",
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
        ));
    }
    if before.is_some() && given.tags.as_array().is_some_and(|tags| !tags.is_empty()) {
        return Err(validation(
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. To \
             update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.",
        ));
    }
    if before.is_none() && tx.region().parameters.len() >= PARAMETERS {
        return Err(error(
            "ParameterLimitExceeded",
            format!("There are {PARAMETERS} parameters, and no more can be."),
        ));
    }
    let (name, tags) = (name.to_owned(), tags_of(&given.tags)?);
    let version = version(tx, given, before.as_deref())?;
    let answer = json!({"Version": version.number, "Tier": version.tier});
    let mut parameter = before.map_or_else(
        || Parameter {
            name: name.clone(),
            versions: Vec::new(),
        },
        |before| (*before).clone(),
    );
    parameter.versions.push(version);
    if parameter.versions.len() > VERSIONS {
        if !parameter.versions[0].labels.is_empty() {
            return Err(error(
                "ParameterMaxVersionLimitExceeded",
                format!("The oldest of {VERSIONS} versions has a label: move that to a newer one first."),
            ));
        }
        parameter.versions.remove(0);
    }
    let key = tag_key(tx, &name);
    if !tags.is_empty() {
        put_tags(tx.region_mut(), &key, tags);
    }
    tx.region_mut().parameters.insert(name, Arc::new(parameter));
    Ok(answer)
}

/// The version that a call creates.
fn version(tx: &Tx<'_>, given: PutInput, before: Option<&Parameter>) -> Result<Version, ApiError> {
    let newest = before.and_then(Parameter::newest);
    let kind = match (given.kind, newest) {
        (Some(kind), _) => kind,
        (None, Some(newest)) => newest.kind.clone(),
        (None, None) => {
            return Err(validation(
                "A parameter type is required when you create a parameter.",
            ));
        }
    };
    if given.value.is_empty() {
        return Err(validation("Value must have at least one character."));
    }
    let pattern = given
        .allowed_pattern
        .or_else(|| newest.and_then(|newest| newest.allowed_pattern.clone()));
    if let Some(pattern) = pattern.as_deref().filter(|pattern| !pattern.is_empty()) {
        fits(pattern, &given.value)?;
    }
    let data_type = given.data_type.unwrap_or_else(|| "text".to_owned());
    if !["text", "aws:ec2:image", "aws:ssm:integration"].contains(&data_type.as_str()) {
        return Err(validation(format!(
            "The following data type is not supported: {data_type} (Data type names are all lowercase.)"
        )));
    }
    let is_secure = kind == "SecureString";
    Ok(Version {
        number: newest.map_or(1, |newest| newest.number + 1),
        tier: tier(
            given.tier.as_deref(),
            newest.map(|newest| newest.tier.as_str()),
            given.value.len(),
        )?
        .to_owned(),
        value: given.value,
        key_id: is_secure.then(|| given.key_id.unwrap_or_else(|| "alias/aws/ssm".to_owned())),
        kind,
        description: given
            .description
            .or_else(|| newest.and_then(|newest| newest.description.clone())),
        allowed_pattern: pattern,
        data_type,
        modified: tx.request.now,
        modified_by: format!("arn:aws:iam::{}:user/{}", tx.request.account, tx.request.caller),
        labels: Vec::new(),
    })
}

/// A public parameter; `None` if there is none with that name.
fn public(view: &View<'_>, name: &str) -> Option<Value> {
    let region = view.request.region;
    name.starts_with(IMAGES).then(|| {
        json!({
            "Name": name,
            "Type": "String",
            "Value": own_image(region),
            "Version": 1,
            "DataType": "aws:ec2:image",
            "LastModifiedDate": 1_704_067_200,
            "ARN": format!("arn:aws:ssm:{region}::parameter{name}"),
        })
    })
}

/// A version as reads show it.
pub(super) fn shown(view: &View<'_>, parameter: &Parameter, version: &Version, decrypted: bool) -> Value {
    json!({
        "Name": parameter.name,
        "Type": version.kind,
        "Value": shown_value(version, decrypted),
        "Version": version.number,
        "DataType": version.data_type,
        "LastModifiedDate": seconds(version.modified),
        "ARN": tag_key(view, &parameter.name),
    })
}

fn find(view: &View<'_>, text: &str, decrypted: bool) -> Result<Value, ApiError> {
    if let Some(found) = public(view, text) {
        return Ok(found);
    }
    let Asked { name, selector } = names::asked(text);
    let parameter = view
        .region()
        .parameters
        .get(name)
        .ok_or_else(|| not_found(name))?;
    let version = match selector {
        None => parameter.newest(),
        Some(selector) => {
            let number = selector.parse::<u64>().ok();
            let is_it = |version: &&Version| match number {
                Some(number) => version.number == number,
                None => version.labels.iter().any(|label| label == selector),
            };
            parameter.versions.iter().find(is_it)
        }
    };
    let version = version.ok_or_else(|| {
        error(
            "ParameterVersionNotFound",
            format!(
                "Systems Manager could not find version {} of {name}.",
                selector.unwrap_or_default()
            ),
        )
    })?;
    let mut found = shown(view, parameter, version, decrypted);
    if let Some(selector) = selector {
        found["Selector"] = json!(format!(":{selector}"));
    }
    Ok(found)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetInput {
    name: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    with_decryption: bool,
}

pub(crate) fn get(view: &View<'_>) -> Result<Value, ApiError> {
    let given: GetInput = view.input()?;
    let name = given.name.unwrap_or_default();
    Ok(json!({"Parameter": find(view, &name, given.with_decryption)?}))
}

pub(crate) fn get_many(view: &View<'_>) -> Result<Value, ApiError> {
    let given: GetInput = view.input()?;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in given.names {
        match find(view, &name, given.with_decryption) {
            Ok(parameter) => found.push(parameter),
            Err(_) => missing.push(name),
        }
    }
    Ok(json!({"Parameters": found, "InvalidParameters": missing}))
}

fn remove(tx: &mut Tx<'_>, text: &str) -> bool {
    let name = names::asked(text).name;
    if tx.region_mut().parameters.remove(name).is_none() {
        return false;
    }
    let key = tag_key(tx, name);
    put_tags(tx.region_mut(), &key, Tags::new());
    true
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let name = tx.input::<GetInput>()?.name.unwrap_or_default();
    if remove(tx, &name) {
        Ok(json!({}))
    } else {
        Err(not_found(&name))
    }
}

pub(crate) fn delete_many(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let names = tx.input::<GetInput>()?.names;
    let (gone, missing): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| remove(tx, name));
    Ok(json!({"DeletedParameters": gone, "InvalidParameters": missing}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagInput {
    resource_type: String,
    resource_id: String,
    #[serde(default)]
    tags: Value,
    #[serde(default)]
    tag_keys: Vec<String>,
}

/// The key of the tags of the resource in a call.
fn tagged(view: &View<'_>, given: &TagInput) -> Result<String, ApiError> {
    if given.resource_type != "Parameter" {
        return Err(error(
            "InvalidResourceType",
            format!(
                "Resources of the type {} are not supported by Forebay, only those of the type Parameter.",
                given.resource_type
            ),
        ));
    }
    let name = names::asked(&given.resource_id).name;
    if !view.region().parameters.contains_key(name) {
        return Err(error(
            "InvalidResourceId",
            format!("There is no parameter '{name}'."),
        ));
    }
    Ok(tag_key(view, name))
}

pub(crate) fn add_tags(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: TagInput = tx.input()?;
    let key = tagged(tx, &given)?;
    let mut tags = stored_tags(tx.region(), &key);
    tags.extend(tags_of(&given.tags)?);
    if tags.len() > TAGS {
        return Err(error(
            "TooManyTagsError",
            format!("A parameter can have {TAGS} tags at most."),
        ));
    }
    put_tags(tx.region_mut(), &key, tags);
    Ok(json!({}))
}

pub(crate) fn remove_tags(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: TagInput = tx.input()?;
    let key = tagged(tx, &given)?;
    let mut tags = stored_tags(tx.region(), &key);
    for name in &given.tag_keys {
        tags.remove(name);
    }
    put_tags(tx.region_mut(), &key, tags);
    Ok(json!({}))
}

pub(crate) fn list_tags(view: &View<'_>) -> Result<Value, ApiError> {
    let given: TagInput = view.input()?;
    let key = tagged(view, &given)?;
    Ok(json!({"TagList": crate::api::tagging::tags_value(view.region(), &key)}))
}
