//! How instances leave a group, always in this order: they get no new requests, requests in flight end, hooks run, and
//! only then the instance is stopped.

use crate::api::context::View;
use crate::autoscaling::hooks::{self, Progress};
use crate::autoscaling::lookup::numbered;
use crate::autoscaling::pass::{Begun, Pass};
use crate::autoscaling::records::{Group, Lifecycle, Member};
use crate::autoscaling::steps::{ec2_state, enter, register};
use crate::ec2::instances as ec2;
use crate::elbv2::targets::deregister_targets;
use forebay_awswire::Service;
use serde_json::json;

/// Status and progress of an activity while requests in flight end.
const DRAINING: (&str, u32) = ("WaitingForELBConnectionDraining", 30);

/// Begins to take out an instance for good. Unless `is_ordered`, it may be taken back as long as it is draining.
pub(super) fn begin(pass: &mut Pass<'_, '_>, mut member: Member, cause: String, is_ordered: bool) {
    let subnet = subnet_of(pass, &member.id);
    let number = pass.start(Begun {
        description: format!("Terminating EC2 instance: {}", member.id),
        cause,
        status: "InProgress",
        progress: 0,
        zone: &member.zone,
        subnet: subnet.as_deref(),
    });
    // The activity in progress, such as a launch, ends here: an instance has at most one.
    let earlier = member.activity.replace(number);
    pass.end(
        earlier,
        "Cancelled",
        Some("The instance is terminated.".to_owned()),
    );
    // A wait of the launch, and its completed hooks, must not count for the hooks of the termination.
    member.waiting = None;
    member.hooks_done.clear();
    member.is_ordered = is_ordered;
    let state = if member.state.is_warmed() {
        Lifecycle::WarmedTerminating
    } else {
        Lifecycle::Terminating
    };
    // First: whatever comes next may take long, and until this the instance would get new requests.
    deregister(pass, &member.id);
    enter(pass, &mut member, state);
}

/// Takes back an instance that was leaving: its requests go on, and it gets new ones.
pub(super) fn take_back(pass: &mut Pass<'_, '_>, mut member: Member) {
    let number = member.activity.take();
    let text = "The capacity is needed again: the instance stays in service.".to_owned();
    pass.end(number, "Cancelled", Some(text));
    if !pass.is_suspended("AddToLoadBalancer") {
        register(pass, &member.id);
    }
    member.hooks_done.clear();
    enter(pass, &mut member, Lifecycle::InService);
}

/// Deregisters an instance from all of the group's target groups.
pub(super) fn deregister(pass: &mut Pass<'_, '_>, id: &str) {
    for arn in pass.group.target_groups.clone() {
        deregister_from(pass, &arn, id);
    }
}

/// Deregisters an instance from one target group.
pub(super) fn deregister_from(pass: &mut Pass<'_, '_>, arn: &str, id: &str) {
    let targets = pass.tx.region().targets_with_id(arn, id);
    let ports: Vec<u16> = targets
        .filter(|target| target.deregistered_at.is_none())
        .map(|target| target.port)
        .collect();
    for port in ports {
        let input = json!({"TargetGroupArn": arn, "Targets": [{"Id": id, "Port": port}]});
        let _ = pass.call(Service::Elbv2, "DeregisterTargets", input, deregister_targets);
    }
}

/// Whether requests may still be in flight to the instance: it is a target of any target group, draining or not. Users
/// may have registered it with groups that are not the scaling group's. Those of the scaling group come first: while it
/// drains there, the others need not be searched.
fn is_target(view: &View<'_>, group: &Group, id: &str) -> bool {
    let region = view.region();
    let mut own = group.target_groups.iter();
    own.any(|arn| region.targets_with_id(arn, id).next().is_some())
        || region.targets.values().any(|target| target.id == id)
}

/// Whether an instance that is leaving only waits for its requests to end.
pub(super) fn is_draining(view: &View<'_>, group: &Group, member: &Member) -> bool {
    let is_told = |number: u64| {
        let activity = view.region().activities.get(&numbered(&group.name, number));
        activity.is_none_or(|activity| (&*activity.status, activity.progress) == DRAINING)
    };
    is_target(view, group, &member.id)
        && ec2_state(view, &member.id) != "terminated"
        && member.activity.is_none_or(is_told)
}

fn subnet_of(pass: &Pass<'_, '_>, id: &str) -> Option<String> {
    let instance = pass.tx.region().instances.get(id);
    instance.map(|instance| instance.subnet_id.clone())
}

/// Waits for requests in flight, then for the hooks.
pub(super) fn leave(pass: &mut Pass<'_, '_>, mut member: Member) {
    // A terminated instance has no requests, but may still be listed as a target: waiting for that would never end.
    let is_gone = ec2_state(pass.tx, &member.id) == "terminated";
    if is_target(pass.tx, &pass.group, &member.id) && !is_gone {
        let (status, progress) = DRAINING;
        pass.progress(member.activity, status, progress);
        return;
    }
    if !is_gone && let Some(waiting) = hooks::next(pass, &member, false) {
        member.waiting = Some(waiting);
        let number = member.activity;
        pass.progress(number, "MidLifecycleAction", 50);
        let state = if member.state.is_warmed() {
            Lifecycle::WarmedTerminatingWait
        } else {
            Lifecycle::TerminatingWait
        };
        enter(pass, &mut member, state);
        return;
    }
    stop(pass, member);
}

pub(super) fn held(pass: &mut Pass<'_, '_>, mut member: Member) {
    let name = match hooks::progress(pass.tx, &member) {
        Progress::Waits if ec2_state(pass.tx, &member.id) != "terminated" => return,
        Progress::Continues(name) => name,
        // An abandoned termination proceeds all the same, without the remaining hooks.
        Progress::Waits | Progress::Abandoned(_) => {
            member.waiting = None;
            let proceeds = proceeding(&member);
            enter(pass, &mut member, proceeds);
            stop(pass, member);
            return;
        }
    };
    member.hooks_done.insert(name);
    member.waiting = None;
    let proceeds = proceeding(&member);
    enter(pass, &mut member, proceeds);
}

fn proceeding(member: &Member) -> Lifecycle {
    if member.state.is_warmed() {
        Lifecycle::WarmedTerminatingProceed
    } else {
        Lifecycle::TerminatingProceed
    }
}

/// Goes through all of `leave` again: there may be further hooks, and the instance may have been registered as a target
/// again while a hook held it. Only one that somebody else has terminated does not.
pub(super) fn proceed(pass: &mut Pass<'_, '_>, member: Member) {
    let state = ec2_state(pass.tx, &member.id);
    if matches!(state, "shutting-down" | "terminated") {
        stop(pass, member);
    } else {
        leave(pass, member);
    }
}

/// Terminates the instance and removes it once it has ended; or returns it to the warm pool.
fn stop(pass: &mut Pass<'_, '_>, mut member: Member) {
    // Only scale-in returns instances to the pool: one that was ordered to go may be unhealthy or outdated.
    let returns = !member.is_ordered
        && !member.state.is_warmed()
        && pass
            .group
            .warm_pool
            .as_ref()
            .is_some_and(|pool| pool.reuse && !pool.deleting);
    if returns && ec2_state(pass.tx, &member.id) == "running" {
        let number = member.activity.take();
        pass.end(number, "Successful", None);
        member.hooks_done.clear();
        member.in_service = None;
        member.ready = None;
        enter(pass, &mut member, Lifecycle::WarmedPending);
        return;
    }
    if !matches!(ec2_state(pass.tx, &member.id), "terminated" | "shutting-down") {
        unprotect(pass, &member.id);
        let input = json!({"InstanceIds": [member.id]});
        let _ = pass.call(Service::Ec2, "TerminateInstances", input, ec2::terminate);
    }
    // An instance without a process ends at once. Otherwise the member stays until the launcher reports the end, so that
    // the group does not forget an instance that still runs.
    if ec2_state(pass.tx, &member.id) == "terminated" {
        let number = member.activity;
        pass.remove(&member.id);
        pass.end(number, "Successful", None);
    } else if !matches!(
        member.state,
        Lifecycle::TerminatingProceed | Lifecycle::WarmedTerminatingProceed
    ) {
        let proceeds = proceeding(&member);
        enter(pass, &mut member, proceeds);
    }
}

/// Termination protection is meant for API calls, not for the instance's own group.
fn unprotect(pass: &mut Pass<'_, '_>, id: &str) {
    let known = pass.tx.region().instances.get(id);
    let Some(known) = known.filter(|instance| instance.attributes.contains_key("disableApiTermination"))
    else {
        return;
    };
    let mut instance = (**known).clone();
    instance.attributes.remove("disableApiTermination");
    let instance = std::sync::Arc::new(instance);
    pass.tx.region_mut().instances.insert(id.to_owned(), instance);
}

/// Enters standby once requests in flight have ended.
pub(super) fn to_standby(pass: &mut Pass<'_, '_>, mut member: Member) {
    if is_target(pass.tx, &pass.group, &member.id) {
        let number = member.activity;
        pass.progress(number, "WaitingForELBConnectionDraining", 50);
        return;
    }
    let number = member.activity.take();
    member.ready = None;
    enter(pass, &mut member, Lifecycle::Standby);
    pass.end(number, "Successful", None);
}

/// Leaves the group once requests in flight have ended.
pub(super) fn detached(pass: &mut Pass<'_, '_>, member: Member) {
    if is_target(pass.tx, &pass.group, &member.id) {
        let number = member.activity;
        pass.progress(number, "WaitingForELBConnectionDraining", 50);
        return;
    }
    let tags = pass.tx.region().tags.get(&member.id).cloned();
    if let Some(tags) = tags {
        let mut tags = (*tags).clone();
        tags.remove("aws:autoscaling:groupName");
        crate::api::tagging::put_tags(pass.tx.region_mut(), &member.id, tags);
    }
    pass.remove(&member.id);
    let number = member.activity;
    pass.end(number, "Successful", None);
}
