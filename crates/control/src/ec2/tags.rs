//! Tags of EC2 resources.

use crate::Region;
use crate::api::context::{Tx, View};
use crate::api::errors::error;
use crate::api::filtering::Item;
use crate::api::tagging::{put_tags, stored_tags};
use crate::ec2::instance_addresses::readdress;
use crate::ec2::listing::{Listing, input, read_tag};
use crate::ec2::records::Instance;
use crate::ec2::resource_types::resource_type;
use crate::own_tags::interruptions::notice;
use crate::records::Tags;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

const LISTING: Listing = Listing {
    member: "Tags",
    ids: "",
    missing: ("InvalidID", "ID"),
};

/// Checks that a resource exists. Network ACLs and interfaces are derived, so their ids are not checked.
fn check_exists(region: &Region, id: &str) -> Result<(), ApiError> {
    let (code, found) = match resource_type(id) {
        Some("vpc") => ("InvalidVpcID.NotFound", region.vpcs.contains_key(id)),
        Some("subnet") => ("InvalidSubnetID.NotFound", region.subnets.contains_key(id)),
        Some("security-group") => ("InvalidGroup.NotFound", region.security_groups.contains_key(id)),
        Some("security-group-rule") => (
            "InvalidSecurityGroupRuleId.NotFound",
            region.group_rules.contains_key(id),
        ),
        Some("internet-gateway") => (
            "InvalidInternetGatewayID.NotFound",
            region.internet_gateways.contains_key(id),
        ),
        Some("route-table") => (
            "InvalidRouteTableID.NotFound",
            region.route_tables.contains_key(id),
        ),
        Some("instance") => ("InvalidInstanceID.NotFound", region.instances.contains_key(id)),
        Some("launch-template") => (
            "InvalidLaunchTemplateId.NotFound",
            region.launch_templates.contains_key(id),
        ),
        Some("network-acl" | "network-interface") => ("", true),
        _ => ("InvalidID", false),
    };
    if found {
        Ok(())
    } else {
        Err(error(code, format!("The ID '{id}' is not valid")))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagsInput {
    resources: Vec<String>,
    #[serde(default)]
    tags: Vec<Value>,
}

pub(crate) fn create(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: TagsInput = input(tx)?;
    for id in &given.resources {
        check_exists(tx.region(), id)?;
        let mut tags = stored_tags(tx.region(), id);
        for tag in &given.tags {
            read_tag(tag, &mut tags)?;
        }
        put(tx, id, tags);
        readdress(tx, id)?;
        interrupt(tx, id, &given.tags)?;
    }
    Ok(json!({}))
}

/// Announces an interruption to a Spot Instance if one of these tags says so. Removing the tag does not revoke it.
fn interrupt(tx: &mut Tx<'_>, id: &str, tags: &[Value]) -> Result<(), ApiError> {
    let text = |tag: &Value, name: &str| tag[name].as_str().unwrap_or_default().to_owned();
    let mut notices = tags
        .iter()
        .filter_map(|tag| notice(&text(tag, "Key"), &text(tag, "Value")));
    let Some(notice) = notices.next() else {
        return Ok(());
    };
    let Some(instance) = tx.region().instances.get(id).cloned() else {
        return Ok(());
    };
    if !instance.is_spot || !matches!(&*instance.state, "pending" | "running") {
        return Err(error(
            "IncorrectInstanceState",
            format!("The instance '{id}' is not a running Spot Instance; only those can be interrupted."),
        ));
    }
    let interrupted = Instance {
        interrupted_at: Some(tx.request.now + notice),
        ..(*instance).clone()
    };
    tx.region_mut()
        .instances
        .insert(id.to_owned(), Arc::new(interrupted));
    Ok(())
}

/// Without tags in the call, all are deleted; a tag with a value is deleted only if it has that value.
pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: TagsInput = input(tx)?;
    for id in &given.resources {
        let mut tags = stored_tags(tx.region(), id);
        tags.retain(|key, value| {
            let named = |tag: &Value| {
                tag["Key"] == key.as_str() && tag.get("Value").is_none_or(|wanted| wanted == value.as_str())
            };
            !given.tags.is_empty() && !given.tags.iter().any(named)
        });
        put(tx, id, tags);
        readdress(tx, id)?;
    }
    Ok(json!({}))
}

fn put(tx: &mut Tx<'_>, id: &str, tags: Tags) {
    if tags == stored_tags(tx.region(), id) {
        return;
    }
    put_tags(tx.region_mut(), id, tags);
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let mut items = Vec::new();
    for (id, tags) in &view.region().tags {
        let Some(kind) = resource_type(id) else { continue };
        for (key, value) in tags.iter() {
            let shown = json!({"Key": key, "Value": value, "ResourceId": id, "ResourceType": kind});
            items.push(Item::new(&format!("{id}/{key}"), shown));
        }
    }
    LISTING.list(view, items)
}
