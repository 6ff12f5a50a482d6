//! Starts and stops the clocks of schedules.

use super::records::{RunPhase, ScheduleClock, ScheduledRun, Target, Timing};
use crate::tables::{Region, Table};
use forebay_schedules::ScheduleError;
use forebay_units::Wall;
use std::sync::Arc;

/// Starts a schedule's clock, or continues the clock that it has: times that have run do not run again.
///
/// # Errors
/// If the timing is invalid.
pub(crate) fn start(region: &mut Region, arn: &str, timing: &Timing) -> Result<(), ScheduleError> {
    let times = timing.times()?;
    let before = region.schedule_clocks.get(arn);
    let last = before.map_or(times.unseen(), |clock| clock.last.max(times.unseen()));
    let clock = ScheduleClock {
        last,
        next: times.next_after(last),
        missed: before.map_or(0, |clock| clock.missed),
    };
    region.schedule_clocks.insert(arn.to_owned(), Arc::new(clock));
    Ok(())
}

/// Has a schedule looked at at once if it will never be due: it may be one that is deleted then.
pub(crate) fn end_if_over(region: &mut Region, arn: &str, now: Wall) {
    let over = region
        .schedule_clocks
        .get(arn)
        .filter(|clock| clock.next.is_none());
    if let Some(clock) = over.map(|clock| (**clock).clone()) {
        let next = Some(now);
        region
            .schedule_clocks
            .insert(arn.to_owned(), Arc::new(ScheduleClock { next, ..clock }));
    }
}

/// Changes the runs that wait for their moment in the window of a schedule: they have the target of the changed schedule,
/// and begin before its window ends. Without a schedule, they are dropped.
pub(crate) fn rearrange(region: &mut Region, arn: &str, now: Wall, changed: Option<(&Target, &Timing)>) {
    let waiting = runs_of(&region.scheduled_runs, arn).filter(|(_, run)| run.is_waiting(now));
    let waiting: Vec<_> = waiting.map(|(key, run)| (key.clone(), Arc::clone(run))).collect();
    let target = changed.map(|(target, _)| Arc::new(target.clone()));
    for (key, run) in waiting {
        let (Some((_, timing)), Some(target)) = (changed, &target) else {
            region.scheduled_runs.remove(&key);
            continue;
        };
        let begun = run.begun.min(run.scheduled + timing.window().length());
        let run = ScheduledRun {
            begun,
            target: Arc::clone(target),
            phase: RunPhase::Due { at: begun, why: None },
            ..(*run).clone()
        };
        region.scheduled_runs.insert(key, Arc::new(run));
    }
}

/// Stops a schedule's clock. Runs in progress continue.
pub(crate) fn stop(region: &mut Region, arn: &str) {
    region.schedule_clocks.remove(arn);
}

/// Deletes a schedule's clock and all its runs.
pub(crate) fn forget(region: &mut Region, arn: &str) {
    stop(region, arn);
    for table in [&mut region.scheduled_runs, &mut region.ended_runs] {
        let keys: Vec<String> = runs_of(table, arn).map(|(key, _)| key.clone()).collect();
        for key in keys {
            table.remove(&key);
        }
    }
}

/// The runs of one schedule in a table, by scheduled time.
pub(super) fn runs_of<'a>(
    table: &'a Table<ScheduledRun>,
    arn: &str,
) -> impl DoubleEndedIterator<Item = (&'a String, &'a Arc<ScheduledRun>)> {
    // `A` is the character after `@`, and no other ARN continues this one with an `@`.
    let (from, to) = (format!("{arn}@"), format!("{arn}A"));
    table.range(from..to)
}
