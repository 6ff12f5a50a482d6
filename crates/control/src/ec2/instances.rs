//! Instances: describe, start, stop, reboot and terminate them. One without an image is only an address in its subnet's
//! slice of the pool, where the user runs a process.

use crate::api::context::{Tx, View};
use crate::api::errors::error;
use crate::ec2::addresses::release_all;
use crate::ec2::instance_addresses::{alive, held, instance};
use crate::ec2::instance_view::{item, reservation, shown, state_value};
use crate::ec2::listing::{Listing, input, strings};
use crate::ec2::records::Instance;
use crate::ec2::zones::zone_id;
use core::net::IpAddr;
use forebay_awswire::ApiError;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

const LISTING: Listing = Listing {
    member: "Instances",
    ids: "InstanceIds",
    missing: ("InvalidInstanceID.NotFound", "instance ID"),
};

const STATUS_LISTING: Listing = Listing {
    member: "InstanceStatuses",
    ..LISTING
};

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let items = alive(view)
        .map(|instance| item(view, instance, shown(view, instance)))
        .collect();
    let mut listed = LISTING.list(view, items)?;
    // One reservation for each launch, in the order of their first instances.
    let mut reservations: Vec<(String, Vec<Arc<Instance>>)> = Vec::new();
    for value in listed["Instances"].as_array().into_iter().flatten() {
        let Some(instance) = value["InstanceId"]
            .as_str()
            .and_then(|id| view.region().instances.get(id))
        else {
            continue;
        };
        match reservations
            .iter_mut()
            .find(|(id, _)| *id == instance.reservation_id)
        {
            Some((_, members)) => members.push(Arc::clone(instance)),
            None => reservations.push((instance.reservation_id.clone(), vec![Arc::clone(instance)])),
        }
    }
    let shown: Vec<Value> = reservations
        .iter()
        .map(|(id, members)| reservation(view, id, members))
        .collect();
    let next = listed["NextToken"].take();
    Ok(json!({"Reservations": shown, "NextToken": next}))
}

/// Lists running instances only, unless all are requested. The system status of an instance is always ok: there is no
/// hardware to fail.
pub(crate) fn describe_status(view: &View<'_>) -> Result<Value, ApiError> {
    let all = view.request.input["IncludeAllInstances"] == true;
    let instances = alive(view).filter(|instance| all || instance.state == "running");
    let items = instances.map(|instance| {
        let status = if instance.state == "running" {
            "ok"
        } else {
            "not-applicable"
        };
        let details = if instance.state == "running" {
            json!([{"Name": "reachability", "Status": "passed"}])
        } else {
            json!([])
        };
        let summary = json!({"Status": status, "Details": details});
        let value = json!({
            "InstanceId": instance.id,
            "AvailabilityZone": instance.zone,
            "AvailabilityZoneId": zone_id(&instance.zone),
            "InstanceState": state_value(&instance.state),
            "InstanceStatus": summary,
            "SystemStatus": summary,
        });
        item(view, instance, value)
    });
    STATUS_LISTING.list(view, items.collect())
}

pub(crate) fn start(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    change(
        tx,
        "StartingInstances",
        "running",
        &["stopped", "running", "pending"],
    )
}

pub(crate) fn stop(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    change(
        tx,
        "StoppingInstances",
        "stopped",
        &["running", "stopped", "stopping"],
    )
}

pub(crate) fn terminate(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    change(
        tx,
        "TerminatingInstances",
        "terminated",
        &[
            "pending",
            "running",
            "stopping",
            "stopped",
            "shutting-down",
            "terminated",
        ],
    )
}

fn change(tx: &mut Tx<'_>, member: &str, to: &'static str, from: &[&str]) -> Result<Value, ApiError> {
    let _: Value = input(tx)?;
    let ids: BTreeSet<String> = strings(&tx.request.input["InstanceIds"]).into_iter().collect();
    let mut changes = Vec::new();
    for id in &ids {
        let mut instance = instance(tx.region(), id)?;
        if !from.contains(&instance.state.as_str()) {
            let text = format!(
                "The instance '{id}' is not in a state from which it can be {to}: it is {}.",
                instance.state
            );
            return Err(error("IncorrectInstanceState", text));
        }
        let kept = match to {
            "terminated" => "disableApiTermination",
            "stopped" => "disableApiStop",
            _ => "",
        };
        if instance.attributes.get(kept) == Some(&json!(true)) {
            let text = format!(
                "The instance '{id}' may not be {to}. Modify its '{kept}' instance attribute and try again."
            );
            return Err(error("OperationNotPermitted", text));
        }
        let before = instance.state.clone();
        let after = on_the_way(&instance, to);
        changes.push(json!({
            "InstanceId": id,
            "PreviousState": state_value(&before),
            "CurrentState": state_value(after),
        }));
        if before == after {
            continue;
        }
        let changed = Arc::make_mut(&mut instance);
        changed.state = after.to_owned();
        changed.reason = None;
        match after {
            "pending" => {
                changed.run += 1;
                changed.paused = false;
            }
            "terminated" => end(tx, changed),
            _ => {}
        }
        tx.region_mut().instances.insert(id.clone(), instance);
    }
    Ok(json!({ member: changes }))
}

/// The state that an instance has at once on its way to another. An instance that a launcher runs takes time.
fn on_the_way(instance: &Instance, to: &'static str) -> &'static str {
    match (to, instance.state.as_str()) {
        _ if instance.run == 0 => to,
        ("terminated", "terminated") => "terminated",
        ("terminated", _) => "shutting-down",
        ("stopped", "stopped") => "stopped",
        ("stopped", _) => "stopping",
        (_, "stopped") => "pending",
        (_, "pending") => "pending",
        _ => to,
    }
}

/// Cleans up after a terminated instance: its addresses are freed.
pub(crate) fn end(tx: &mut Tx<'_>, instance: &mut Instance) {
    instance.terminated = Some(tx.request.now);
    release_all(tx, instance);
    if let Some(address) = held(tx.region(), &instance.id) {
        tx.free_address(IpAddr::V4(address));
    }
}
