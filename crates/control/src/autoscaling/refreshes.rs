//! API calls about instance refreshes: start, describe, cancel, roll back. `refreshing` carries them out.

use crate::api::context::{Tx, View};
use crate::api::errors::{error, validation};
use crate::autoscaling::group_input::{mixed, template_ref};
use crate::autoscaling::lookup::{asked_group, listed, numbered, texts, time};
use crate::autoscaling::pass::uuid;
use crate::autoscaling::records::{Refresh, Source};
use crate::autoscaling::refresh_preferences::filled;
use crate::autoscaling::refreshing::turn;
use forebay_awswire::ApiError;
use serde_json::{Value, json};
use std::sync::Arc;

/// How many refreshes of a group are kept. (AWS keeps them for six weeks.)
const KEPT: u64 = 100;

pub(crate) fn start(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let group = asked_group(tx)?;
    let given = tx.request.input.clone();
    if tx.region().active_refresh(&group.name).is_some() {
        return Err(error(
            "InstanceRefreshInProgress",
            "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.",
        ));
    }
    if given["Strategy"] == "ReplaceRootVolume" {
        return Err(validation(
            "The strategy ReplaceRootVolume is not supported by Forebay: its instances have no volumes.",
        ));
    }
    let desired = given.get("DesiredConfiguration").cloned();
    let source = desired
        .as_ref()
        .map(|desired| desired_source(tx, desired))
        .transpose()?;
    let preferences = filled(&group, &given["Preferences"])?;
    if preferences["AutoRollback"] == true && (source.is_none() || floats(&group.source)) {
        return Err(validation(
            "AutoRollback needs a DesiredConfiguration, and a group whose launch template has a version with a number.",
        ));
    }
    let last = tx.region().refreshes_of(&group.name).next_back();
    let number = last.map_or(0, |last| last.number + 1);
    let refresh = Refresh {
        id: uuid(tx),
        number,
        group: group.name.clone(),
        status: "Pending".to_owned(),
        reason: None,
        began: tx.request.now,
        ended: None,
        percentage: 0,
        to_update: 0,
        preferences,
        desired,
        source,
        before: group.source.clone(),
        leg: None,
        rollback: None,
    };
    let answer = json!({"InstanceRefreshId": refresh.id});
    if let Some(old) = number.checked_sub(KEPT) {
        let key = numbered(&group.name, old);
        tx.region_mut().refreshes.remove(&key);
    }
    put(tx, refresh);
    Ok(answer)
}

fn put(tx: &mut Tx<'_>, refresh: Refresh) {
    let key = numbered(&refresh.group, refresh.number);
    tx.region_mut().refreshes.insert(key, Arc::new(refresh));
}

/// The source that a desired configuration describes.
fn desired_source(view: &View<'_>, desired: &Value) -> Result<Source, ApiError> {
    match (desired.get("LaunchTemplate"), desired.get("MixedInstancesPolicy")) {
        (Some(template), None) => Ok(Source::Template(template_ref(view, template)?)),
        (None, Some(policy)) => mixed(view, policy),
        _ => Err(validation(
            "DesiredConfiguration must have either LaunchTemplate or MixedInstancesPolicy.",
        )),
    }
}

/// Whether a source depends on its template's latest or default version. Then the previous configuration cannot be
/// restored.
fn floats(source: &Source) -> bool {
    let by_version = |version: Option<&str>| matches!(version, None | Some("$Latest" | "$Default"));
    match source {
        Source::Configuration(_) => false,
        Source::Template(template) => by_version(template.version.as_deref()),
        Source::Mixed(policy) => {
            by_version(policy["LaunchTemplate"]["LaunchTemplateSpecification"]["Version"].as_str())
        }
    }
}

/// The refresh in progress of the group that a call names.
fn active(tx: &Tx<'_>) -> Result<Refresh, ApiError> {
    let group = asked_group(tx)?;
    let found = tx.region().active_refresh(&group.name);
    found.map(|refresh| Refresh::clone(refresh)).ok_or_else(|| {
        error(
            "ActiveInstanceRefreshNotFound",
            format!(
                "No in progress or pending Instance Refresh found for Auto Scaling group {}",
                group.name
            ),
        )
    })
}

pub(crate) fn cancel(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let mut refresh = active(tx)?;
    let answer = json!({"InstanceRefreshId": refresh.id});
    "Cancelling".clone_into(&mut refresh.status);
    refresh.reason = Some("Cancelled due to user request.".to_owned());
    if tx.request.input["WaitForTransitioningInstances"] == false {
        "Cancelled".clone_into(&mut refresh.status);
        refresh.ended = Some(tx.request.now);
    }
    put(tx, refresh);
    Ok(answer)
}

pub(crate) fn roll_back(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let mut refresh = active(tx)?;
    if refresh.status == "Cancelling" || refresh.rollback.is_some() {
        return Err(error(
            "ActiveInstanceRefreshNotFound",
            "The Instance Refresh is being cancelled or rolled back already.",
        ));
    }
    if refresh.source.is_none() || floats(&refresh.before) {
        return Err(error(
            "IrreversibleInstanceRefresh",
            "The Instance Refresh has no desired configuration, or the group's launch template has no version with a number.",
        ));
    }
    let answer = json!({"InstanceRefreshId": refresh.id});
    turn(&mut refresh, "Rollback due to user request.", tx.request.now);
    put(tx, refresh);
    Ok(answer)
}

/// The newest refresh comes first.
pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let group = asked_group(view)?;
    let ids = texts(&view.request.input["InstanceRefreshIds"]);
    let refreshes = view.region().refreshes_of(&group.name).rev();
    let asked = refreshes.filter(|refresh| ids.is_empty() || ids.contains(&refresh.id));
    // Pages ascend by key, so the key is smallest for the newest refresh.
    let items: Vec<(String, Value)> = asked
        .map(|refresh| (format!("{:020}", u64::MAX - refresh.number), shown(refresh)))
        .collect();
    listed(view, "InstanceRefreshes", items)
}

fn shown(refresh: &Refresh) -> Value {
    // A rolled-back refresh shows how far it had come; the rollback has its own figures.
    let (percentage, to_update) = match &refresh.rollback {
        Some(back) => (back.percentage, back.to_update),
        None => (refresh.percentage, refresh.to_update),
    };
    let figures = |percentage: u32, to_update: u32| json!({"LivePoolProgress": {"PercentageComplete": percentage, "InstancesToUpdate": to_update}});
    let mut value = json!({
        "InstanceRefreshId": refresh.id,
        "AutoScalingGroupName": refresh.group,
        "Status": refresh.status,
        "StartTime": time(refresh.began),
        "PercentageComplete": percentage,
        "InstancesToUpdate": to_update,
        "ProgressDetails": figures(percentage, to_update),
        "Preferences": refresh.preferences,
        "Strategy": "Rolling",
    });
    if let Some(ended) = refresh.ended {
        value["EndTime"] = time(ended);
    }
    if let Some(reason) = &refresh.reason {
        value["StatusReason"] = json!(reason);
    }
    if let Some(desired) = &refresh.desired {
        value["DesiredConfiguration"] = desired.clone();
    }
    if let Some(back) = &refresh.rollback {
        value["RollbackDetails"] = json!({
            "RollbackReason": back.reason,
            "RollbackStartTime": time(back.began),
            "PercentageCompleteOnRollback": refresh.percentage,
            "InstancesToUpdateOnRollback": refresh.to_update,
            "ProgressDetailsOnRollback": figures(refresh.percentage, refresh.to_update),
        });
    }
    value
}
