//! Lists of parameters: below a path, by filters, and all versions of one.

use super::names;
use super::parameters::{not_found, seconds, shown, shown_value, tag_key, validation};
use super::records::{Parameter, Version};
use crate::api::context::{Tx, View};
use crate::api::errors::error;
use crate::api::paging::{after, cut, sealed};
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The default page size.
const PAGE: usize = 10;
/// The most labels of a version.
const LABELS: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListInput {
    name: Option<String>,
    path: Option<String>,
    #[serde(default)]
    recursive: bool,
    #[serde(default)]
    with_decryption: bool,
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    parameter_filters: Vec<Filter>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: String,
    option: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

impl ListInput {
    /// The name after which this page begins.
    fn after(&self, view: &View<'_>) -> Result<String, ApiError> {
        after(view, self.next_token.as_deref(), |_| {
            error("InvalidNextToken", "The specified token is not valid.")
        })
    }

    fn size(&self) -> usize {
        self.max_results.unwrap_or(PAGE)
    }
}

fn answer(view: &View<'_>, items: Vec<Value>, next: Option<String>) -> Value {
    let mut answer = json!({"Parameters": items});
    if let Some(last) = next {
        answer["NextToken"] = json!(sealed(view, &last));
    }
    answer
}

/// Whether a name is below a path, directly or at any depth.
fn is_below(name: &str, path: &str, recursive: bool) -> bool {
    let rest = match path.trim_end_matches('/') {
        "" => name.strip_prefix('/').or(Some(name)),
        path => name.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')),
    };
    rest.is_some_and(|rest| recursive || !rest.contains('/'))
}

impl Filter {
    /// Whether the filters match a parameter.
    fn fits(&self, view: &View<'_>, parameter: &Parameter, version: &Version) -> Result<bool, ApiError> {
        let any = |is_it: &dyn Fn(&str) -> bool| self.values.iter().any(|value| is_it(value));
        if let Some(name) = self.key.strip_prefix("tag:") {
            let tags = crate::api::tagging::stored_tags(view.region(), &tag_key(view, &parameter.name));
            let held = tags.get(name);
            return Ok(held.is_some_and(|held| self.values.is_empty() || any(&|value| value == held)));
        }
        Ok(match (self.key.as_str(), self.option.as_deref()) {
            ("Name", Some("Contains")) => any(&|value| parameter.name.contains(value)),
            ("Name", Some("BeginsWith")) => any(&|value| {
                parameter
                    .name
                    .trim_start_matches('/')
                    .starts_with(value.trim_start_matches('/'))
            }),
            ("Name", None | Some("Equals")) => {
                any(&|value| parameter.name.trim_start_matches('/') == value.trim_start_matches('/'))
            }
            ("Path", Some("Recursive")) => any(&|value| is_below(&parameter.name, value, true)),
            ("Path", None | Some("OneLevel")) => any(&|value| is_below(&parameter.name, value, false)),
            ("Type", None | Some("Equals")) => any(&|value| value == version.kind),
            ("Tier", None | Some("Equals")) => any(&|value| value == version.tier),
            ("DataType", None | Some("Equals")) => any(&|value| value == version.data_type),
            ("KeyId", None | Some("Equals")) => any(&|value| Some(value) == version.key_id.as_deref()),
            ("Label", None | Some("Equals")) => {
                any(&|value| version.labels.iter().any(|label| label == value))
            }
            ("Name" | "Path" | "Type" | "Tier" | "DataType" | "KeyId" | "Label", Some(option)) => {
                return Err(error(
                    "InvalidFilterOption",
                    format!("The option {option} is not one of the filter {}.", self.key),
                ));
            }
            (key, _) => {
                return Err(error(
                    "InvalidFilterKey",
                    format!(
                        "There is no filter {key}: use Name, Path, Type, Tier, DataType, KeyId, Label or tag:NAME."
                    ),
                ));
            }
        })
    }
}

/// The parameters that match all filters, each with its current version.
fn filtered<'a>(
    view: &'a View<'_>,
    filters: &[&Filter],
) -> Result<Vec<(&'a Arc<Parameter>, &'a Version)>, ApiError> {
    let mut found = Vec::new();
    for parameter in view.region().parameters.values() {
        let Some(version) = parameter.newest() else {
            continue;
        };
        let mut is_meant = true;
        for filter in filters {
            is_meant = is_meant && filter.fits(view, parameter, version)?;
        }
        if is_meant {
            found.push((parameter, version));
        }
    }
    Ok(found)
}

pub(crate) fn by_path(view: &View<'_>) -> Result<Value, ApiError> {
    let given: ListInput = view.input()?;
    let path = given.path.clone().unwrap_or_default();
    if !path.starts_with('/') {
        return Err(validation(
            "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\".",
        ));
    }
    if let Some(filter) = given
        .parameter_filters
        .iter()
        .find(|filter| !["Type", "KeyId", "Label"].contains(&filter.key.as_str()))
    {
        return Err(error(
            "InvalidFilterKey",
            format!(
                "The filter {} is none of GetParametersByPath, which has Type, KeyId and Label.",
                filter.key
            ),
        ));
    }
    let filters: Vec<&Filter> = given.parameter_filters.iter().collect();
    let found = filtered(view, &filters)?;
    let below = found
        .into_iter()
        .filter(|(parameter, _)| is_below(&parameter.name, &path, given.recursive));
    let (page, next) = cut(
        below,
        |(parameter, _)| parameter.name.clone(),
        &given.after(view)?,
        given.size(),
    );
    let items = page
        .iter()
        .map(|(parameter, version)| shown(view, parameter, version, given.with_decryption));
    Ok(answer(view, items.collect(), next))
}

/// A version's metadata in lists and histories.
fn facts(parameter: &Parameter, version: &Version) -> Value {
    let mut facts = json!({
        "Name": parameter.name,
        "Type": version.kind,
        "LastModifiedDate": seconds(version.modified),
        "LastModifiedUser": version.modified_by,
        "Version": version.number,
        "Tier": version.tier,
        "DataType": version.data_type,
        "Policies": [],
    });
    let more = [
        ("KeyId", &version.key_id),
        ("Description", &version.description),
        ("AllowedPattern", &version.allowed_pattern),
    ];
    for (name, text) in more {
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            facts[name] = json!(text);
        }
    }
    facts
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let given: ListInput = view.input()?;
    if !given.filters.is_empty() && !given.parameter_filters.is_empty() {
        return Err(validation(
            "You can use either Filters or ParameterFilters in a single request.",
        ));
    }
    let filters: Vec<&Filter> = given.filters.iter().chain(&given.parameter_filters).collect();
    let found = filtered(view, &filters)?;
    let (page, next) = cut(
        found,
        |(parameter, _)| parameter.name.clone(),
        &given.after(view)?,
        given.size(),
    );
    let items = page.iter().map(|(parameter, version)| {
        let mut facts = facts(parameter, version);
        facts["ARN"] = json!(tag_key(view, &parameter.name));
        facts
    });
    Ok(answer(view, items.collect(), next))
}

pub(crate) fn history(view: &View<'_>) -> Result<Value, ApiError> {
    let given: ListInput = view.input()?;
    let asked = given.name.clone().unwrap_or_default();
    let name = names::asked(&asked).name;
    let parameter = view
        .region()
        .parameters
        .get(name)
        .ok_or_else(|| not_found(name))?;
    // Zero-padded numbers sort correctly as strings.
    let key = |version: &&Version| format!("{:020}", version.number);
    let (page, next) = cut(&parameter.versions, key, &given.after(view)?, given.size());
    let items = page.iter().map(|version| {
        let mut facts = facts(parameter, version);
        facts["Value"] = json!(shown_value(version, given.with_decryption));
        facts["Labels"] = json!(version.labels);
        facts
    });
    Ok(answer(view, items.collect(), next))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LabelInput {
    name: String,
    parameter_version: Option<u64>,
    labels: Vec<String>,
}

/// The parameter and the index of the version that a call names.
fn labelled(tx: &Tx<'_>, given: &LabelInput) -> Result<(Parameter, usize), ApiError> {
    let name = names::asked(&given.name).name;
    let parameter = tx.region().parameters.get(name).ok_or_else(|| not_found(name))?;
    let newest = parameter.newest().map_or(0, |newest| newest.number);
    let wanted = given.parameter_version.unwrap_or(newest);
    let at = parameter
        .versions
        .iter()
        .position(|version| version.number == wanted);
    let at = at.ok_or_else(|| {
        error(
            "ParameterVersionNotFound",
            format!("Systems Manager could not find version {wanted} of {name}."),
        )
    })?;
    Ok(((**parameter).clone(), at))
}

fn is_label(label: &str) -> bool {
    let lower = label.to_ascii_lowercase();
    let is_word = label
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    let begins = label.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    is_word && begins && label.len() <= 100 && !lower.starts_with("aws") && !lower.starts_with("ssm")
}

pub(crate) fn label(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: LabelInput = tx.input()?;
    let (mut parameter, at) = labelled(tx, &given)?;
    let (good, wrong): (Vec<String>, Vec<String>) =
        given.labels.into_iter().partition(|label| is_label(label));
    for label in good {
        // A label belongs to one version, so it moves.
        for version in &mut parameter.versions {
            version.labels.retain(|held| *held != label);
        }
        parameter.versions[at].labels.push(label);
    }
    if parameter.versions[at].labels.len() > LABELS {
        return Err(error(
            "ParameterVersionLabelLimitExceeded",
            format!("A version can have {LABELS} labels at most: move one to another version first."),
        ));
    }
    let number = parameter.versions[at].number;
    tx.region_mut()
        .parameters
        .insert(parameter.name.clone(), Arc::new(parameter));
    Ok(json!({"InvalidLabels": wrong, "ParameterVersion": number}))
}

pub(crate) fn unlabel(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: LabelInput = tx.input()?;
    let (mut parameter, at) = labelled(tx, &given)?;
    let held = &mut parameter.versions[at].labels;
    let (gone, wrong): (Vec<String>, Vec<String>) =
        given.labels.into_iter().partition(|label| held.contains(label));
    held.retain(|label| !gone.contains(label));
    tx.region_mut()
        .parameters
        .insert(parameter.name.clone(), Arc::new(parameter));
    Ok(json!({"RemovedLabels": gone, "InvalidLabels": wrong}))
}
