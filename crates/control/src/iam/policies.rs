//! Managed policies of the account, and their versions.

use super::entities::{
    Given, LONGEST_POLICY, conflict, document, encoded, exists, limit, new_id, seconds, tags_of, with_tags,
};
use super::records::{ManagedPolicy, PolicyVersion};
use crate::api::arns::arn_of;
use crate::api::context::{Tx, View};
use crate::api::errors::error;
use crate::api::tagging::{put_tags, stored_tags};
use crate::records::Tags;
use forebay_awswire::ApiError;
use serde_json::{Value, json};
use std::sync::Arc;

/// The most versions of a policy (AWS's quota).
const VERSIONS: usize = 5;
/// The most policies of an account (AWS's quota).
const POLICIES: usize = 1500;

fn missing(text: String) -> ApiError {
    error("NoSuchEntity", text).with_status(404)
}

fn of_arn(view: &View<'_>, given: &Given) -> Result<Arc<ManagedPolicy>, ApiError> {
    let arn = given.policy_arn.as_deref().unwrap_or_default();
    let found = view.home().policies.get(arn).cloned();
    found.ok_or_else(|| {
        missing(format!(
            "Policy {arn} was not found: of AWS's own policies, only the names are known."
        ))
    })
}

fn keep(tx: &mut Tx<'_>, policy: ManagedPolicy) {
    tx.home_mut()
        .policies
        .insert(policy.arn.clone(), Arc::new(policy));
}

fn attachments(view: &View<'_>, arn: &str) -> usize {
    let home = view.home();
    let roles = home.roles.values();
    roles.filter(|role| role.attached.contains(arn)).count()
}

fn shown(view: &View<'_>, policy: &ManagedPolicy) -> Value {
    let mut shown = json!({
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": format!("v{}", policy.default),
        "AttachmentCount": attachments(view, &policy.arn),
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": true,
        "CreateDate": seconds(policy.created),
        "UpdateDate": seconds(policy.updated),
    });
    if let Some(description) = policy.description.as_ref().filter(|text| !text.is_empty()) {
        shown["Description"] = json!(description);
    }
    shown
}

fn shown_version(policy: &ManagedPolicy, version: &PolicyVersion) -> Value {
    json!({
        "VersionId": format!("v{}", version.number),
        "IsDefaultVersion": version.number == policy.default,
        "CreateDate": seconds(version.created),
    })
}

pub(crate) fn create(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let name = given.policy_name.clone().unwrap_or_default();
    if tx.home().policies.values().any(|policy| policy.name == name) {
        return Err(exists("A policy", &name));
    }
    if tx.home().policies.len() >= POLICIES {
        return Err(limit(format!(
            "Cannot exceed quota for PoliciesPerAccount: {POLICIES}."
        )));
    }
    let path = given.new_path();
    let policy = ManagedPolicy {
        id: new_id(tx, "ANPA"),
        arn: arn_of("iam", "", tx.request.account, &format!("policy{path}{name}")),
        name,
        path,
        created: tx.request.now,
        updated: tx.request.now,
        versions: vec![PolicyVersion {
            number: 1,
            created: tx.request.now,
            document: document(given.policy_document.as_deref(), LONGEST_POLICY)?,
        }],
        description: given.description,
        default: 1,
    };
    let tags = with_tags(&given.tags, Tags::new())?;
    put_tags(tx.home_mut(), &policy.arn, tags);
    let mut answer = shown(tx, &policy);
    answer["Tags"] = tags_of(tx, &policy.arn);
    keep(tx, policy);
    Ok(json!({"Policy": answer}))
}

pub(crate) fn get(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let policy = of_arn(view, &given)?;
    let mut answer = shown(view, &policy);
    answer["Tags"] = tags_of(view, &policy.arn);
    Ok(json!({"Policy": answer}))
}

pub(crate) fn list(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let home = view.home();
    let all = home.policies.values();
    let wanted = all.filter(|policy| {
        given.wants(&policy.path)
            && given.scope.as_deref() != Some("AWS")
            && (!given.only_attached || attachments(view, &policy.arn) > 0)
    });
    Ok(given.page(
        "Policies",
        wanted,
        |policy| policy.arn.clone(),
        |policy| shown(view, policy),
    ))
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let policy = of_arn(tx, &given)?;
    if attachments(tx, &policy.arn) > 0 {
        return Err(conflict("Cannot delete a policy attached to entities."));
    }
    if policy.versions.len() > 1 {
        return Err(conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is \
             deleted with the policy.",
        ));
    }
    put_tags(tx.home_mut(), &policy.arn, Tags::new());
    tx.home_mut().policies.remove(&policy.arn);
    Ok(json!({}))
}

pub(crate) fn create_version(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let mut policy = (*of_arn(tx, &given)?).clone();
    if policy.versions.len() >= VERSIONS {
        return Err(limit(format!(
            "A managed policy can have up to {VERSIONS} versions. Before you create a new version, you must delete an existing version."
        )));
    }
    let version = PolicyVersion {
        number: policy.versions.last().map_or(1, |last| last.number + 1),
        created: tx.request.now,
        document: document(given.policy_document.as_deref(), LONGEST_POLICY)?,
    };
    if given.set_as_default {
        policy.default = version.number;
    }
    policy.updated = tx.request.now;
    let answer = shown_version(&policy, &version);
    policy.versions.push(version);
    keep(tx, policy);
    Ok(json!({"PolicyVersion": answer}))
}

/// The index of the version that a call names.
fn version_at(policy: &ManagedPolicy, given: &Given) -> Result<usize, ApiError> {
    let id = given.version_id.as_deref().unwrap_or_default();
    let number = id.strip_prefix('v').and_then(|number| number.parse::<u32>().ok());
    let at = policy
        .versions
        .iter()
        .position(|version| Some(version.number) == number);
    at.ok_or_else(|| {
        missing(format!(
            "Policy {} version {id} does not exist or is not attachable.",
            policy.arn
        ))
    })
}

pub(crate) fn get_version(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let policy = of_arn(view, &given)?;
    let version = &policy.versions[version_at(&policy, &given)?];
    let mut answer = shown_version(&policy, version);
    answer["Document"] = encoded(&version.document);
    Ok(json!({"PolicyVersion": answer}))
}

pub(crate) fn list_versions(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let policy = of_arn(view, &given)?;
    let key = |version: &&PolicyVersion| format!("{:010}", version.number);
    Ok(given.page("Versions", &policy.versions, key, |version| {
        shown_version(&policy, version)
    }))
}

pub(crate) fn delete_version(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let mut policy = (*of_arn(tx, &given)?).clone();
    let at = version_at(&policy, &given)?;
    if policy.versions[at].number == policy.default {
        return Err(conflict("Cannot delete the default version of a policy."));
    }
    policy.versions.remove(at);
    keep(tx, policy);
    Ok(json!({}))
}

pub(crate) fn set_default_version(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let mut policy = (*of_arn(tx, &given)?).clone();
    policy.default = policy.versions[version_at(&policy, &given)?].number;
    keep(tx, policy);
    Ok(json!({}))
}

pub(crate) fn list_entities(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let policy = of_arn(view, &given)?;
    let home = view.home();
    let roles = home.roles.values();
    let held = roles.filter(|role| role.attached.contains(&policy.arn));
    let mut answer = given.page(
        "PolicyRoles",
        held,
        |role| role.name.clone(),
        |role| json!({"RoleName": role.name, "RoleId": role.id}),
    );
    (answer["PolicyGroups"], answer["PolicyUsers"]) = (json!([]), json!([]));
    Ok(answer)
}

pub(crate) fn tag(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let policy = of_arn(tx, &given)?;
    let tags = with_tags(&given.tags, stored_tags(&tx.home(), &policy.arn))?;
    put_tags(tx.home_mut(), &policy.arn, tags);
    Ok(json!({}))
}

pub(crate) fn untag(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let policy = of_arn(tx, &given)?;
    let mut tags = stored_tags(&tx.home(), &policy.arn);
    given.tag_keys.iter().for_each(|key| drop(tags.remove(key)));
    put_tags(tx.home_mut(), &policy.arn, tags);
    Ok(json!({}))
}

pub(crate) fn list_tags(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let policy = of_arn(view, &given)?;
    Ok(json!({"Tags": tags_of(view, &policy.arn), "IsTruncated": false}))
}
