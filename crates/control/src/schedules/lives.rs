//! When a schedule's clock begins and stops.

use super::records::{ScheduleClock, ScheduledRun, Timing};
use crate::tables::{Region, Table};
use forebay_schedules::ScheduleError;
use std::sync::Arc;

/// Has a schedule run from now on. One that ran before goes on: what has run does not run again.
pub(crate) fn start(region: &mut Region, arn: &str, timing: &Timing) -> Result<(), ScheduleError> {
    let times = timing.times()?;
    let before = region.schedule_clocks.get(arn);
    let last = before.map_or(times.unseen(), |clock| clock.last.max(times.unseen()));
    let clock = ScheduleClock {
        last,
        // Within a window a run begins later, which the look at this time finds.
        next: times.next_after(last),
        missed: before.map_or(0, |clock| clock.missed),
    };
    region.schedule_clocks.insert(arn.to_owned(), Arc::new(clock));
    Ok(())
}

/// Has it run no more. What has begun goes on.
pub(crate) fn stop(region: &mut Region, arn: &str) {
    region.schedule_clocks.remove(arn);
}

/// Leaves nothing of it.
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
    // No ARN of another has this one and an @ in it.
    let (from, to) = (format!("{arn}@"), format!("{arn}A"));
    table.range(from..to)
}
