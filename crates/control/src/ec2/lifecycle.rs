//! State changes of instances that a launcher runs, from what it has observed.

use crate::api::context::{Tx, View};
use crate::ec2::instances::end;
use crate::ec2::records::Instance;
use crate::fleet::{SeenInstance, SeenPhase};
use serde_json::json;
use std::sync::Arc;

/// An instance's next state, and why.
#[derive(Debug, PartialEq, Eq)]
struct Next {
    state: &'static str,
    reason: Option<(String, String)>,
}

impl Next {
    fn plain(state: &'static str) -> Next {
        Next { state, reason: None }
    }

    fn because(state: &'static str, code: &str, why: &str) -> Next {
        Next {
            state,
            reason: Some((code.to_owned(), format!("{code}: {why}"))),
        }
    }
}

/// Applies what was observed of a region's instances since the last time.
pub(crate) fn observe(tx: &mut Tx<'_>) {
    let changes: Vec<(String, Next)> = interrupted(tx).chain(changes(tx)).collect();
    for (id, next) in changes {
        let Some(mut instance) = tx.region().instances.get(&id).cloned() else {
            continue;
        };
        let changed = Arc::make_mut(&mut instance);
        changed.state = next.state.to_owned();
        if next.reason.is_some() {
            changed.reason = next.reason;
        }
        if next.state == "terminated" {
            end(tx, changed);
        }
        tx.region_mut().instances.insert(id, instance);
    }
}

/// Spot Instances whose interruption is due: they are terminated, whatever they are doing.
fn interrupted(view: &View<'_>) -> impl Iterator<Item = (String, Next)> + use<> {
    let now = view.request.now;
    let instances = view.region().instances.values();
    let due = instances.filter(|instance| {
        instance.interrupted_at.is_some_and(|at| at <= now)
            && !matches!(instance.state.as_str(), "shutting-down" | "terminated")
    });
    let next = due.map(|instance| {
        // An instance that was never booted has no process that must end first.
        let state = if instance.run > 0 {
            "shutting-down"
        } else {
            "terminated"
        };
        let why = "the Spot Instance was interrupted";
        let next = Next::because(state, "Server.SpotInstanceTermination", why);
        (instance.id.clone(), next)
    });
    next.collect::<Vec<_>>().into_iter()
}

fn changes(view: &View<'_>) -> Vec<(String, Next)> {
    let booted = view
        .region()
        .instances
        .values()
        .filter(|instance| instance.run > 0 && instance.terminated.is_none());
    booted
        .filter_map(|instance| {
            let seen = view.observations.instance(&instance.id);
            Some((instance.id.clone(), next(instance, seen.as_ref())?))
        })
        .collect()
}

/// The next state of an instance; `None` if it stays.
fn next(instance: &Instance, seen: Option<&SeenInstance>) -> Option<Next> {
    // Observations of an earlier run say nothing about this one.
    let phase = seen
        .filter(|seen| seen.run == instance.run)
        .map(|seen| &seen.phase);
    match (instance.state.as_str(), phase) {
        ("pending", Some(SeenPhase::Running | SeenPhase::Paused)) => Some(Next::plain("running")),
        ("pending", Some(SeenPhase::Failed { why } | SeenPhase::Stopped { why })) => {
            Some(Next::because("shutting-down", "Server.InternalError", why))
        }
        ("running", Some(SeenPhase::Stopped { why } | SeenPhase::Failed { why })) => {
            let behaviour = instance.attributes.get("instanceInitiatedShutdownBehavior");
            let state = match behaviour {
                Some(value) if *value == json!("terminate") => "shutting-down",
                _ => "stopped",
            };
            Some(Next::because(state, "Client.InstanceInitiatedShutdown", why))
        }
        ("stopping", Some(SeenPhase::Stopped { .. } | SeenPhase::Failed { .. })) => {
            Some(Next::plain("stopped"))
        }
        // The launcher does not know the instance any more: nothing of it is left.
        ("shutting-down", None) if seen.is_none() => Some(Next::plain("terminated")),
        _ => None,
    }
}
