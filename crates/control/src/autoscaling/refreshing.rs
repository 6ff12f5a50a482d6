//! Carries out instance refreshes: what is launched and terminated next, and how a refresh ends.

use crate::autoscaling::launching::{Wish, launch_as, of_source, origins};
use crate::autoscaling::leaving;
use crate::autoscaling::lookup::{numbered, texts};
use crate::autoscaling::mixed::{Mixed, unit};
use crate::autoscaling::pass::Pass;
use crate::autoscaling::records::{Leg, Lifecycle, Member, Origin, Refresh, Rollback, Source};
use crate::autoscaling::refresh_preferences::{back, read};
use forebay_scaling::refresh::{Failure, Instance, Plan, Preferences, Progress, Verdict, Waits, look};
use forebay_signals::alarm::State;
use forebay_units::Wall;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A refresh fails after this many failed launches in a row.
const FAILURES: u32 = 6;

/// Advances the group's refresh, if one is in progress.
pub(super) fn advance(pass: &mut Pass<'_, '_>) {
    if pass.is_suspended("InstanceRefresh") || pass.group.deleting {
        return;
    }
    let Some(found) = pass.tx.region().active_refresh(&pass.group.name).cloned() else {
        return;
    };
    let mut refresh = Refresh::clone(&found);
    // A cancelled refresh ends only once nothing is moving any more: what it has begun with an instance, it finishes.
    if refresh.status == "Cancelling" {
        if !is_moving(pass) {
            end(pass, &mut refresh, "Cancelled");
        }
        put(pass, refresh);
        return;
    }
    let mut preferences = read(&refresh.preferences);
    if refresh.rollback.is_some() {
        preferences = back(preferences);
    }
    let (members, instances) = seen(pass);
    let now = pass.now();
    let is_first = refresh.leg.is_none();
    let progress = match &refresh.leg {
        Some(leg) => leg.progress(),
        None => Progress::new(&instances, &preferences, now),
    };
    // A rollback ignores alarms: the cause of one may be exactly what is being rolled back.
    let alarmed = refresh.rollback.is_none() && is_alarmed(pass, &refresh);
    let desired = desired_count(pass, &members);
    let plan = look(&progress, &preferences, &instances, desired, alarmed, now);
    refresh.leg = Some(Leg::of(&progress.after(&plan.verdict, now)));
    refresh.percentage = plan.percentage;
    refresh.to_update = plan.remaining;
    if is_first {
        // Failed launches from the old source say nothing about the new one.
        pass.group.failures = 0;
        pass.group.not_before = now;
        empty_warm_pool(pass);
    }
    follow(pass, &mut refresh, &preferences, plan, &members);
    put(pass, refresh);
}

impl Leg {
    fn progress(&self) -> Progress {
        Progress {
            began: self.began,
            to_update: self.total,
            checkpoint: self.checkpoint,
            blocked: self.blocked,
            replaced: self.replaced,
        }
    }

    fn of(progress: &Progress) -> Leg {
        Leg {
            began: progress.began,
            total: progress.to_update,
            checkpoint: progress.checkpoint,
            blocked: progress.blocked,
            replaced: progress.replaced,
        }
    }
}

fn put(pass: &mut Pass<'_, '_>, refresh: Refresh) {
    let key = numbered(&refresh.group, refresh.number);
    if pass.tx.region().refreshes.get(&key).map(|known| &**known) != Some(&refresh) {
        pass.tx.region_mut().refreshes.insert(key, Arc::new(refresh));
        pass.touch();
    }
}

fn end(pass: &Pass<'_, '_>, refresh: &mut Refresh, status: &str) {
    status.clone_into(&mut refresh.status);
    refresh.ended = Some(pass.now());
}

/// Whether instances are being launched or are leaving.
fn is_moving(pass: &Pass<'_, '_>) -> bool {
    let mut members = pass.tx.region().members_of(&pass.group.name);
    members.any(|member| {
        member.state.leaves() || (member.state.counts() && member.state != Lifecycle::InService)
    })
}

/// The group's instances, oldest first, and what `forebay_scaling` needs to know about them.
fn seen(pass: &Pass<'_, '_>) -> (Vec<Member>, Vec<Instance>) {
    let launched = |member: &Member| {
        let instance = pass.tx.region().instances.get(&member.id);
        instance.map_or(member.since, |instance| instance.launched)
    };
    let mut members = pass.members();
    members.retain(|member| !member.state.is_warmed() && member.state != Lifecycle::Detaching);
    members.sort_by_key(|member| (launched(member), member.id.clone()));
    let source = pass.source();
    let fits = fitting(pass, &source);
    let instances = members.iter().map(|member| Instance {
        launched: launched(member),
        in_service: match member.state {
            // An instance counts from when its target groups found it healthy.
            Lifecycle::InService => member.ready.or(member.in_service),
            _ => None,
        },
        is_healthy: member.unhealthy.is_none() && member.ready.is_some(),
        matches: fits(member),
        is_protected: member.protected,
        is_standby: matches!(member.state, Lifecycle::Standby | Lifecycle::EnteringStandby),
        is_leaving: member.state.leaves(),
    });
    let instances = instances.collect();
    (members, instances)
}

/// Whether an instance is what `source` would launch.
fn fitting(pass: &Pass<'_, '_>, source: &Source) -> impl Fn(&Member) -> bool + use<> {
    let own = origins(pass.tx, source).ok();
    let mut known: Vec<Origin> = own.iter().map(|own| own.origin.clone()).collect();
    let mut names: Option<BTreeSet<String>> = None;
    if let (Source::Mixed(policy), Some(own)) = (source, &own) {
        let overrides = policy["LaunchTemplate"]["Overrides"].as_array();
        let templates = overrides
            .into_iter()
            .flatten()
            .filter_map(|given| of_source(pass.tx, given.get("LaunchTemplateSpecification")?).ok());
        known.extend(templates.map(|found| found.origin));
        let mixed = Mixed::read(pass.tx, policy, &own.input, unit(&pass.group));
        let offers = mixed.all();
        names = Some(offers.iter().map(|offer| offer.shape.name.clone()).collect());
    }
    move |member| {
        known.contains(&member.origin)
            && names
                .as_ref()
                .is_none_or(|names| names.contains(&member.instance_type))
    }
}

/// How many instances make up the desired capacity. With weights: as many as there would be at their average weight.
fn desired_count(pass: &Pass<'_, '_>, members: &[Member]) -> u32 {
    let counted = members.iter().filter(|member| member.state.counts());
    let weights: Vec<u64> = counted
        .map(|member| u64::from(member.weight.unwrap_or(1)))
        .collect();
    let (count, capacity) = (weights.len() as u64, weights.iter().sum::<u64>());
    if capacity == count {
        return pass.group.desired;
    }
    (u64::from(pass.group.desired) * count).div_ceil(capacity.max(1)) as u32
}

fn is_alarmed(pass: &Pass<'_, '_>, refresh: &Refresh) -> bool {
    let names = texts(&refresh.preferences["AlarmSpecification"]["Alarms"]);
    let alarms = &pass.tx.region().alarms;
    let mut found = names.iter().filter_map(|name| alarms.get(name));
    found.any(|alarm| alarm.state == State::Alarm)
}

/// Removes the instances in the warm pool, which were launched from what is being replaced. The pool is then filled
/// anew.
fn empty_warm_pool(pass: &mut Pass<'_, '_>) {
    let fits = fitting(pass, &pass.source());
    for member in pass.members() {
        if member.state.is_warmed() && !member.state.leaves() && !fits(&member) {
            let cause = cause(pass, "taken out of the warm pool");
            leaving::begin(pass, member, cause, true);
        }
    }
}

fn cause(pass: &Pass<'_, '_>, what: &str) -> String {
    format!(
        "At {} an instance was {what} in response to an instance refresh.",
        pass.clock()
    )
}

/// Carries out a decision.
fn follow(
    pass: &mut Pass<'_, '_>,
    refresh: &mut Refresh,
    preferences: &Preferences,
    plan: Plan,
    members: &[Member],
) {
    let is_back = refresh.rollback.is_some();
    let goes_on = if is_back {
        "RollbackInProgress"
    } else {
        "InProgress"
    };
    goes_on.clone_into(&mut refresh.status);
    match plan.verdict {
        Verdict::Replace { launch, terminate } => {
            refresh.reason = None;
            for place in terminate {
                let cause = cause(pass, "taken out of service");
                leaving::begin(pass, members[place].clone(), cause, true);
            }
            launch_new(pass, refresh, launch);
            if pass.group.failures >= FAILURES {
                let why = "Launches have failed several times in a row; the scaling activities say why.";
                fail(pass, refresh, why, preferences.auto_rollback);
            }
        }
        Verdict::Wait { why, .. } => refresh.reason = Some(waits(why).to_owned()),
        Verdict::Checkpoint { place, .. } => {
            let percent = preferences.checkpoint_percentages.get(place).copied();
            refresh.reason = Some(format!(
                "Reached the checkpoint at {} percent; waiting before the next instances are replaced.",
                percent.unwrap_or(100)
            ));
        }
        Verdict::Baking { .. } => {
            "Baking".clone_into(&mut refresh.status);
            refresh.reason = None;
        }
        Verdict::Successful => {
            refresh.reason = None;
            refresh.percentage = 100;
            if is_back {
                end(pass, refresh, "RollbackSuccessful");
                return;
            }
            end(pass, refresh, "Successful");
            // Only now, so that a refresh that fails leaves the group's configuration as it was.
            if let Some(source) = refresh.source.clone() {
                pass.group.source = source;
            }
        }
        Verdict::Failed { why, rolls_back } => fail(pass, refresh, failed(why), rolls_back),
    }
}

fn launch_new(pass: &mut Pass<'_, '_>, refresh: &Refresh, count: u32) {
    for _ in 0..count {
        // Launches that fail are retried with increasing delays.
        if pass.is_suspended("Launch") || pass.now() < pass.group.not_before {
            return;
        }
        let cause = cause(pass, "launched");
        let wish = Wish {
            cause: &cause,
            warmed: false,
            zone: None,
            subnet: None,
            refresh: Some(&refresh.id),
        };
        if launch_as(pass, &wish).is_none() {
            return;
        }
    }
}

/// Turns a refresh back to the configuration before it.
pub(super) fn turn(refresh: &mut Refresh, reason: &str, now: Wall) {
    refresh.rollback = Some(Rollback {
        reason: reason.to_owned(),
        began: now,
        percentage: refresh.percentage,
        to_update: refresh.to_update,
    });
    "RollbackInProgress".clone_into(&mut refresh.status);
    refresh.reason = None;
    refresh.source = Some(refresh.before.clone());
    // The way back is a leg of its own and counts its instances anew.
    refresh.leg = None;
}

fn fail(pass: &mut Pass<'_, '_>, refresh: &mut Refresh, why: &str, rolls_back: bool) {
    if rolls_back && refresh.rollback.is_none() && refresh.source.is_some() {
        turn(refresh, why, pass.now());
        // The previous configuration is known to work, so it need not wait for failures of the new one.
        pass.group.failures = 0;
        pass.group.not_before = pass.now();
        return;
    }
    refresh.reason = Some(why.to_owned());
    let status = if refresh.rollback.is_some() {
        "RollbackFailed"
    } else {
        "Failed"
    };
    end(pass, refresh, status);
}

fn waits(why: Waits) -> &'static str {
    match why {
        Waits::Warming => "Waiting for instances to warm up before continuing.",
        Waits::Terminating => "Waiting for instances to be terminated before continuing.",
        Waits::Protected => "Waiting for instances that are protected from scale in.",
        Waits::Standby => "Waiting for instances on standby.",
    }
}

fn failed(why: Failure) -> &'static str {
    match why {
        Failure::Alarm => "An alarm of the instance refresh is in ALARM state.",
        Failure::Protected => "Instances were protected from scale in for too long.",
        Failure::Standby => "Instances were on standby for too long.",
        Failure::Expired => "The instance refresh took too long.",
    }
}

/// The most capacity that the group may have while its refresh is in progress: new instances beside old ones are not
/// scaled in. `None` without a refresh.
pub(super) fn most(pass: &Pass<'_, '_>) -> Option<u32> {
    let refresh = pass.tx.region().active_refresh(&pass.group.name)?;
    let desired = pass.group.desired;
    let share = refresh.preferences["MaxHealthyPercentage"].as_u64();
    let heaviest = pass.members().iter().filter_map(|member| member.weight).max();
    let share = match share {
        // If both bounds leave no room, they are exceeded by one instance.
        Some(share) => (u64::from(desired) * share / 100).max(u64::from(desired) + 1),
        None => u64::from(desired),
    };
    let most = share + u64::from(heaviest.unwrap_or(1) - 1);
    Some(u32::try_from(most).unwrap_or(u32::MAX))
}
