//! Health of instances: replaces unhealthy ones, and notes when an instance is ready.

use crate::api::context::View;
use crate::autoscaling::leaving;
use crate::autoscaling::pass::Pass;
use crate::autoscaling::records::{Group, Lifecycle, Member};
use crate::autoscaling::replacing;
use crate::autoscaling::start_ups::record_start_up;
use crate::autoscaling::steps::ec2_state;
use crate::state::Dialect;
use core::time::Duration;
use forebay_model::HealthState;

/// What an instance's target groups say about it.
enum Opinion {
    /// All of them find it healthy, or do not check it.
    Healthy,
    /// One finds it unhealthy.
    Unhealthy,
    /// Not all of them have a result yet.
    Unknown,
}

/// Notes which instances have become ready, and replaces unhealthy ones.
pub(super) fn check(pass: &mut Pass<'_, '_>) {
    for mut member in pass.members() {
        if member.state != Lifecycle::InService {
            continue;
        }
        let opinion = opinion(pass.tx, &pass.group, &member);
        if member.ready.is_none() && matches!(opinion, Opinion::Healthy) {
            member.ready = Some(pass.now());
            let now = pass.now();
            record_start_up(&mut pass.group, &mut member, now);
            pass.put(member.clone());
        }
        if let Some(why) = found_unhealthy(pass.tx, &pass.group, &member, &opinion) {
            member.unhealthy = Some(why);
            pass.put(member.clone());
        }
        replace(pass, member);
    }
}

/// Whether a pass would do nothing about an instance in service.
pub(super) fn is_settled(view: &View<'_>, group: &Group, member: &Member) -> bool {
    // The target groups are asked only if their answer matters, because this runs for every instance each second.
    let opinion = if member.ready.is_none() || asks_balancers(group) {
        opinion(view, group, member)
    } else {
        Opinion::Unknown
    };
    let becomes_ready = member.ready.is_none() && matches!(opinion, Opinion::Healthy);
    member.unhealthy.is_none() && !becomes_ready && found_unhealthy(view, group, member, &opinion).is_none()
}

/// Why an instance is unhealthy that was not marked so before; `None` if it is not.
fn found_unhealthy(view: &View<'_>, group: &Group, member: &Member, opinion: &Opinion) -> Option<String> {
    if member.unhealthy.is_some() || group.is_suspended("HealthCheck") {
        return None;
    }
    if ec2_state(view, &member.id) != "running" {
        let instance = view.region().instances.get(&member.id);
        let told = instance.and_then(|instance| instance.reason.clone());
        let told = told.map_or_else(String::new, |(_, text)| format!(" ({text})"));
        return Some(format!(
            "an EC2 health check indicating it has been terminated or stopped{told}"
        ));
    }
    let since = member.in_service.unwrap_or(member.since);
    let is_over = view.request.now.since(since) >= Duration::from_secs(group.grace.into());
    let judged = is_over && asks_balancers(group) && matches!(opinion, Opinion::Unhealthy);
    // If no instance of the group was ever healthy, the checks or the application are misconfigured. Replacing
    // instances would go on for ever and help nothing.
    let works = || {
        let mut members = view.region().members_of(&group.name);
        members.any(|other| other.ready.is_some())
    };
    (judged && works()).then(|| "an ELB system health check failure".to_owned())
}

fn asks_balancers(group: &Group) -> bool {
    group.health_check.split(',').any(|kind| kind.trim() == "ELB")
}

fn opinion(view: &View<'_>, group: &Group, member: &Member) -> Opinion {
    let region = view.region();
    let mut known = Opinion::Healthy;
    for arn in &group.target_groups {
        for target in region.targets_with_id(arn, &member.id) {
            let health = view.observations.target_health(arn, &target.id, target.port);
            match health.map(|health| health.state) {
                Some(HealthState::Healthy | HealthState::Unavailable | HealthState::Unused) => {}
                // A target group that no load balancer uses does not check its targets. Finding that out means
                // searching all rules, so it comes last.
                _ if !region.is_served(arn) => break,
                Some(HealthState::Unhealthy) => return Opinion::Unhealthy,
                _ => known = Opinion::Unknown,
            }
        }
    }
    known
}

/// Takes out an unhealthy instance. `capacity` then launches what is missing.
fn replace(pass: &mut Pass<'_, '_>, member: Member) {
    let Some(why) = &member.unhealthy else { return };
    // moto keeps instances that a call has set to unhealthy.
    let keeps = pass.tx.dialect() == Dialect::Moto && ec2_state(pass.tx, &member.id) == "running";
    if pass.is_suspended("ReplaceUnhealthy") || pass.is_suspended("Terminate") || keeps {
        return;
    }
    // A running instance may stay until its replacement is ready.
    if replacing::launches_first(&pass.group)
        && ec2_state(pass.tx, &member.id) == "running"
        && !pass.is_suspended("Launch")
    {
        replacing::ahead_of(pass, &member, &why.clone());
        return;
    }
    let cause = format!(
        "At {} an instance was taken out of service in response to {why}.",
        pass.clock()
    );
    leaving::begin(pass, member, cause, true);
}
