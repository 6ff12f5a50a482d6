//! Instance refresh: decides which instances are replaced next, as in EC2 Auto Scaling's rolling strategy.
//!
//! Instances are replaced in batches, so that healthy ones are never fewer than the minimum and all together never more
//! than the maximum, both percentages of the desired capacity. A rollback is a refresh too: to the old configuration,
//! with `skip_matching`. Instances are counted, not their weights. `preferences` holds what StartInstanceRefresh may
//! set.

mod preferences;

pub use preferences::{Preferences, ProtectedInstances, StandbyInstances};

use core::time::Duration;
use forebay_units::Wall;

/// Time after which a refresh has failed (AWS's limit).
pub const LONGEST: Duration = Duration::from_secs(14 * 86_400);
/// How long to wait for instances that are protected or in standby (AWS's rule).
pub const PATIENCE: Duration = Duration::from_secs(3_600);

/// An instance of the group that has not gone yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// When it was launched. What was launched since the refresh began is new.
    pub launched: Wall,
    /// Since when it is in service; `None` if it is on its way.
    pub in_service: Option<Wall>,
    /// Whether nothing reports it as unhealthy.
    pub is_healthy: bool,
    /// Whether the desired configuration would launch the same.
    pub matches: bool,
    /// Whether it is protected from scale-in.
    pub is_protected: bool,
    /// Whether it is in standby, and so not part of the desired capacity.
    pub is_standby: bool,
    /// Whether it is being terminated.
    pub is_leaving: bool,
}

/// The state of a refresh between two looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// When it began.
    pub began: Wall,
    /// Number of instances to replace as of then ([`to_update`]).
    pub to_update: u32,
    /// The last checkpoint reached: its index, and when.
    pub checkpoint: Option<(usize, Wall)>,
    /// Since when it waits for instances that are protected or in standby.
    pub blocked: Option<Wall>,
    /// When everything was replaced.
    pub replaced: Option<Wall>,
}

impl Progress {
    /// The state of a refresh that begins now.
    pub fn new(instances: &[Instance], preferences: &Preferences, now: Wall) -> Progress {
        Progress {
            began: now,
            to_update: to_update(instances, preferences, now),
            checkpoint: None,
            blocked: None,
            replaced: None,
        }
    }

    /// The state after a look.
    #[must_use]
    pub fn after(mut self, verdict: &Verdict, now: Wall) -> Progress {
        if let Verdict::Checkpoint { place, .. } = verdict
            && self.checkpoint.is_none_or(|(last, _)| last < *place)
        {
            self.checkpoint = Some((*place, now));
        }
        self.blocked = match verdict {
            Verdict::Wait {
                why: Waits::Protected | Waits::Standby,
                ..
            } => self.blocked.or(Some(now)),
            _ => None,
        };
        if let Verdict::Baking { .. } = verdict {
            self.replaced = self.replaced.or(Some(now));
        }
        self
    }
}

/// The condition that a refresh waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// New instances are on their way, warming up or not healthy.
    Warming,
    /// Old instances are being terminated.
    Terminating,
    /// All instances left are protected from scale-in.
    Protected,
    /// All instances left are in standby.
    Standby,
}

/// Why a refresh has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// One of its alarms is in ALARM.
    Alarm,
    /// Instances were protected from scale-in for too long.
    Protected,
    /// Instances were in standby for too long.
    Standby,
    /// The refresh took too long.
    Expired,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Launch and terminate these at once. The group is not below its desired capacity after that. While it is above,
    /// it must not be scaled in for that.
    Replace {
        /// Number of instances to launch with the desired configuration.
        launch: u32,
        /// Indices of the instances to terminate.
        terminate: Vec<usize>,
    },
    /// Wait.
    Wait {
        /// The condition that it waits for.
        why: Waits,
        /// Nothing changes by time alone before this.
        until: Option<Wall>,
    },
    /// Pause at a checkpoint, so that people can look at the result.
    Checkpoint {
        /// Index of the checkpoint.
        place: usize,
        /// When the refresh continues.
        until: Wall,
    },
    /// Everything is replaced; alarms may still fail the refresh until then.
    Baking {
        /// When it will have succeeded.
        until: Wall,
    },
    /// It has succeeded.
    Successful,
    /// It has failed.
    Failed {
        /// The reason.
        why: Failure,
        /// Whether the group is rolled back.
        rolls_back: bool,
    },
}

/// The result of a look at a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The next thing to do.
    pub verdict: Verdict,
    /// `PercentageComplete`: replacements that are healthy and warmed up, as a percentage of the instances to replace.
    pub percentage: u32,
    /// `InstancesToUpdate`.
    pub remaining: u32,
}

/// Number of instances that a refresh beginning now replaces.
pub fn to_update(instances: &[Instance], preferences: &Preferences, now: Wall) -> u32 {
    let old = instances
        .iter()
        .filter(|instance| !instance.is_leaving && preferences.replaces(instance, now));
    old.count() as u32
}

/// The next thing to do. `alarmed` says that one of the refresh's alarms is in ALARM. Instances are replaced in the
/// given order, but unhealthy ones first. O(instances).
pub fn look(
    progress: &Progress,
    preferences: &Preferences,
    instances: &[Instance],
    desired: u32,
    alarmed: bool,
    now: Wall,
) -> Plan {
    let census = Census::take(progress, preferences, instances, now);
    // Some of the replaced ones have no healthy replacement yet.
    let gone = progress.to_update.saturating_sub(census.old.len() as u32);
    let unfilled = desired.saturating_sub(census.total - census.warming);
    let updated = gone.saturating_sub(unfilled);
    let remaining = progress.to_update - updated;
    let percentage = match progress.to_update {
        0 => 100,
        all => (u64::from(updated) * 100 / u64::from(all)) as u32,
    };
    let verdict = decide(
        progress,
        preferences,
        &census,
        instances,
        (desired, updated),
        alarmed,
        now,
    );
    Plan {
        verdict,
        percentage,
        remaining,
    }
}

impl Preferences {
    /// Whether a refresh that began then replaces this instance.
    fn replaces(&self, instance: &Instance, began: Wall) -> bool {
        let is_ignored = (instance.is_protected && self.protected_instances == ProtectedInstances::Ignore)
            || (instance.is_standby && self.standby_instances == StandbyInstances::Ignore);
        instance.launched < began && !is_ignored && !(self.skip_matching && instance.matches)
    }

    fn blocks(&self, instance: &Instance) -> Option<Waits> {
        if instance.is_standby && self.standby_instances == StandbyInstances::Wait {
            Some(Waits::Standby)
        } else if instance.is_protected && self.protected_instances == ProtectedInstances::Wait {
            Some(Waits::Protected)
        } else {
            None
        }
    }
}

/// The group's instances, counted by what a refresh may do with them.
struct Census {
    /// To be replaced and not terminating: indices, in the order in which they go.
    old: Vec<usize>,
    /// Those of `old` that may go now.
    free: Vec<usize>,
    /// The condition that keeps the others.
    blocked: Option<Waits>,
    /// To be replaced, and terminating.
    leaving: u32,
    /// Not to be replaced: new, matching or ignored, without those in standby.
    kept: u32,
    /// Those of `kept` that are not healthy or not warmed up.
    warming: u32,
    /// When the next of those has warmed up.
    next_warmed: Option<Wall>,
    /// In service and healthy; of the kept ones, only those that have warmed up.
    healthy: u32,
    /// All but those terminating or in standby.
    total: u32,
}

impl Census {
    fn take(progress: &Progress, preferences: &Preferences, instances: &[Instance], now: Wall) -> Census {
        let mut census = Census {
            old: Vec::new(),
            free: Vec::new(),
            blocked: None,
            leaving: 0,
            kept: 0,
            warming: 0,
            next_warmed: None,
            healthy: 0,
            total: 0,
        };
        for (place, instance) in instances.iter().enumerate() {
            let is_old = preferences.replaces(instance, progress.began);
            if instance.is_leaving {
                census.leaving += u32::from(is_old);
                continue;
            }
            if is_old {
                census.old.push(place);
                match preferences.blocks(instance) {
                    None => census.free.push(place),
                    Some(why) => census.blocked = census.blocked.or(Some(why)),
                }
            }
            if instance.is_standby {
                continue;
            }
            census.total += 1;
            if is_old {
                census.healthy += u32::from(instance.counts_as_healthy());
            } else {
                census.keep(instance, preferences, now);
            }
        }
        // Unhealthy ones first: terminating them costs no healthy capacity.
        census
            .free
            .sort_by_key(|&place| instances[place].counts_as_healthy());
        census
    }

    fn keep(&mut self, instance: &Instance, preferences: &Preferences, now: Wall) {
        self.kept += 1;
        let warmed = instance
            .in_service
            .map(|since| since + preferences.instance_warmup);
        if instance.is_healthy && warmed.is_some_and(|at| at <= now) {
            self.healthy += 1;
            return;
        }
        self.warming += 1;
        if let Some(at) = warmed.filter(|&at| at > now) {
            self.next_warmed = Some(self.next_warmed.map_or(at, |next| next.min(at)));
        }
    }
}

impl Instance {
    fn counts_as_healthy(&self) -> bool {
        self.is_healthy && self.in_service.is_some() && !self.is_standby
    }
}

fn decide(
    progress: &Progress,
    preferences: &Preferences,
    census: &Census,
    instances: &[Instance],
    (desired, updated): (u32, u32),
    alarmed: bool,
    now: Wall,
) -> Verdict {
    let failed = |why| Verdict::Failed {
        why,
        rolls_back: preferences.auto_rollback,
    };
    // First, because an alarm fails the refresh even while it waits or bakes.
    if alarmed {
        return failed(Failure::Alarm);
    }
    let last = preferences.checkpoint_percentages.len().saturating_sub(1);
    let goal = preferences.checkpoint_count(last, progress.to_update);
    // A complete refresh is over when nothing old is left and its replacements are healthy; a partial one when its last
    // checkpoint is reached.
    let is_steady = census.warming == 0 && census.leaving == 0 && census.kept >= desired;
    let is_over = match progress.to_update {
        0 => true,
        all if goal == all => census.old.is_empty() && is_steady,
        _ => updated >= goal,
    };
    // During the bake time an instance that becomes unhealthy does not reopen the refresh, so `replaced` decides alone.
    if progress.replaced.is_some() || is_over {
        let until = progress.replaced.unwrap_or(now) + preferences.bake_time;
        return match until {
            until if now < until => Verdict::Baking { until },
            _ => Verdict::Successful,
        };
    }
    // After the check above: a refresh that only bakes does not expire.
    if now >= progress.began + LONGEST {
        return failed(Failure::Expired);
    }
    let goal = match next_goal(progress, preferences, updated, now) {
        Ok(goal) => goal,
        Err(verdict) => return verdict,
    };
    let gone = progress.to_update.saturating_sub(census.old.len() as u32);
    // Instances that are gone count towards the checkpoint even before their replacements are healthy.
    let budget = goal.saturating_sub(gone);
    let step = batch(preferences, census, instances, desired, budget);
    if let Some(verdict) = step {
        return verdict;
    }
    wait(progress, census, now).unwrap_or_else(failed)
}

/// The number of instances to replace before the next checkpoint, or the checkpoint itself as a verdict.
fn next_goal(
    progress: &Progress,
    preferences: &Preferences,
    updated: u32,
    now: Wall,
) -> Result<u32, Verdict> {
    let count_at = |place| preferences.checkpoint_count(place, progress.to_update);
    let mut next = 0;
    if let Some((place, reached)) = progress.checkpoint {
        let until = reached + preferences.checkpoint_delay;
        if now < until {
            return Err(Verdict::Checkpoint { place, until });
        }
        next = place + 1;
    }
    // The last one is not a pause but the end of the refresh.
    let pauses = preferences.checkpoint_percentages.len().saturating_sub(1);
    let reached = (next..pauses).rev().find(|&place| updated >= count_at(place));
    match reached {
        Some(place) => Err(Verdict::Checkpoint {
            place,
            until: now + preferences.checkpoint_delay,
        }),
        None => Ok(count_at(next)),
    }
}

/// The instances to launch and terminate now, if any. `budget` is how many may be replaced before the next checkpoint.
fn batch(
    preferences: &Preferences,
    census: &Census,
    instances: &[Instance],
    desired: u32,
    budget: u32,
) -> Option<Verdict> {
    let share = |percent: u32| u64::from(desired) * u64::from(percent);
    let least = share(preferences.min_healthy_percentage.min(100)).div_ceil(100) as u32;
    let most = share(preferences.max_healthy_percentage.unwrap_or(100).max(100)) / 100;
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    // Only healthy instances count against the minimum; terminating others costs nothing.
    let mut spare = census.healthy.saturating_sub(least);
    let mut terminate = Vec::new();
    for &place in census.free.iter().take(budget as usize) {
        if instances[place].counts_as_healthy() {
            match spare.checked_sub(1) {
                Some(left) => spare = left,
                None => break,
            }
        }
        terminate.push(place);
    }
    let leave = terminate.iter().filter(|&&place| !instances[place].is_standby);
    let stay = census.total - leave.count() as u32;
    // New instances are at most as many as the desired capacity, so that exactly those are left when the old ones are
    // gone. They are also not further ahead than the old ones that may go before the next checkpoint.
    let ahead = u32::try_from(census.free.len()).unwrap_or(u32::MAX).min(budget);
    let ahead = ahead.saturating_sub(terminate.len() as u32);
    let missing = desired.saturating_sub(census.kept);
    let launch = missing.min(most.min(desired.saturating_add(ahead)).saturating_sub(stay));
    if launch > 0 || !terminate.is_empty() {
        return Some(Verdict::Replace { launch, terminate });
    }
    let is_idle = census.warming == 0 && census.leaving == 0;
    let first = *census.free.first().filter(|_| is_idle && budget > 0)?;
    // Both bounds leave no room, so one at a time.
    Some(match preferences.max_healthy_percentage {
        Some(_) => Verdict::Replace {
            launch: 1,
            terminate: Vec::new(),
        },
        None => Verdict::Replace {
            launch: 1,
            terminate: vec![first],
        },
    })
}

fn wait(progress: &Progress, census: &Census, now: Wall) -> Result<Verdict, Failure> {
    if census.warming > 0 {
        return Ok(Verdict::Wait {
            why: Waits::Warming,
            until: census.next_warmed,
        });
    }
    // While instances are terminating the refresh makes progress, so the hour does not run yet.
    let Some(why) = census.blocked.filter(|_| census.leaving == 0) else {
        return Ok(Verdict::Wait {
            why: Waits::Terminating,
            until: None,
        });
    };
    let until = progress.blocked.unwrap_or(now) + PATIENCE;
    if now < until {
        return Ok(Verdict::Wait {
            why,
            until: Some(until),
        });
    }
    Err(match why {
        Waits::Standby => Failure::Standby,
        _ => Failure::Protected,
    })
}

#[cfg(test)]
mod tests;
