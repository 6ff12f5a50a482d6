//! How instances leave a group, always in this order: no new requests, those in flight end, hooks, and only then it is stopped.

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

/// Status and progress of an activity while its instance's last requests end.
const DRAINING: (&str, u32) = ("WaitingForELBConnectionDraining", 30);

/// Begins to take an instance out for good. Unless `is_ordered`, it may be taken back while requests are still in flight to it.
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
    // What went on about it ends here.
    let earlier = member.activity.replace(number);
    pass.end(
        earlier,
        "Cancelled",
        Some("The instance is terminated.".to_owned()),
    );
    member.waiting = None;
    member.hooks_done.clear();
    member.is_ordered = is_ordered;
    let state = if member.state.is_warmed() {
        Lifecycle::WarmedTerminating
    } else {
        Lifecycle::Terminating
    };
    deregister(pass, &member.id);
    enter(pass, &mut member, state);
}

/// Takes back an instance that was on its way out: its requests go on, and new ones come.
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

/// Has a target deregistered from all of the group's target groups.
pub(super) fn deregister(pass: &mut Pass<'_, '_>, id: &str) {
    for arn in pass.group.target_groups.clone() {
        deregister_from(pass, &arn, id);
    }
}

/// Has a target deregistered from one target group.
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

/// Whether requests may still be in flight to it: it is a target of any target group, and drains or not. Those of its own group are asked
/// first: as long as it drains there, the others need no look.
fn is_target(view: &View<'_>, group: &Group, id: &str) -> bool {
    let region = view.region();
    let mut own = group.target_groups.iter();
    own.any(|arn| region.targets_with_id(arn, id).next().is_some())
        || region.targets.values().any(|target| target.id == id)
}

/// Whether an instance that leaves has nothing to do but wait until its last request has ended.
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

/// Waits until the last request has ended; then for the hooks.
pub(super) fn leave(pass: &mut Pass<'_, '_>, mut member: Member) {
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
        // It goes all the same; the other hooks are not asked.
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

pub(super) fn proceed(pass: &mut Pass<'_, '_>, member: Member) {
    let state = ec2_state(pass.tx, &member.id);
    if matches!(state, "shutting-down" | "terminated") {
        stop(pass, member);
    } else {
        leave(pass, member);
    }
}

/// Ends the instance, and forgets it once it has ended; or stops it, if it returns to the warm pool.
fn stop(pass: &mut Pass<'_, '_>, mut member: Member) {
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

/// Termination by its group is not a call that protection from API calls is meant for.
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

/// It comes to stand by once its requests have ended.
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

/// It is the group's no more once its requests have ended.
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
