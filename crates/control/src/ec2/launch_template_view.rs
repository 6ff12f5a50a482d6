//! Launch templates as answers show them, and the data of a template for an existing instance.

use crate::api::context::View;
use crate::api::errors::{bad, missing};
use crate::api::filtering::Item;
use crate::api::tagging::{shown as shown_tags, stored_tags, tags_value};
use crate::ec2::instance_addresses::instance;
use crate::ec2::launch_templates::{by_name, named, version_of};
use crate::ec2::listing::{Listing, input, strings};
use crate::ec2::records::{Instance, LaunchTemplate};
use crate::state::Dialect;
use forebay_awswire::{ApiError, timestamp};
use forebay_units::Wall;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const LISTING: Listing = Listing {
    member: "LaunchTemplates",
    ids: "LaunchTemplateIds",
    missing: ("InvalidLaunchTemplateId.NotFound", "launch template ID"),
};

const VERSIONS: Listing = Listing {
    member: "LaunchTemplateVersions",
    ids: "",
    missing: ("InvalidLaunchTemplateId.VersionNotFound", "version"),
};

fn seconds(at: Wall) -> f64 {
    at.0 as f64 / 1e6
}

pub(super) fn template_value(view: &View<'_>, template: &LaunchTemplate) -> Value {
    json!({
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "CreateTime": seconds(template.created),
        "CreatedBy": template.created_by,
        "DefaultVersionNumber": template.default_version,
        "LatestVersionNumber": template.latest_version(),
        "Tags": tags_value(view.region(), &template.id),
    })
}

pub(super) fn version_value(template: &LaunchTemplate, number: u64) -> Value {
    let Some(version) = template.versions.get(&number) else {
        return Value::Null;
    };
    let mut value = json!({
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "VersionNumber": number,
        "CreateTime": seconds(version.created),
        "CreatedBy": version.created_by,
        "DefaultVersion": number == template.default_version,
        "LaunchTemplateData": version.data,
    });
    if let Some(description) = &version.description {
        value["VersionDescription"] = json!(description);
    }
    value
}

pub(super) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let names = strings(&view.request.input["LaunchTemplateNames"]);
    for name in &names {
        by_name(view.region(), name)?;
    }
    let templates = view.region().launch_templates.values();
    let wanted = templates.filter(|template| names.is_empty() || names.contains(&template.name));
    let items = wanted.map(|template| {
        Item::new(&template.id, template_value(view, template))
            .fact("create-time", timestamp(seconds(template.created)))
    });
    LISTING.list(view, items.collect())
}

/// The versions of one template; if none is named, the latest or default versions of all templates.
pub(super) fn describe_versions(view: &View<'_>) -> Result<Value, ApiError> {
    let given = &view.request.input;
    let versions = strings(&given["Versions"]);
    let is_named = ["LaunchTemplateId", "LaunchTemplateName"]
        .iter()
        .any(|name| given.get(*name).is_some());
    let mut items = Vec::new();
    if is_named {
        let template = named(view.region(), given)?;
        let bound = |name: &str| -> Result<Option<u64>, ApiError> {
            let text = given[name].as_str();
            text.map(|text| version_of(&template, text).map(|(number, _)| number))
                .transpose()
        };
        let (least, most) = (bound("MinVersion")?, bound("MaxVersion")?);
        let fits = |number: &u64| {
            least.is_none_or(|least| least <= *number) && most.is_none_or(|most| *number <= most)
        };
        let mut numbers: BTreeSet<u64> = BTreeSet::new();
        for text in &versions {
            numbers.insert(version_of(&template, text)?.0);
        }
        if versions.is_empty() {
            numbers.extend(template.versions.keys());
        }
        items.extend(
            numbers
                .into_iter()
                .filter(fits)
                .map(|number| version_item(view, &template, number)),
        );
    } else {
        if versions.is_empty() {
            return Err(missing("LaunchTemplateId or LaunchTemplateName, or Versions"));
        }
        if versions
            .iter()
            .any(|text| !["$Latest", "$Default"].contains(&text.as_str()))
        {
            return Err(bad(
                "Without a launch template, Versions may be '$Latest' and '$Default' only.".to_owned(),
            ));
        }
        for template in view.region().launch_templates.values() {
            let mut numbers = BTreeSet::new();
            for text in &versions {
                numbers.insert(version_of(template, text)?.0);
            }
            items.extend(
                numbers
                    .into_iter()
                    .map(|number| version_item(view, template, number)),
            );
        }
    }
    VERSIONS.list(view, items)
}

/// The newest comes first, as on AWS; under the moto dialect, versions come in order.
fn version_item(view: &View<'_>, template: &LaunchTemplate, number: u64) -> Item {
    let rank = match view.dialect() {
        Dialect::Aws => u64::MAX - number,
        Dialect::Moto => number,
    };
    let key = format!("{}/{rank:020}", template.id);
    let created = template
        .versions
        .get(&number)
        .map_or(template.created, |version| version.created);
    Item::new(&key, version_value(template, number)).fact("create-time", timestamp(seconds(created)))
}

pub(super) fn get_data(view: &View<'_>) -> Result<Value, ApiError> {
    let _: Value = input(view)?;
    let id = view.request.input["InstanceId"].as_str().unwrap_or_default();
    let found = instance(view.region(), id)?;
    Ok(json!({"LaunchTemplateData": data_of(view, &found)}))
}

/// The template data that would launch an instance like this one.
fn data_of(view: &View<'_>, instance: &Instance) -> Value {
    let attribute = |name: &str| instance.attributes.get(name).cloned().unwrap_or(json!(false));
    let mut data = json!({
        "ImageId": instance.image_id,
        "InstanceType": instance.instance_type,
        "EbsOptimized": attribute("ebsOptimized"),
        "DisableApiStop": attribute("disableApiStop"),
        "DisableApiTermination": attribute("disableApiTermination"),
        "InstanceInitiatedShutdownBehavior":
            instance.attributes.get("instanceInitiatedShutdownBehavior").cloned().unwrap_or(json!("stop")),
        "Monitoring": {"Enabled": false},
        "Placement": {"AvailabilityZone": instance.zone, "GroupName": "", "Tenancy": "default"},
        "NetworkInterfaces": [{
            "DeviceIndex": 0,
            "SubnetId": instance.subnet_id,
            "Groups": instance.security_groups,
            "DeleteOnTermination": true,
        }],
    });
    if let Some(name) = &instance.key_name {
        data["KeyName"] = json!(name);
    }
    if let Some(text) = &instance.user_data {
        data["UserData"] = json!(text);
    }
    if let Some(name) = &instance.profile {
        data["IamInstanceProfile"] = json!({"Name": name});
    }
    if instance.is_spot {
        data["InstanceMarketOptions"] = json!({"MarketType": "spot"});
    }
    let mut tags = stored_tags(view.region(), &instance.id);
    tags.retain(|key, _| !key.starts_with("aws:"));
    if !tags.is_empty() {
        data["TagSpecifications"] = json!([{"ResourceType": "instance", "Tags": shown_tags(&tags)}]);
    }
    data
}
