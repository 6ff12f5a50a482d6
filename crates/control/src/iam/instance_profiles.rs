//! Instance profiles. An instance that names a profile gets credentials of its own, whether or not the profile exists
//! here.

use super::entities::{Given, conflict, exists, limit, new_id, no_such, seconds, tags_of, with_tags};
use super::records::InstanceProfile;
use super::roles;
use crate::api::arns::arn_of;
use crate::api::context::{Tx, View};
use crate::api::tagging::{put_tags, stored_tags};
use crate::records::Tags;
use forebay_awswire::ApiError;
use serde_json::{Value, json};
use std::sync::Arc;

/// The most instance profiles of an account (AWS's quota).
const PROFILES: usize = 1000;

fn named(view: &View<'_>, given: &Given) -> Result<Arc<InstanceProfile>, ApiError> {
    let name = given.instance_profile_name.as_deref().unwrap_or_default();
    let found = view.home().instance_profiles.get(name).cloned();
    found.ok_or_else(|| no_such("Instance Profile", name))
}

fn keep(tx: &mut Tx<'_>, profile: InstanceProfile) {
    tx.home_mut()
        .instance_profiles
        .insert(profile.name.clone(), Arc::new(profile));
}

fn shown(view: &View<'_>, profile: &InstanceProfile) -> Value {
    let home = view.home();
    let role = profile.role.as_ref().and_then(|role| home.roles.get(role));
    let roles: Vec<Value> = role.iter().map(|role| roles::shown(view, role)).collect();
    json!({
        "Path": profile.path,
        "InstanceProfileName": profile.name,
        "InstanceProfileId": profile.id,
        "Arn": profile.arn,
        "CreateDate": seconds(profile.created),
        "Roles": roles,
        "Tags": tags_of(view, &profile.arn),
    })
}

pub(crate) fn create(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let name = given.instance_profile_name.clone().unwrap_or_default();
    if tx.home().instance_profiles.contains_key(&name) {
        return Err(exists("Instance Profile", &name));
    }
    if tx.home().instance_profiles.len() >= PROFILES {
        return Err(limit(format!(
            "Cannot exceed quota for InstanceProfilesPerAccount: {PROFILES}."
        )));
    }
    let path = given.new_path();
    let profile = InstanceProfile {
        id: new_id(tx, "AIPA"),
        arn: arn_of(
            "iam",
            "",
            tx.request.account,
            &format!("instance-profile{path}{name}"),
        ),
        name,
        path,
        created: tx.request.now,
        role: None,
    };
    let tags = with_tags(&given.tags, Tags::new())?;
    put_tags(tx.home_mut(), &profile.arn, tags);
    let answer = json!({"InstanceProfile": shown(tx, &profile)});
    keep(tx, profile);
    Ok(answer)
}

pub(crate) fn get(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let profile = named(view, &given)?;
    Ok(json!({"InstanceProfile": shown(view, &profile)}))
}

pub(crate) fn list(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let home = view.home();
    let all = home.instance_profiles.values();
    let wanted = all.filter(|profile| given.wants(&profile.path));
    Ok(given.page(
        "InstanceProfiles",
        wanted,
        |profile| profile.name.clone(),
        |profile| shown(view, profile),
    ))
}

pub(crate) fn list_for_role(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let role = roles::named(view, given.role_name.as_deref())?;
    let home = view.home();
    let all = home.instance_profiles.values();
    let held = all.filter(|profile| profile.role.as_deref() == Some(&*role.name));
    Ok(given.page(
        "InstanceProfiles",
        held,
        |profile| profile.name.clone(),
        |profile| shown(view, profile),
    ))
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let profile = named(tx, &given)?;
    if profile.role.is_some() {
        return Err(conflict(
            "Cannot delete entity, must remove roles from instance profile first.",
        ));
    }
    put_tags(tx.home_mut(), &profile.arn, Tags::new());
    tx.home_mut().instance_profiles.remove(&profile.name);
    Ok(json!({}))
}

pub(crate) fn add_role(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let mut profile = (*named(tx, &given)?).clone();
    let role = roles::named(tx, given.role_name.as_deref())?;
    if profile.role.is_some() {
        return Err(limit(
            "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
        ));
    }
    profile.role = Some(role.name.clone());
    keep(tx, profile);
    Ok(json!({}))
}

pub(crate) fn remove_role(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let mut profile = (*named(tx, &given)?).clone();
    let role = given.role_name.unwrap_or_default();
    if profile.role.as_deref() != Some(&*role) {
        return Err(no_such("role", &role));
    }
    profile.role = None;
    keep(tx, profile);
    Ok(json!({}))
}

pub(crate) fn tag(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let profile = named(tx, &given)?;
    let tags = with_tags(&given.tags, stored_tags(&tx.home(), &profile.arn))?;
    put_tags(tx.home_mut(), &profile.arn, tags);
    Ok(json!({}))
}

pub(crate) fn untag(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let profile = named(tx, &given)?;
    let mut tags = stored_tags(&tx.home(), &profile.arn);
    given.tag_keys.iter().for_each(|key| drop(tags.remove(key)));
    put_tags(tx.home_mut(), &profile.arn, tags);
    Ok(json!({}))
}

pub(crate) fn list_tags(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let profile = named(view, &given)?;
    Ok(json!({"Tags": tags_of(view, &profile.arn), "IsTruncated": false}))
}
