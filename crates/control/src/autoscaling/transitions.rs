//! An instance's way through its lifecycle states.

use crate::autoscaling::hooks::{self, Progress};
use crate::autoscaling::leaving;
use crate::autoscaling::pass::Pass;
use crate::autoscaling::records::{Lifecycle, Member};
use crate::autoscaling::steps::{ec2_state, enter, launch_failed, pause, register};
use crate::ec2::instances as ec2;
use forebay_awswire::Service;
use serde_json::json;

/// Moves each instance of the group as far as it can go now.
pub(super) fn advance(pass: &mut Pass<'_, '_>) {
    for member in pass.members() {
        match member.state {
            Lifecycle::Pending | Lifecycle::WarmedPending => starting(pass, member),
            Lifecycle::PendingWait | Lifecycle::WarmedPendingWait => held(pass, member),
            Lifecycle::PendingProceed | Lifecycle::WarmedPendingProceed => started(pass, member),
            Lifecycle::Terminating | Lifecycle::WarmedTerminating => leaving::leave(pass, member),
            Lifecycle::TerminatingWait | Lifecycle::WarmedTerminatingWait => leaving::held(pass, member),
            Lifecycle::TerminatingProceed | Lifecycle::WarmedTerminatingProceed => {
                leaving::proceed(pass, member);
            }
            Lifecycle::EnteringStandby => leaving::to_standby(pass, member),
            Lifecycle::Detaching => leaving::detached(pass, member),
            Lifecycle::InService
            | Lifecycle::Standby
            | Lifecycle::WarmedStopped
            | Lifecycle::WarmedRunning
            | Lifecycle::WarmedHibernated => {}
        }
    }
}

fn starting(pass: &mut Pass<'_, '_>, member: Member) {
    match ec2_state(pass.tx, &member.id) {
        "running" => started(pass, member),
        "pending" => {}
        _ => failed(pass, member),
    }
}

/// Handles an instance that ended before it came into service: what is left of it is terminated, and the next launch is
/// delayed.
fn failed(pass: &mut Pass<'_, '_>, member: Member) {
    let instance = pass.tx.region().instances.get(&member.id);
    let reason = instance.and_then(|instance| instance.reason.clone());
    let why = reason.map_or_else(
        || format!("Instance {} ended before it ran.", member.id),
        |(_, text)| text,
    );
    pass.remove(&member.id);
    if ec2_state(pass.tx, &member.id) != "terminated" {
        let input = json!({"InstanceIds": [member.id]});
        let _ = pass.call(Service::Ec2, "TerminateInstances", input, ec2::terminate);
    }
    let number = member.activity;
    pass.end(number, "Failed", Some(why));
    launch_failed(pass);
}

/// The instance runs: hooks for launches come before it serves.
fn started(pass: &mut Pass<'_, '_>, mut member: Member) {
    let is_warmed = member.state.is_warmed();
    if let Some(waiting) = hooks::next(pass, &member, true) {
        member.waiting = Some(waiting);
        let number = member.activity;
        pass.progress(number, "MidLifecycleAction", 50);
        let state = if is_warmed {
            Lifecycle::WarmedPendingWait
        } else {
            Lifecycle::PendingWait
        };
        enter(pass, &mut member, state);
        return;
    }
    if is_warmed {
        warmed(pass, member);
    } else {
        into_service(pass, member);
    }
}

fn held(pass: &mut Pass<'_, '_>, mut member: Member) {
    if !matches!(ec2_state(pass.tx, &member.id), "running" | "pending") {
        failed(pass, member);
        return;
    }
    match hooks::progress(pass.tx, &member) {
        Progress::Waits => {}
        Progress::Continues(name) => {
            member.hooks_done.insert(name);
            member.waiting = None;
            let state = if member.state.is_warmed() {
                Lifecycle::WarmedPendingProceed
            } else {
                Lifecycle::PendingProceed
            };
            enter(pass, &mut member, state);
        }
        Progress::Abandoned(name) => {
            let text = format!("Lifecycle hook {name} was abandoned or timed out.");
            let number = member.activity;
            pass.end(number, "Cancelled", Some(text));
            member.activity = None;
            let cause = format!(
                "At {} instance {} was terminated: the lifecycle hook {name} was abandoned.",
                pass.clock(),
                member.id
            );
            leaving::begin(pass, member, cause, true);
            launch_failed(pass);
        }
    }
}

/// Registers the instance with the group's target groups: it serves from now on.
fn into_service(pass: &mut Pass<'_, '_>, mut member: Member) {
    if !pass.is_suspended("AddToLoadBalancer") {
        register(pass, &member.id);
    }
    member.hooks_done.clear();
    member.waiting = None;
    member.unhealthy = None;
    member.in_service = Some(pass.now());
    member.ready = None;
    let number = member.activity.take();
    enter(pass, &mut member, Lifecycle::InService);
    pass.end(number, "Successful", None);
    pass.group.failures = 0;
}

/// The instance is prepared and waits in the warm pool, in the state that the pool asks for.
fn warmed(pass: &mut Pass<'_, '_>, mut member: Member) {
    let pool = pass.group.warm_pool.as_ref();
    let state = pool.map_or_else(|| "Stopped".to_owned(), |pool| pool.state.clone());
    let state = match state.as_str() {
        "Running" => {
            pause(pass, &member.id, true);
            Lifecycle::WarmedRunning
        }
        hibernated => {
            let input = json!({"InstanceIds": [member.id]});
            let _ = pass.call(Service::Ec2, "StopInstances", input, ec2::stop);
            if hibernated == "Hibernated" {
                Lifecycle::WarmedHibernated
            } else {
                Lifecycle::WarmedStopped
            }
        }
    };
    member.hooks_done.clear();
    let number = member.activity.take();
    enter(pass, &mut member, state);
    pass.end(number, "Successful", None);
    pass.group.failures = 0;
}
