//! Starts and stops the clocks of schedules.

use super::records::{ScheduleClock, ScheduledRun, Timing};
use crate::tables::{Region, Table};
use forebay_schedules::ScheduleError;
use std::sync::Arc;

/// Starts a schedule's clock, or continues the clock that it has: times that have run do not run again.
pub(crate) fn start(region: &mut Region, arn: &str, timing: &Timing) -> Result<(), ScheduleError> {
    let times = timing.times()?;
    let before = region.schedule_clocks.get(arn);
    let last = before.map_or(times.unseen(), |clock| clock.last.max(times.unseen()));
    let clock = ScheduleClock {
        last,
        // With a flexible window, a run begins later than this; the look at this time finds out when.
        next: times.next_after(last),
        missed: before.map_or(0, |clock| clock.missed),
    };
    region.schedule_clocks.insert(arn.to_owned(), Arc::new(clock));
    Ok(())
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
