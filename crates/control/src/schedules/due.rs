//! Finds due runs. They are stored in the same commit as the time of the look, so that none is found twice or lost. A run
//! with a flexible window is stored at its scheduled time, and waits for its moment as a row.

use super::lives::runs_of;
use super::records::{RunPhase, ScheduleClock, ScheduledRun, Target, Timing, key};
use crate::state::State;
use crate::tables::Region;
use core::time::Duration;
use forebay_schedules::{AfterCompletion, CatchUp, Look};
use forebay_units::Wall;
use std::sync::Arc;

/// How many ended runs of each schedule are kept.
const HISTORY: usize = 20;

/// How missed runs are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looking {
    /// The catch-up policy.
    pub catch_up: CatchUp,
    /// How late a run may be without counting as missed.
    pub tolerance: Duration,
}

impl Default for Looking {
    fn default() -> Looking {
        Looking {
            catch_up: CatchUp::RunLatest,
            tolerance: Duration::from_secs(60),
        }
    }
}

/// An enabled schedule or rule.
struct Enabled<'a> {
    timing: &'a Timing,
    targets: &'a [Target],
}

/// The enabled schedule or rule with an ARN.
fn enabled<'a>(region: &'a Region, arn: &str) -> Option<Enabled<'a>> {
    if let Some(schedule) = schedule_key(arn).and_then(|key| region.event_schedules.get(key)) {
        return schedule.enabled.then_some(Enabled {
            timing: &schedule.timing,
            targets: core::slice::from_ref(&schedule.target),
        });
    }
    let (_, name) = arn.split_once(":rule/")?;
    let rule = region.event_rules.get(name)?;
    rule.enabled.then_some(Enabled {
        timing: &rule.timing,
        targets: &rule.targets,
    })
}

/// The key of a schedule's row, from its ARN.
pub(super) fn schedule_key(arn: &str) -> Option<&str> {
    Some(arn.split_once(":schedule/")?.1)
}

/// How far a look may lie in the future before it is clear that the wall clock was wrong then.
const AHEAD: Duration = Duration::from_secs(86_400);

/// Whether the clock must be looked at: a run is due, or the last look lies in the future.
fn is_due(clock: &ScheduleClock, now: Wall) -> bool {
    clock.next.is_some_and(|next| next <= now) || clock.last > now + AHEAD
}

/// When to look next, if ever. Runs in progress are left out.
pub fn next_look(state: &State, now: Wall, is_under_way: impl Fn(&str, &str) -> bool + Copy) -> Option<Wall> {
    let regions = state.regions().flat_map(|(name, region)| {
        let clocks = region.schedule_clocks.values();
        let clocks = clocks.filter_map(move |clock| if is_due(clock, now) { Some(now) } else { clock.next });
        let runs = region
            .scheduled_runs
            .iter()
            .filter(move |(key, _)| !is_under_way(name, key));
        let runs = runs.filter_map(|(_, run)| match run.phase {
            RunPhase::Due { at, .. } | RunPhase::DeadLetter { at, .. } => Some(at),
            RunPhase::Done { .. } => None,
        });
        clocks.chain(runs)
    });
    regions.min()
}

/// The state with rows for all runs that are due; `None` if nothing is due. [`super::doing`] lists their keys.
pub fn look(state: &State, now: Wall, how: Looking) -> Option<State> {
    let seed = state.stable_seed();
    let mut next = state.clone();
    let mut changed = false;
    for (name, region) in state.regions() {
        let due: Vec<(&String, &Arc<ScheduleClock>)> = region
            .schedule_clocks
            .iter()
            .filter(|(_, clock)| is_due(clock, now))
            .collect();
        for (arn, clock) in due {
            changed = true;
            let into = next.region_mut(name);
            // A clock without an enabled schedule, or with an expression that cannot be parsed any more, would be due
            // for ever.
            let Some(enabled) = enabled(region, arn) else {
                into.schedule_clocks.remove(arn);
                continue;
            };
            let Ok(times) = enabled.timing.times() else {
                into.schedule_clocks.remove(arn);
                continue;
            };
            let named: Arc<str> = Arc::from(arn.as_str());
            let mut clock = (**clock).clone();
            if clock.last > now + AHEAD {
                // The wall clock was wrong at the last look. Times that have run since have their rows.
                clock.last = now;
            }
            let found = forebay_schedules::look(
                &named,
                &times,
                (clock.last, now),
                how.catch_up,
                how.tolerance,
                seed,
            );
            take(into, arn, &clock, &enabled, &found, now);
        }
    }
    changed.then(|| {
        next.grow();
        next
    })
}

fn take(into: &mut Region, arn: &str, clock: &ScheduleClock, enabled: &Enabled<'_>, found: &Look, now: Wall) {
    let targets: Vec<Arc<Target>> = enabled.targets.iter().cloned().map(Arc::new).collect();
    for run in &found.runs {
        for target in &targets {
            let key = key(arn, run.id.scheduled, &target.id);
            let new = ScheduledRun {
                schedule: arn.to_owned(),
                scheduled: run.id.scheduled,
                begun: run.begins,
                caught_up: run.reason == forebay_schedules::RunReason::CaughtUp,
                target: Arc::clone(target),
                failures: 0,
                phase: RunPhase::Due {
                    at: run.begins,
                    why: None,
                },
            };
            // A time that has run does not run again, even if its clock was reset.
            if !into.scheduled_runs.contains_key(&key) && !into.ended_runs.contains_key(&key) {
                into.scheduled_runs.insert(key, Arc::new(new));
            }
        }
    }
    let clock = ScheduleClock {
        // Never back, even if the wall clock is: otherwise the same times would be found again.
        last: now.max(clock.last),
        next: found.next_look,
        missed: clock.missed + found.missed.count as u64,
    };
    into.schedule_clocks.insert(arn.to_owned(), Arc::new(clock));
    settle(into, arn);
}

/// The state without the runs whose moment within their window passed while Forebay was not running; `None` if there are
/// none. As with other missed runs, the latest one of each schedule runs, if so configured. To be called after the first
/// look.
pub fn miss(state: &State, now: Wall, how: Looking) -> Option<State> {
    let mut next = state.clone();
    let mut changed = false;
    for (name, region) in state.regions() {
        // Rows are ordered by schedule and time, so the latest of each schedule comes first.
        let missed = region.scheduled_runs.iter().rev().filter(|(_, run)| {
            run.failures == 0 && run.begun > run.scheduled && run.begun + how.tolerance < now
        });
        let mut latest = None;
        for (key, run) in missed {
            let is_latest = latest != Some(&run.schedule);
            latest = Some(&run.schedule);
            changed = true;
            let into = next.region_mut(name);
            if is_latest && how.catch_up == CatchUp::RunLatest {
                let caught_up = true;
                let run = (**run).clone();
                into.scheduled_runs
                    .insert(key.clone(), Arc::new(ScheduledRun { caught_up, ..run }));
                continue;
            }
            into.scheduled_runs.remove(key);
            if let Some(clock) = into
                .schedule_clocks
                .get(&run.schedule)
                .map(|clock| (**clock).clone())
            {
                let missed = clock.missed + 1;
                into.schedule_clocks
                    .insert(run.schedule.clone(), Arc::new(ScheduleClock { missed, ..clock }));
            }
            settle(into, &run.schedule);
        }
    }
    changed.then(|| {
        next.grow();
        next
    })
}

/// Drops all but the latest ended runs of a schedule, and deletes a completed schedule if it asks for that.
pub(super) fn settle(region: &mut Region, arn: &str) {
    let over = runs_of(&region.ended_runs, arn).rev().skip(HISTORY);
    let over: Vec<String> = over.map(|(key, _)| key.clone()).collect();
    for key in over {
        region.ended_runs.remove(&key);
    }
    let is_over = region
        .schedule_clocks
        .get(arn)
        .is_some_and(|clock| clock.next.is_none())
        && runs_of(&region.scheduled_runs, arn).next().is_none();
    let Some(key) = schedule_key(arn).filter(|_| is_over) else {
        return;
    };
    let deletes = |region: &Region| {
        region
            .event_schedules
            .get(key)
            .is_some_and(|schedule| schedule.after == AfterCompletion::Delete)
    };
    if deletes(region) {
        region.event_schedules.remove(key);
        super::lives::forget(region, arn);
    }
}

/// A schedule or rule for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleView {
    /// The ARN.
    pub arn: String,
    /// The expression.
    pub expression: String,
    /// The time zone.
    pub zone: Option<String>,
    /// Whether it is enabled.
    pub enabled: bool,
    /// The ARNs of its targets.
    pub targets: Vec<String>,
    /// When it runs next: the scheduled time, before any window.
    pub next: Option<Wall>,
    /// How many runs were missed and not caught up.
    pub missed: u64,
    /// Its latest runs, the newest first.
    pub runs: Vec<Arc<ScheduledRun>>,
}

/// All stored runs of a schedule, the newest first.
fn all_runs(region: &Region, arn: &str) -> Vec<Arc<ScheduledRun>> {
    let tables = [&region.scheduled_runs, &region.ended_runs];
    let runs = tables.into_iter().flat_map(|table| runs_of(table, arn));
    let mut runs: Vec<_> = runs.map(|(_, run)| Arc::clone(run)).collect();
    runs.sort_by_key(|run| core::cmp::Reverse(run.scheduled));
    runs
}

impl State {
    /// All schedules and rules by ARN, as of `now`.
    pub fn schedule_views(&self, now: Wall) -> Vec<ScheduleView> {
        let mut views: Vec<ScheduleView> = self
            .regions()
            .flat_map(|(_, region)| {
                let schedules = region.event_schedules.values().map(|schedule| {
                    (
                        &schedule.arn,
                        &schedule.timing,
                        schedule.enabled,
                        vec![schedule.target.arn.clone()],
                    )
                });
                let rules = region.event_rules.values().map(|rule| {
                    let targets = rule.targets.iter().map(|target| target.arn.clone()).collect();
                    (&rule.arn, &rule.timing, rule.enabled, targets)
                });
                schedules.chain(rules).map(|(arn, timing, enabled, targets)| {
                    let clock = region.schedule_clocks.get(arn);
                    let next = clock.and_then(|clock| timing.times().ok()?.next_after(now.max(clock.last)));
                    ScheduleView {
                        arn: arn.clone(),
                        expression: timing.expression.clone(),
                        zone: timing.zone.clone(),
                        enabled,
                        targets,
                        next,
                        missed: clock.map_or(0, |clock| clock.missed),
                        runs: all_runs(region, arn),
                    }
                })
            })
            .collect();
        views.sort_by(|one, other| one.arn.cmp(&other.arn));
        views
    }

    /// Whether schedules may have something else to do than in `old`. O(regions).
    pub fn has_other_schedules(&self, old: &State) -> bool {
        let tables = |state: &State| {
            let regions = state.regions();
            regions
                .map(|(name, region)| {
                    (
                        name.to_owned(),
                        region.schedule_clocks.clone(),
                        region.scheduled_runs.clone(),
                    )
                })
                .collect::<Vec<_>>()
        };
        let (new, old) = (tables(self), tables(old));
        new.len() != old.len()
            || new
                .iter()
                .zip(&old)
                .any(|(new, old)| new.0 != old.0 || !new.1.ptr_eq(&old.1) || !new.2.ptr_eq(&old.2))
    }
}
