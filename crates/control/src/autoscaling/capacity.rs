//! Brings a group's capacity to the desired one: launches what is missing, and terminates what is too much.

use crate::autoscaling::launching::{launch, origins};
use crate::autoscaling::leaving;
use crate::autoscaling::mixed::{Mixed, in_use, pool, unit};
use crate::autoscaling::pass::Begun;
use crate::autoscaling::pass::Pass;
use crate::autoscaling::planner_tags::is_planned;
use crate::autoscaling::records::{Group, Lifecycle, Member, Origin, Source};
use crate::autoscaling::refreshing;
use crate::autoscaling::steps::{enter, pause};
use crate::ec2::instances as ec2;
use core::cmp::Ordering;
use forebay_awswire::Service;
use forebay_scaling::{Existing, TerminationPolicy};
use forebay_units::Wall;
use serde_json::json;

/// The most launches in one pass, so that no pass takes too long; the next pass continues.
const LAUNCHES: u32 = 100;

/// Whether a pass would leave the capacity as it is, given that no instance is being replaced.
pub(super) fn is_settled(group: &Group, members: &[&Member], now: Wall) -> bool {
    let counted = members.iter().filter(|member| member.state.counts());
    let capacity: u32 = counted.map(|member| member.weight.unwrap_or(1)).sum();
    match capacity.cmp(&group.desired) {
        Ordering::Equal => true,
        Ordering::Less => {
            group.is_suspended("Launch")
                || (now < group.not_before && !members.iter().any(|member| may_stay(member)))
        }
        Ordering::Greater => group.is_suspended("Terminate"),
    }
}

/// Launches what is missing, and terminates what is too much.
pub(super) fn adjust(pass: &mut Pass<'_, '_>) {
    if pass.group.deleting {
        return empty(pass);
    }
    let desired = pass.group.desired;
    // A replacement that runs beside the instance that it replaces is extra capacity. Counted in, it would make
    // scale-in terminate one of the two before the replacement serves.
    let capacity = pass.capacity().saturating_sub(pass.ahead());
    if capacity < desired {
        scale_out(pass, capacity, desired);
        return;
    }
    let most = refreshing::most(pass).unwrap_or(desired);
    if capacity > most {
        scale_in(pass, capacity, most);
    }
}

/// Takes out all instances of a group that is being deleted, including those in standby and those protected from
/// scale-in.
fn empty(pass: &mut Pass<'_, '_>) {
    for member in pass.members() {
        if member.state.counts() || member.state == Lifecycle::Standby {
            let capacity = pass.capacity();
            let cause = shrinking(pass, capacity, &member);
            leaving::begin(pass, member, cause, true);
        }
    }
}

/// The cause of a termination that shrinks the capacity, which is `capacity` now.
fn shrinking(pass: &Pass<'_, '_>, capacity: u32, member: &Member) -> String {
    let weight = if member.state.counts() {
        member.weight.unwrap_or(1)
    } else {
        0
    };
    format!(
        "{}  At {} an instance was taken out of service in response to a difference between desired and actual capacity, shrinking the capacity from {capacity} to {}.  At {} instance {} was selected for termination.",
        pass.group.cause,
        pass.clock(),
        capacity - weight,
        pass.clock(),
        member.id,
    )
}

/// Whether an instance is leaving only because of scale-in, and may be taken back.
fn may_stay(member: &Member) -> bool {
    member.state == Lifecycle::Terminating && !member.is_ordered && member.unhealthy.is_none()
}

fn scale_out(pass: &mut Pass<'_, '_>, mut capacity: u32, desired: u32) {
    if pass.is_suspended("Launch") {
        return;
    }
    // Instances that have not left yet are the cheapest capacity: they are running and warm.
    for member in pass.members() {
        if capacity >= desired {
            return;
        }
        if may_stay(&member) {
            capacity += member.weight.unwrap_or(1);
            leaving::take_back(pass, member);
        }
    }
    let mut launches = 0;
    while capacity < desired && launches < LAUNCHES && pass.now() >= pass.group.not_before {
        let cause = |to: u32| {
            format!(
                "{}  At {} an instance was started in response to a difference between desired and actual capacity, increasing the capacity from {capacity} to {to}.",
                pass.group.cause,
                pass.clock()
            )
        };
        let cause = cause(desired);
        if let Some(weight) = from_warm_pool(pass, &cause) {
            capacity += weight;
        } else if let Some(weight) = launch(pass, &cause, false) {
            capacity += weight;
        } else {
            return;
        }
        launches += 1;
    }
}

/// Takes the oldest ready instance from the warm pool; `None` if none is ready.
fn from_warm_pool(pass: &mut Pass<'_, '_>, cause: &str) -> Option<u32> {
    let ready = |member: &Member| {
        matches!(
            member.state,
            Lifecycle::WarmedStopped | Lifecycle::WarmedRunning | Lifecycle::WarmedHibernated
        ) && member.unhealthy.is_none()
    };
    let is_stopped = |pass: &Pass<'_, '_>, id: &str| {
        let instance = pass.tx.region().instances.get(id);
        instance.is_some_and(|instance| matches!(instance.state.as_str(), "stopped" | "running"))
    };
    let mut found: Vec<Member> = pass
        .members()
        .into_iter()
        .filter(|member| ready(member) && is_stopped(pass, &member.id))
        .collect();
    found.sort_by_key(|member| member.since);
    let mut member = found.into_iter().next()?;
    if member.state == Lifecycle::WarmedRunning {
        pause(pass, &member.id, false);
    } else {
        let input = json!({"InstanceIds": [member.id]});
        pass.call(Service::Ec2, "StartInstances", input, ec2::start)
            .ok()?;
    }
    let number = pass.start(Begun {
        description: format!("Launching a new EC2 instance from warm pool: {}", member.id),
        cause: cause.to_owned(),
        status: "PreInService",
        progress: 30,
        zone: &member.zone.clone(),
        subnet: None,
    });
    member.activity = Some(number);
    (member.ordered, member.was_warm) = (Some(pass.now()), true);
    let weight = member.weight.unwrap_or(1);
    enter(pass, &mut member, Lifecycle::Pending);
    Some(weight)
}

fn scale_in(pass: &mut Pass<'_, '_>, mut capacity: u32, desired: u32) {
    if pass.is_suspended("Terminate") {
        return;
    }
    let members: Vec<Member> = pass
        .members()
        .into_iter()
        .filter(|member| member.state.counts())
        .collect();
    for place in chosen(pass, &members) {
        let member = &members[place];
        let weight = member.weight.unwrap_or(1);
        // With weights, the next instance may be larger than the surplus. The capacity must not fall below the desired
        // one.
        if capacity < desired + weight {
            continue;
        }
        let cause = shrinking(pass, capacity, member);
        capacity -= weight;
        leaving::begin(pass, member.clone(), cause, false);
    }
}

/// The indices of instances in the order in which scale-in takes them.
pub(super) fn chosen(pass: &mut Pass<'_, '_>, members: &[Member]) -> Vec<usize> {
    let mut policies: Vec<TerminationPolicy> = pass
        .group
        .termination
        .iter()
        .filter_map(|name| TerminationPolicy::parse(name))
        .collect();
    // In a planned group the instances with the fewest requests go first, unless termination policies were set.
    if is_planned(&pass.group) && policies == [TerminationPolicy::Default] {
        policies.insert(0, TerminationPolicy::LeastInflight);
    }
    let surplus = surplus(pass, members);
    let in_flight = if policies.contains(&TerminationPolicy::LeastInflight) {
        let ids: Vec<&str> = members.iter().map(|member| &*member.id).collect();
        pass.tx.observations.in_flight(&ids)
    } else {
        vec![0; members.len()]
    };
    let instances: Vec<forebay_scaling::Instance> = members
        .iter()
        .zip(surplus)
        .zip(in_flight)
        .map(|((member, is_surplus), in_flight)| forebay_scaling::Instance {
            zone: member.zone.clone(),
            launched: pass
                .tx
                .region()
                .instances
                .get(&member.id)
                .map_or(0, |instance| instance.launched.seconds()),
            origin: origin(pass, member),
            is_protected: member.protected,
            is_surplus,
            in_flight,
        })
        .collect();
    let now = pass.now().seconds();
    let rng = &mut *pass.tx.rng;
    forebay_scaling::terminate(&instances, &policies, instances.len(), now, |alike| {
        rng.below(alike as u64) as usize
    })
}

/// Which instances the allocation strategy would not choose. Without a strategy, none.
fn surplus(pass: &Pass<'_, '_>, members: &[Member]) -> Vec<bool> {
    let source = pass.source();
    let (Source::Mixed(policy), Ok(origins)) = (&source, origins(pass.tx, &source)) else {
        return vec![false; members.len()];
    };
    let mixed = Mixed::read(pass.tx, policy, &origins.input, unit(&pass.group));
    let mut others = in_use(pass.tx);
    let pools = members
        .iter()
        .map(|member| pool(&member.instance_type, &member.zone, member.is_spot));
    let existing: Vec<Existing> = pools
        .zip(members)
        .map(|(pool, member)| {
            // What these instances take up would be free again for those launched in their place.
            if let Some(taken) = others.get_mut(&pool) {
                *taken = taken.saturating_sub(1);
            }
            Existing {
                pool,
                weight: member.weight.unwrap_or(1),
            }
        })
        .collect();
    forebay_scaling::surplus(&existing, &mixed.all(), &mixed.distribution, others)
}

fn origin(pass: &Pass<'_, '_>, member: &Member) -> forebay_scaling::Origin {
    match &member.origin {
        Origin::Configuration(name) => {
            let configuration = pass.tx.region().launch_configurations.get(name);
            let made = configuration.map_or(i64::MIN, |configuration| configuration.created.seconds());
            forebay_scaling::Origin::Configuration(made)
        }
        Origin::Template(_, _, version) => forebay_scaling::Origin::Template(*version),
        Origin::Attached => forebay_scaling::Origin::Template(0),
    }
}
