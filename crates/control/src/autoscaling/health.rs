//! Health: what becomes of instances that are not well, and from when on an instance can be counted on.

use crate::autoscaling::leaving;
use crate::autoscaling::pass::Pass;
use crate::autoscaling::planning::record_start_up;
use crate::autoscaling::records::{Group, Lifecycle, Member};
use crate::autoscaling::replacing;
use crate::autoscaling::steps::ec2_state;
use crate::state::Dialect;
use core::time::Duration;
use forebay_model::HealthState;

/// What an instance's target groups think of it.
enum Opinion {
    /// All find it healthy, or have nothing to find.
    Healthy,
    /// One finds it unhealthy.
    Unhealthy,
    /// Not all have found out.
    Unknown,
}

/// Finds out who can be counted on, and replaces who is not well.
pub(super) fn check(pass: &mut Pass<'_, '_>) {
    for mut member in pass.members() {
        if member.state != Lifecycle::InService {
            continue;
        }
        let opinion = opinion(pass, &member);
        if member.ready.is_none() && matches!(opinion, Opinion::Healthy) {
            member.ready = Some(pass.now());
            let now = pass.now();
            record_start_up(&mut pass.group, &mut member, now);
            pass.put(member.clone());
        }
        if !pass.is_suspended("HealthCheck")
            && member.unhealthy.is_none()
            && let Some(why) = found_unhealthy(pass, &member, &opinion)
        {
            member.unhealthy = Some(why);
            pass.put(member.clone());
        }
        replace(pass, member);
    }
}

/// Why an instance is unhealthy; none if it is not.
fn found_unhealthy(pass: &Pass<'_, '_>, member: &Member, opinion: &Opinion) -> Option<String> {
    if ec2_state(pass, &member.id) != "running" {
        let instance = pass.tx.region().instances.get(&member.id);
        let told = instance.and_then(|instance| instance.reason.clone());
        let told = told.map_or_else(String::new, |(_, text)| format!(" ({text})"));
        return Some(format!(
            "an EC2 health check indicating it has been terminated or stopped{told}"
        ));
    }
    let since = member.in_service.unwrap_or(member.since);
    let is_over = pass.now().since(since) >= Duration::from_secs(pass.group.grace.into());
    let judged = is_over && asks_balancers(&pass.group) && matches!(opinion, Opinion::Unhealthy);
    // A target group in which nobody was ever healthy says more of itself than of the instance.
    let works = || {
        let mut members = pass.tx.region().members_of(&pass.group.name);
        members.any(|other| other.ready.is_some())
    };
    (judged && works()).then(|| "an ELB system health check failure".to_owned())
}

fn asks_balancers(group: &Group) -> bool {
    group.health_check.split(',').any(|kind| kind.trim() == "ELB")
}

fn opinion(pass: &Pass<'_, '_>, member: &Member) -> Opinion {
    let mut known = Opinion::Healthy;
    for arn in &pass.group.target_groups {
        let region = pass.tx.region();
        if !region.is_served(arn) {
            continue;
        }
        for target in region.targets_of(arn).filter(|target| target.id == member.id) {
            let health = pass.tx.observations.target_health(arn, &target.id, target.port);
            match health.map(|health| health.state) {
                Some(HealthState::Healthy | HealthState::Unavailable | HealthState::Unused) => {}
                Some(HealthState::Unhealthy) => return Opinion::Unhealthy,
                _ => known = Opinion::Unknown,
            }
        }
    }
    known
}

/// Takes an unhealthy instance out; what is missing then is launched like anything that is missing.
fn replace(pass: &mut Pass<'_, '_>, member: Member) {
    let Some(why) = &member.unhealthy else { return };
    // moto leaves those that a call has called unhealthy where they are.
    let keeps = pass.tx.dialect() == Dialect::Moto && ec2_state(pass, &member.id) == "running";
    if pass.is_suspended("ReplaceUnhealthy") || pass.is_suspended("Terminate") || keeps {
        return;
    }
    // One that still runs may stay until its replacement can be counted on.
    if replacing::launches_first(&pass.group)
        && ec2_state(pass, &member.id) == "running"
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
