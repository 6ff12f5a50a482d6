//! Replacements that are launched before the old instance leaves: to balance zones, for Spot Instances with an
//! interruption notice, for instances that exceed the maximum lifetime, and for unhealthy ones if the maintenance
//! policy says so.

use crate::Region;
use crate::api::context::View;
use crate::autoscaling::capacity::chosen;
use crate::autoscaling::choice::choices;
use crate::autoscaling::launching::{Wish, launch_as, origins};
use crate::autoscaling::leaving;
use crate::autoscaling::pass::Pass;
use crate::autoscaling::planner_tags::backlog_tags;
use crate::autoscaling::records::{Group, Lifecycle, Member, Replaced};
use core::time::Duration;
use forebay_scaling::{Zone, rebalance, rebalance_margin};
use forebay_units::Wall;
use serde_json::Value;

/// How long a group must have been quiet before zones are balanced: ordinary launches and terminations may balance them
/// anyway.
const REST: Duration = Duration::from_secs(10);

/// Lets instances leave whose replacements are ready, and begins new replacements.
pub(super) fn advance(pass: &mut Pass<'_, '_>) {
    if pass.group.deleting {
        return;
    }
    finish(pass);
    if pass.is_suspended("Launch") || pass.is_suspended("Terminate") {
        return;
    }
    interrupted(pass);
    if !is_quiet(pass) || outlived(pass) {
        return;
    }
    if may_even(&pass.group, pass.now()) {
        even(pass);
    }
}

/// Whether zones may be balanced now.
fn may_even(group: &Group, now: Wall) -> bool {
    let rested = group.quiet_since.is_none_or(|since| now >= since + REST);
    rested && !group.is_suspended("AZRebalance")
}

/// Whether there may be something to replace in a group whose instances are all in service or at rest.
pub(super) fn has_work(view: &View<'_>, group: &Group, members: &[&Member]) -> bool {
    if members.iter().any(|member| member.replaces.is_some()) {
        return true;
    }
    if group.is_suspended("Launch") || group.is_suspended("Terminate") {
        return false;
    }
    let (region, now) = (view.region(), view.request.now);
    let is_next = |member: &Member| {
        (rebalances(group) && is_noticed(region, member))
            || lifetime(group).is_some_and(|lifetime| is_outlived(region, member, lifetime, now))
    };
    members.iter().any(|member| is_next(member))
        || (may_even(group, now) && rebalance(&zones(group, members.iter().copied())).is_some())
}

fn finish(pass: &mut Pass<'_, '_>) {
    for mut member in pass.members() {
        let Some(replaced) = member.replaces.clone() else {
            continue;
        };
        let others = pass.members();
        let old = others.into_iter().find(|other| other.id == replaced.id);
        match old.filter(|old| old.state.counts()) {
            Some(_) if member.state != Lifecycle::InService || member.ready.is_none() => continue,
            Some(_) if pass.is_suspended("Terminate") => continue,
            // A worker with an interruption notice may finish its messages in the time that it has left; it gets no new
            // ones.
            Some(old) if finishes(pass, &old) => continue,
            Some(old) => {
                let cause = format!(
                    "At {} an instance was taken out of service in response to {}.",
                    pass.clock(),
                    replaced.why
                );
                leaving::begin(pass, old, cause, true);
            }
            None => {}
        }
        member.replaces = None;
        pass.put(member);
    }
}

/// Whether an instance ends by itself, and may work until then.
fn finishes(pass: &Pass<'_, '_>, old: &Member) -> bool {
    backlog_tags(&pass.group).is_some() && is_noticed(pass.tx.region(), old)
}

/// Whether all instances are in service and ready, and nothing else is in progress.
fn is_quiet(pass: &Pass<'_, '_>) -> bool {
    let region = pass.tx.region();
    let mut members = region.members_of(&pass.group.name);
    region.active_refresh(&pass.group.name).is_none()
        && pass.now() >= pass.group.not_before
        && pass.capacity() >= pass.group.desired
        && members.all(|member| match member.state {
            Lifecycle::InService => {
                member.ready.is_some() && member.unhealthy.is_none() && member.replaces.is_none()
            }
            Lifecycle::Standby => true,
            other => other.is_warmed(),
        })
}

/// Whether the maintenance policy launches before it terminates.
pub(super) fn launches_first(group: &Group) -> bool {
    let policy = group.others.get("InstanceMaintenancePolicy");
    policy.is_some_and(|policy| policy["MinHealthyPercentage"] == 100 && most_healthy(group) > 100)
}

fn most_healthy(group: &Group) -> u64 {
    let policy = group.others.get("InstanceMaintenancePolicy");
    let most = policy.and_then(|policy| policy["MaxHealthyPercentage"].as_u64());
    most.unwrap_or(100)
}

/// Launches the replacement of an instance, unless it has one. `limit` is the most capacity that the group may then
/// have.
fn launch_for(
    pass: &mut Pass<'_, '_>,
    old: &Member,
    place: Option<&str>,
    cause: &str,
    why: &str,
    limit: u32,
) -> bool {
    let is_replaced = |member: &Member| member.replaces.as_ref().is_some_and(|known| known.id == old.id);
    let weight = old.weight.unwrap_or(1);
    if pass.members().iter().any(is_replaced)
        || pass.now() < pass.group.not_before
        || pass.capacity().saturating_add(weight) > limit
    {
        return false;
    }
    let wish = Wish {
        cause,
        warmed: false,
        zone: place,
        subnet: None,
        refresh: None,
    };
    let Some(mut member) = launch_as(pass, &wish) else {
        return false;
    };
    member.replaces = Some(Replaced {
        id: old.id.clone(),
        why: why.to_owned(),
    });
    pass.put(member);
    true
}

/// The most capacity during a replacement: the group's maximum, plus a margin.
fn with_margin(group: &Group) -> u32 {
    group.max.saturating_add(rebalance_margin(group.max))
}

/// Launches a replacement for an instance within the maintenance policy's limit, but at least one.
pub(super) fn ahead_of(pass: &mut Pass<'_, '_>, old: &Member, why: &str) {
    let desired = u64::from(pass.group.desired);
    let limit = (desired * most_healthy(&pass.group) / 100).max(desired + u64::from(old.weight.unwrap_or(1)));
    let cause = format!(
        "At {} an instance was launched in response to {why}.",
        pass.clock()
    );
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    launch_for(pass, old, None, &cause, why, limit);
}

/// Replaces Spot Instances that have an interruption notice.
fn interrupted(pass: &mut Pass<'_, '_>) {
    if !rebalances(&pass.group) {
        return;
    }
    for member in pass.members() {
        if !is_noticed(pass.tx.region(), &member) {
            continue;
        }
        let why = "an EC2 Spot Instance interruption notice";
        let cause = format!(
            "At {} an instance was launched in response to {why}.",
            pass.clock()
        );
        let limit = with_margin(&pass.group).max(pass.capacity().saturating_add(member.weight.unwrap_or(1)));
        launch_for(pass, &member, None, &cause, why, limit);
    }
}

/// Whether Spot Instances with an interruption notice are replaced before they end. In a group that is sized by a
/// backlog they always are: its plan relies on the capacity.
fn rebalances(group: &Group) -> bool {
    group.others.get("CapacityRebalance") == Some(&Value::Bool(true)) || backlog_tags(group).is_some()
}

/// Whether it is in service and has an interruption notice.
fn is_noticed(region: &Region, member: &Member) -> bool {
    let instance = region.instances.get(&member.id);
    member.state == Lifecycle::InService && instance.is_some_and(|instance| instance.interrupted_at.is_some())
}

fn launched(region: &Region, member: &Member) -> Wall {
    let instance = region.instances.get(&member.id);
    instance.map_or(member.since, |instance| instance.launched)
}

/// The maximum lifetime of the group's instances.
fn lifetime(group: &Group) -> Option<Duration> {
    let seconds = group.others.get("MaxInstanceLifetime")?.as_u64()?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// Whether it exceeds the maximum lifetime and may be replaced.
fn is_outlived(region: &Region, member: &Member, lifetime: Duration, now: Wall) -> bool {
    member.state == Lifecycle::InService && !member.protected && launched(region, member) + lifetime <= now
}

/// Replaces the oldest instance that exceeds the maximum lifetime, one at a time. Returns whether there was one.
fn outlived(pass: &mut Pass<'_, '_>) -> bool {
    let Some(lifetime) = lifetime(&pass.group) else {
        return false;
    };
    let (region, now) = (pass.tx.region(), pass.now());
    let old = region
        .members_of(&pass.group.name)
        .filter(|member| is_outlived(region, member, lifetime, now))
        .min_by_key(|member| (launched(region, member), &member.id));
    let Some(old) = old.map(|old| Member::clone(old)) else {
        return false;
    };
    let why = "an instance exceeding the maximum instance lifetime";
    if launches_first(&pass.group) {
        ahead_of(pass, &old, why);
    } else {
        let cause = format!(
            "At {} an instance was taken out of service in response to {why}.",
            pass.clock()
        );
        leaving::begin(pass, old, cause, true);
    }
    true
}

/// Balances zones by one instance.
fn even(pass: &mut Pass<'_, '_>) {
    let members: Vec<Member> = pass
        .members()
        .into_iter()
        .filter(|member| member.state == Lifecycle::InService)
        .collect();
    let mut zones = zones(&pass.group, members.iter());
    // Whether zones can have launches is looked up only if they are uneven, because it is expensive.
    if rebalance(&zones).is_none() {
        return;
    }
    let source = pass.source();
    let Ok(origins) = origins(pass.tx, &source) else {
        return;
    };
    for zone in &mut zones {
        zone.is_failing = choices(pass, &source, &origins.input, &zone.name).is_err();
    }
    let Some(step) = rebalance(&zones) else { return };
    let (to, from) = (zones[step.to].name.clone(), &zones[step.from].name);
    let there: Vec<Member> = members
        .into_iter()
        .filter(|member| member.zone == *from && !member.protected)
        .collect();
    let Some(&place) = chosen(pass, &there).first() else {
        return;
    };
    let cause = format!(
        "At {} an instance was launched to balance instances in zone {to} with other zones, resulting in more than the desired number of instances in the group.",
        pass.clock()
    );
    let why = "uneven Availability Zones";
    let limit = with_margin(&pass.group);
    launch_for(pass, &there[place], Some(&to), &cause, why, limit);
}

/// The group's zones, each with its number of instances in service.
fn zones<'m>(group: &Group, members: impl Iterator<Item = &'m Member> + Clone) -> Vec<Zone> {
    let serving = members.filter(|member| member.state == Lifecycle::InService);
    let zones = group.zones.iter().map(|name| Zone {
        name: name.clone(),
        instances: serving.clone().filter(|member| member.zone == *name).count() as u32,
        is_failing: false,
    });
    zones.collect()
}
