//! Launch templates for launches: found by id or name and version, and converted to RunInstances' input.

use crate::api::context::{Tx, View};
use crate::api::errors::{bad, error, missing};
use crate::api::tagging::{has_tags, put_tags, stored_tags, tags_value};
use crate::ec2::records::{LaunchTemplate, LaunchTemplateVersion};
use crate::tables::Region;
use forebay_awswire::ApiError;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Members of a template's data that RunInstances names differently.
const RENAMED: [(&str, &str); 2] = [
    ("RamDiskId", "RamdiskId"),
    ("ElasticGpuSpecifications", "ElasticGpuSpecification"),
];

/// The template with an id or a name, the number of its version (`$Latest`, `$Default` or a number; the default version
/// if none is given), and that version's data as RunInstances' input. `InstanceRequirements` stay in it; only Auto
/// Scaling understands them.
pub(crate) fn resolve(
    view: &View<'_>,
    id_or_name: &str,
    version: Option<&str>,
) -> Result<(Arc<LaunchTemplate>, u64, Value), ApiError> {
    let region = view.region();
    let template = match region.launch_templates.get(id_or_name) {
        Some(template) => Arc::clone(template),
        // A template's name may look like an id.
        None => by_name(region, id_or_name).or_else(|not_found| match id_or_name {
            id if id.starts_with("lt-") => by_id(region, id),
            _ => Err(not_found),
        })?,
    };
    let (number, found) = version_of(&template, version.unwrap_or("$Default"))?;
    let mut data = found.data.clone();
    if let Some(members) = data.as_object_mut() {
        members.remove("Operator");
        for (name, other) in RENAMED {
            if let Some(value) = members.remove(name) {
                members.insert(other.to_owned(), value);
            }
        }
    }
    Ok((template, number, data))
}

/// The template that a call names by either `LaunchTemplateId` or `LaunchTemplateName`.
pub(super) fn named(region: &Region, given: &Value) -> Result<Arc<LaunchTemplate>, ApiError> {
    let text = |name: &str| given[name].as_str().filter(|text| !text.is_empty());
    match (text("LaunchTemplateId"), text("LaunchTemplateName")) {
        (Some(id), None) => by_id(region, id),
        (None, Some(name)) => by_name(region, name),
        (None, None) => Err(missing("LaunchTemplateId or LaunchTemplateName")),
        (Some(_), Some(_)) => Err(error(
            "InvalidParameterCombination",
            "Either LaunchTemplateId or LaunchTemplateName may be given, not both.",
        )),
    }
}

fn by_id(region: &Region, id: &str) -> Result<Arc<LaunchTemplate>, ApiError> {
    if !id.starts_with("lt-") {
        let text = format!("Invalid id: \"{id}\" (expecting \"lt-...\")");
        return Err(error("InvalidLaunchTemplateId.Malformed", text));
    }
    region.launch_templates.get(id).cloned().ok_or_else(|| {
        let text = format!("The specified launch template, with template ID {id}, does not exist.");
        error("InvalidLaunchTemplateId.NotFound", text)
    })
}

pub(super) fn by_name(region: &Region, name: &str) -> Result<Arc<LaunchTemplate>, ApiError> {
    let mut templates = region.launch_templates.values();
    let found = templates.find(|template| template.name == name);
    found.cloned().ok_or_else(|| {
        let text = format!("The specified launch template, with template name {name}, does not exist.");
        error("InvalidLaunchTemplateName.NotFoundException", text)
    })
}

/// The version with that name or number.
pub(super) fn version_of<'a>(
    template: &'a LaunchTemplate,
    text: &str,
) -> Result<(u64, &'a LaunchTemplateVersion), ApiError> {
    let number = match text {
        "$Latest" => template.latest_version(),
        "$Default" => template.default_version,
        digits => digits.parse().map_err(|_| {
            bad(format!(
                "Invalid launch template version '{digits}': either '$Default', '$Latest', or a numeric version are allowed."
            ))
        })?,
    };
    let found = template.versions.get(&number).ok_or_else(|| {
        let text = format!(
            "Could not find the specified version {number} for the launch template with ID {}.",
            template.id
        );
        error("InvalidLaunchTemplateId.VersionNotFound", text)
    })?;
    Ok((number, found))
}

/// The input of a RunInstances call with a launch template: the call's members override the template's. Tags of both
/// apply; the call's win for equal keys.
pub(super) fn from_template(view: &View<'_>) -> Result<(Arc<LaunchTemplate>, u64, Value), ApiError> {
    let given = &view.request.input;
    let wanted = &given["LaunchTemplate"];
    let template = named(view.region(), wanted)?;
    let (template, number, mut data) = resolve(view, &template.id, wanted["Version"].as_str())?;
    let (Some(data_members), Some(call)) = (data.as_object_mut(), given.as_object()) else {
        return Err(bad("The launch template's data cannot be read.".to_owned()));
    };
    if data_members.contains_key("InstanceRequirements") && !call.contains_key("InstanceType") {
        return Err(error(
            "InvalidParameterCombination",
            "A launch template with InstanceRequirements can be used by Auto Scaling groups, not by RunInstances.",
        ));
    }
    overlay(data_members, call);
    data_members.remove("LaunchTemplate");
    data_members.remove("InstanceRequirements");
    Ok((template, number, data))
}

/// Merges a call's members over a template's.
fn overlay(data: &mut Map<String, Value>, call: &Map<String, Value>) {
    // Groups by id and by name are two forms of the same setting.
    if ["SecurityGroupIds", "SecurityGroups"]
        .iter()
        .any(|name| call.contains_key(*name))
    {
        data.remove("SecurityGroupIds");
        data.remove("SecurityGroups");
    }
    for (name, value) in call {
        let tags = (name == "TagSpecifications")
            .then(|| data.get(name).and_then(Value::as_array))
            .flatten();
        let value = match (tags, value.as_array()) {
            // The later tag wins.
            (Some(tags), Some(more)) => tags.iter().chain(more).cloned().collect(),
            _ => value.clone(),
        };
        data.insert(name.clone(), value);
    }
}

/// Tags the launched instances with the template and version that they come from.
pub(super) fn tag_with_template(tx: &mut Tx<'_>, template: &LaunchTemplate, number: u64, answer: &mut Value) {
    for instance in answer["Instances"].as_array_mut().into_iter().flatten() {
        let Some(id) = instance["InstanceId"].as_str().map(str::to_owned) else {
            continue;
        };
        let mut tags = stored_tags(tx.region(), &id);
        tags.insert("aws:ec2launchtemplate:id".to_owned(), template.id.clone());
        tags.insert("aws:ec2launchtemplate:version".to_owned(), number.to_string());
        if !has_tags(tx.region(), &id, &tags) {
            put_tags(tx.region_mut(), &id, tags);
        }
        instance["Tags"] = json!(tags_value(tx.region(), &id));
    }
}
