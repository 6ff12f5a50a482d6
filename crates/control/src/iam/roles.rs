//! Roles and their policies. Policies are stored and described, but not enforced: any valid credentials may call
//! everything.

use super::entities::{
    Given, LONGEST_POLICY, LONGEST_TRUST, conflict, document, encoded, exists, limit, new_id, no_such,
    seconds, tags_of, with_tags,
};
use super::records::Role;
use crate::api::arns::arn_of;
use crate::api::context::{Tx, View};
use crate::api::errors::error;
use crate::api::tagging::{put_tags, stored_tags};
use crate::records::Tags;
use forebay_awswire::ApiError;
use forebay_units::wildcard;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most managed policies of a role (AWS's quota).
const ATTACHED: usize = 10;
/// The most roles of an account (AWS's quota).
const ROLES: usize = 1000;
/// The ARN prefix of AWS managed policies. Any name is accepted, because policies are not enforced.
const OF_AWS: &str = "arn:aws:iam::aws:policy/";

/// The role with this name.
pub(super) fn named(view: &View<'_>, name: Option<&str>) -> Result<Arc<Role>, ApiError> {
    let name = name.unwrap_or_default();
    let found = view.home().roles.get(name).cloned();
    found.ok_or_else(|| no_such("role", name))
}

fn keep(tx: &mut Tx<'_>, role: Role) {
    tx.home_mut().roles.insert(role.name.clone(), Arc::new(role));
}

/// A role as answers show it.
pub(super) fn shown(view: &View<'_>, role: &Role) -> Value {
    let mut shown = json!({
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn,
        "CreateDate": seconds(role.created),
        "AssumeRolePolicyDocument": encoded(&role.trust),
        "MaxSessionDuration": role.max_session,
        "Tags": tags_of(view, &role.arn),
    });
    if let Some(description) = role.description.as_ref().filter(|text| !text.is_empty()) {
        shown["Description"] = json!(description);
    }
    shown
}

pub(crate) fn create(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let name = given.role_name.clone().unwrap_or_default();
    if tx.home().roles.contains_key(&name) {
        return Err(exists("Role", &name));
    }
    if tx.home().roles.len() >= ROLES {
        return Err(limit(format!(
            "Cannot exceed quota for RolesPerAccount: {ROLES}."
        )));
    }
    refuse_boundary(&given)?;
    let path = given.new_path();
    let role = Role {
        id: new_id(tx, "AROA"),
        arn: arn_of("iam", "", tx.request.account, &format!("role{path}{name}")),
        trust: document(given.assume_role_policy_document.as_deref(), LONGEST_TRUST)?,
        name,
        path,
        created: tx.request.now,
        description: given.description,
        max_session: given.max_session_duration.unwrap_or(3600),
        inline: BTreeMap::new(),
        attached: BTreeSet::new(),
    };
    let tags = with_tags(&given.tags, Tags::new())?;
    put_tags(tx.home_mut(), &role.arn, tags);
    let answer = json!({"Role": shown(tx, &role)});
    keep(tx, role);
    Ok(answer)
}

fn refuse_boundary(given: &Given) -> Result<(), ApiError> {
    if given.permissions_boundary.is_some() {
        return Err(error(
            "InvalidInput",
            "Permissions boundaries are not supported by Forebay, which does not enforce policies: leave PermissionsBoundary out.",
        ));
    }
    Ok(())
}

pub(crate) fn get(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let role = named(view, given.role_name.as_deref())?;
    Ok(json!({"Role": shown(view, &role)}))
}

pub(crate) fn list(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let home = view.home();
    let roles = home.roles.values().filter(|role| given.wants(&role.path));
    Ok(given.page(
        "Roles",
        roles,
        |role| role.name.clone(),
        |role| {
            let mut role = shown(view, role);
            // As on AWS, lists do not include tags.
            role.as_object_mut().map(|role| role.remove("Tags"));
            role
        },
    ))
}

pub(crate) fn update(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let mut role = (*named(tx, given.role_name.as_deref())?).clone();
    role.description = given.description.or(role.description);
    role.max_session = given.max_session_duration.unwrap_or(role.max_session);
    keep(tx, role);
    Ok(json!({}))
}

pub(crate) fn update_description(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let mut role = (*named(tx, given.role_name.as_deref())?).clone();
    role.description = given.description;
    let answer = json!({"Role": shown(tx, &role)});
    keep(tx, role);
    Ok(answer)
}

pub(crate) fn update_trust(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let mut role = (*named(tx, given.role_name.as_deref())?).clone();
    role.trust = document(given.policy_document.as_deref(), LONGEST_TRUST)?;
    keep(tx, role);
    Ok(json!({}))
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let role = named(tx, given.role_name.as_deref())?;
    if !role.attached.is_empty() {
        return Err(conflict("Cannot delete entity, must detach all policies first."));
    }
    if !role.inline.is_empty() {
        return Err(conflict("Cannot delete entity, must delete policies first."));
    }
    let is_used = |profile: &super::records::InstanceProfile| profile.role.as_deref() == Some(&*role.name);
    if tx
        .home()
        .instance_profiles
        .values()
        .any(|profile| is_used(profile))
    {
        return Err(conflict(
            "Cannot delete entity, must remove roles from instance profile first.",
        ));
    }
    put_tags(tx.home_mut(), &role.arn, Tags::new());
    tx.home_mut().roles.remove(&role.name);
    Ok(json!({}))
}

pub(crate) fn put_policy(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let mut role = (*named(tx, given.role_name.as_deref())?).clone();
    let text = document(given.policy_document.as_deref(), LONGEST_POLICY)?;
    role.inline.insert(given.policy_name.unwrap_or_default(), text);
    if role.inline.values().map(String::len).sum::<usize>() > LONGEST_POLICY {
        return Err(limit(format!(
            "Maximum policy size of {LONGEST_POLICY} bytes exceeded for role {}",
            role.name
        )));
    }
    keep(tx, role);
    Ok(json!({}))
}

pub(crate) fn get_policy(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let role = named(view, given.role_name.as_deref())?;
    let name = given.policy_name.unwrap_or_default();
    let text = role
        .inline
        .get(&name)
        .ok_or_else(|| no_such("role policy", &name))?;
    Ok(json!({"RoleName": role.name, "PolicyName": name, "PolicyDocument": encoded(text)}))
}

pub(crate) fn delete_policy(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let mut role = (*named(tx, given.role_name.as_deref())?).clone();
    let name = given.policy_name.unwrap_or_default();
    if role.inline.remove(&name).is_none() {
        return Err(no_such("role policy", &name));
    }
    keep(tx, role);
    Ok(json!({}))
}

pub(crate) fn list_policies(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let role = named(view, given.role_name.as_deref())?;
    Ok(given.page(
        "PolicyNames",
        role.inline.keys(),
        |name| (*name).clone(),
        |name| json!(name),
    ))
}

/// Checks that a policy can be attached.
fn attachable(view: &View<'_>, arn: &str) -> Result<(), ApiError> {
    if arn.starts_with(OF_AWS) || view.home().policies.contains_key(arn) {
        return Ok(());
    }
    let text = format!("Policy {arn} does not exist or is not attachable.");
    Err(error("NoSuchEntity", text).with_status(404))
}

pub(crate) fn attach(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let mut role = (*named(tx, given.role_name.as_deref())?).clone();
    let arn = given.policy_arn.unwrap_or_default();
    attachable(tx, &arn)?;
    role.attached.insert(arn);
    if role.attached.len() > ATTACHED {
        return Err(limit(format!(
            "Cannot exceed quota for PoliciesPerRole: {ATTACHED}"
        )));
    }
    keep(tx, role);
    Ok(json!({}))
}

pub(crate) fn detach(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let mut role = (*named(tx, given.role_name.as_deref())?).clone();
    let arn = given.policy_arn.unwrap_or_default();
    if !role.attached.remove(&arn) {
        let text = format!("Policy {arn} was not found.");
        return Err(error("NoSuchEntity", text).with_status(404));
    }
    keep(tx, role);
    Ok(json!({}))
}

pub(crate) fn list_attached(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let role = named(view, given.role_name.as_deref())?;
    Ok(given.page(
        "AttachedPolicies",
        role.attached.iter(),
        |arn| (*arn).clone(),
        |arn| {
            let name = arn.rsplit('/').next().unwrap_or_default();
            json!({"PolicyName": name, "PolicyArn": arn})
        },
    ))
}

pub(crate) fn tag(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let role = named(tx, given.role_name.as_deref())?;
    let tags = with_tags(&given.tags, stored_tags(&tx.home(), &role.arn))?;
    put_tags(tx.home_mut(), &role.arn, tags);
    Ok(json!({}))
}

pub(crate) fn untag(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let role = named(tx, given.role_name.as_deref())?;
    let mut tags = stored_tags(&tx.home(), &role.arn);
    given.tag_keys.iter().for_each(|key| drop(tags.remove(key)));
    put_tags(tx.home_mut(), &role.arn, tags);
    Ok(json!({}))
}

pub(crate) fn list_tags(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let role = named(view, given.role_name.as_deref())?;
    Ok(json!({"Tags": tags_of(view, &role.arn), "IsTruncated": false}))
}

/// Whether the role's trust policy permits a service to assume it. Conditions are not evaluated, and a document that cannot be
/// read is taken to permit it.
pub(crate) fn may_be_assumed_by(role: &Role, service: &str) -> bool {
    let Ok(trust) = serde_json::from_str::<Value>(&role.trust) else {
        return true;
    };
    let has = |value: &Value, wanted: &dyn Fn(&str) -> bool| match value {
        Value::String(text) => wanted(text),
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).any(wanted),
        _ => false,
    };
    let permits = |statement: &Value| {
        let principal = &statement["Principal"];
        statement["Effect"] == "Allow"
            && has(&statement["Action"], &|action| {
                wildcard::matches(&action.to_ascii_lowercase(), "sts:assumerole")
            })
            && (principal == "*" || has(&principal["Service"], &|named| named == service))
    };
    match &trust["Statement"] {
        Value::Array(statements) => statements.iter().any(permits),
        statement => permits(statement),
    }
}
