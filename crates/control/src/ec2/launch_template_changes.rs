//! Launch templates and their versions: create, modify, delete.

use crate::api::arns::arn_of;
use crate::api::context::{Tx, View};
use crate::api::errors::{error, missing};
use crate::api::tagging::put_tags;
use crate::ec2::launch_template_view::{template_value, version_value};
use crate::ec2::launch_templates::{named, version_of};
use crate::ec2::listing::{input, new_tags, read_tag, strings};
use crate::ec2::records::{LaunchTemplate, LaunchTemplateVersion};
use crate::ids::new_id;
use crate::records::Tags;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most launch templates of a region (AWS's quota).
const TEMPLATE_LIMIT: usize = 5_000;
/// The most versions of a launch template (AWS's quota).
const VERSION_LIMIT: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersionInput {
    #[serde(default)]
    launch_template_name: Option<String>,
    #[serde(default)]
    client_token: Option<String>,
    #[serde(default)]
    version_description: Option<String>,
    #[serde(default)]
    source_version: Option<String>,
    launch_template_data: Value,
}

pub(super) fn create(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: VersionInput = input(tx)?;
    let token = given.client_token.filter(|token| !token.is_empty());
    let mut templates = tx.region().launch_templates.values();
    if token.is_some()
        && let Some(again) = templates.find(|template| template.client_token == token)
    {
        return Ok(json!({"LaunchTemplate": template_value(tx, again)}));
    }
    let name = given.launch_template_name.unwrap_or_default();
    check_name(&name)?;
    check_data(&given.launch_template_data)?;
    let region = tx.region();
    if region
        .launch_templates
        .values()
        .any(|template| template.name == name)
    {
        return Err(error(
            "InvalidLaunchTemplateName.AlreadyExistsException",
            "Launch template name already in use.",
        ));
    }
    if region.launch_templates.len() >= TEMPLATE_LIMIT {
        let text = format!("A region can have {TEMPLATE_LIMIT} launch templates at most.");
        return Err(error("ResourceLimitExceeded", text));
    }
    let tags = new_tags(tx, "launch-template")?;
    let id = new_id(tx.rng, "lt");
    let version = LaunchTemplateVersion {
        created: tx.request.now,
        created_by: caller_arn(tx),
        description: given.version_description,
        data: given.launch_template_data,
        client_token: None,
    };
    let template = Arc::new(LaunchTemplate {
        id: id.clone(),
        name,
        created: tx.request.now,
        created_by: caller_arn(tx),
        default_version: 1,
        last_number: 1,
        client_token: token,
        versions: BTreeMap::from([(1, version)]),
    });
    let region = tx.region_mut();
    region.launch_templates.insert(id.clone(), Arc::clone(&template));
    put_tags(region, &id, tags);
    Ok(json!({"LaunchTemplate": template_value(tx, &template)}))
}

/// The caller's ARN, as GetCallerIdentity returns it.
fn caller_arn(view: &View<'_>) -> String {
    let caller = format!("user/{}", view.request.caller);
    arn_of("iam", "", view.request.account, &caller)
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "().-/_".contains(letter);
    if (3..=128).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    let text = "A launch template name must be between 3 and 128 characters, and may contain letters, numbers, and ( ) . - / _";
    Err(error("InvalidLaunchTemplateName.MalformedException", text))
}

/// Refuses data that would fail only at a launch.
fn check_data(data: &Value) -> Result<(), ApiError> {
    if data.get("InstanceType").is_some() && data.get("InstanceRequirements").is_some() {
        return Err(error(
            "InvalidParameterCombination",
            "InstanceType and InstanceRequirements may not be specified together.",
        ));
    }
    for specification in data["TagSpecifications"].as_array().into_iter().flatten() {
        let mut tags = Tags::new();
        for tag in specification["Tags"].as_array().into_iter().flatten() {
            read_tag(tag, &mut tags)?;
        }
    }
    Ok(())
}

pub(super) fn create_version(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: VersionInput = input(tx)?;
    let mut template = named(tx.region(), &tx.request.input)?;
    let token = given.client_token.filter(|token| !token.is_empty());
    let mut versions = template.versions.iter();
    if token.is_some()
        && let Some((number, _)) = versions.find(|(_, version)| version.client_token == token)
    {
        return Ok(json!({"LaunchTemplateVersion": version_value(&template, *number)}));
    }
    if template.versions.len() >= VERSION_LIMIT {
        let text = format!("A launch template can have {VERSION_LIMIT} versions at most.");
        return Err(error("ResourceLimitExceeded", text));
    }
    let mut data = match &given.source_version {
        Some(source) => version_of(&template, source)?.1.data.clone(),
        None => json!({}),
    };
    let more = given.launch_template_data;
    // A type and requirements exclude each other: the new one replaces the old one.
    for (name, other) in [
        ("InstanceType", "InstanceRequirements"),
        ("InstanceRequirements", "InstanceType"),
    ] {
        if more.get(name).is_some() && more.get(other).is_none() {
            data.as_object_mut().map(|members| members.remove(other));
        }
    }
    for (name, value) in more.as_object().into_iter().flatten() {
        data[name] = value.clone();
    }
    check_data(&data)?;
    let version = LaunchTemplateVersion {
        created: tx.request.now,
        created_by: caller_arn(tx),
        description: given.version_description,
        data,
        client_token: token,
    };
    let changed = Arc::make_mut(&mut template);
    changed.last_number += 1;
    let number = changed.last_number;
    changed.versions.insert(number, version);
    let answer = json!({"LaunchTemplateVersion": version_value(changed, number)});
    keep(tx, template);
    Ok(answer)
}

fn keep(tx: &mut Tx<'_>, template: Arc<LaunchTemplate>) {
    let templates = &mut tx.region_mut().launch_templates;
    templates.insert(template.id.clone(), template);
}

pub(super) fn modify(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let _: Value = input(tx)?;
    let mut template = named(tx.region(), &tx.request.input)?;
    let wanted = tx.request.input["DefaultVersion"].as_str();
    let (number, _) = version_of(&template, wanted.ok_or_else(|| missing("SetDefaultVersion"))?)?;
    if number != template.default_version {
        Arc::make_mut(&mut template).default_version = number;
        keep(tx, Arc::clone(&template));
    }
    Ok(json!({"LaunchTemplate": template_value(tx, &template)}))
}

pub(super) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let _: Value = input(tx)?;
    let template = named(tx.region(), &tx.request.input)?;
    let answer = json!({"LaunchTemplate": template_value(tx, &template)});
    let region = tx.region_mut();
    region.launch_templates.remove(&template.id);
    region.tags.remove(&template.id);
    Ok(answer)
}

/// Deletes the versions that exist and are not the default, and lists the others.
pub(super) fn delete_versions(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let _: Value = input(tx)?;
    let mut template = named(tx.region(), &tx.request.input)?;
    let (mut deleted, mut left) = (Vec::new(), Vec::new());
    let mut changed = (*template).clone();
    for text in strings(&tx.request.input["Versions"]) {
        let mut shown = json!({"LaunchTemplateId": template.id, "LaunchTemplateName": template.name});
        let refused = match version_of(&changed, &text) {
            Err(problem) => Some(("launchTemplateVersionDoesNotExist", problem.message)),
            Ok((number, _)) if number == template.default_version => {
                shown["VersionNumber"] = json!(number);
                let text = "The default version cannot be deleted. Make another one the default first.";
                Some(("unexpectedError", text.to_owned()))
            }
            Ok((number, _)) => {
                shown["VersionNumber"] = json!(number);
                changed.versions.remove(&number);
                None
            }
        };
        match refused {
            None => deleted.push(shown),
            Some((code, message)) => {
                if let Ok(number) = text.parse::<u64>() {
                    shown["VersionNumber"] = json!(number);
                }
                shown["ResponseError"] = json!({"Code": code, "Message": message});
                left.push(shown);
            }
        }
    }
    if changed != *template {
        template = Arc::new(changed);
        keep(tx, template);
    }
    Ok(json!({
        "SuccessfullyDeletedLaunchTemplateVersions": deleted,
        "UnsuccessfullyDeletedLaunchTemplateVersions": left,
    }))
}
