//! Decides what is due: the runs between the last look and now, what happens to missed ones, and when to look again.

use crate::run::{Run, RunId, RunReason};
use crate::schedule::Schedule;
use core::time::Duration;
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Missed runs that are counted exactly; beyond that it is only known that there are more.
const MISSED_MAX: usize = 1000;

/// The longest delay for which a late run can count as on time.
const TOLERANCE_MAX: Duration = Duration::from_secs(3600);

/// What happens to missed runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CatchUp {
    /// The latest one runs, the others do not.
    RunLatest,
    /// None runs.
    Skip,
}

/// What happens to a schedule that will never be due again (`ActionAfterCompletion`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterCompletion {
    /// `NONE`: it stays.
    #[default]
    Keep,
    /// `DELETE`: it is deleted.
    Delete,
}

/// The number of runs that were missed and will not be made up for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// Their number.
    pub count: usize,
    /// Whether there are more than that.
    pub is_more: bool,
}

/// The result of one look at a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The runs whose time has come, by scheduled time, each once. With a flexible window, one may begin later.
    pub runs: Vec<Run>,
    /// The runs that were missed and do not run.
    pub missed: Missed,
    /// When to look again; later does no harm. `None` if nothing will ever be due.
    pub next_look: Option<Wall>,
}

/// Finds what is due of a schedule: all runs whose scheduled time is after the last look and no later than now.
///
/// A run that was to begin more than `tolerance` ago (at most an hour) counts as missed. When a run begins within its
/// window is drawn with `seed`, once: what is drawn must be kept. If `now` is before `last`, because the clock was set back,
/// nothing is due, and `last` must be kept. Before the first look, `last` is [`Schedule::unseen`].
pub fn look(
    name: &Arc<str>,
    schedule: &Schedule,
    (last, now): (Wall, Wall),
    catch_up: CatchUp,
    tolerance: Duration,
    seed: u64,
) -> Look {
    let tolerance = tolerance.min(TOLERANCE_MAX);
    let seen = Seen {
        name,
        schedule,
        last,
        seed,
    };
    let window = schedule.window().length();
    // Runs scheduled up to here were to begin before the tolerance, wherever in their window.
    let old = earlier(earlier(now, tolerance), window + Duration::from_micros(1));

    let mut runs = Vec::new();
    let mut missed = seen.missed_long_ago(old);
    for id in seen.between(old.max(last), now) {
        let begins = schedule.window().begins(&id, seed);
        if begins < earlier(now, tolerance) {
            missed.add(id, begins);
        } else {
            let reason = RunReason::OnTime;
            runs.push(Run { id, begins, reason });
        }
    }
    if let Some((id, begins)) = missed.latest
        && catch_up == CatchUp::RunLatest
    {
        // The run that is caught up does not count as missed.
        missed.missed.count -= 1;
        let reason = RunReason::CaughtUp;
        runs.push(Run { id, begins, reason });
        runs.sort_by(|one, other| one.id.cmp(&other.id));
    }
    Look {
        runs,
        missed: missed.missed,
        next_look: schedule.next_after(now.max(last)),
    }
}

fn earlier(at: Wall, span: Duration) -> Wall {
    let span = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    Wall(at.0.saturating_sub(span))
}

/// Missed runs, while they are being found.
#[derive(Default)]
struct MissedRuns {
    missed: Missed,
    /// The one with the latest scheduled time.
    latest: Option<(RunId, Wall)>,
}

impl MissedRuns {
    fn add(&mut self, id: RunId, begins: Wall) {
        self.missed.count += 1;
        self.is_latest(id, begins);
    }

    fn is_latest(&mut self, id: RunId, begins: Wall) {
        if self
            .latest
            .as_ref()
            .is_none_or(|(latest, _)| latest.scheduled < id.scheduled)
        {
            self.latest = Some((id, begins));
        }
    }
}

/// A schedule, and when it was last looked at.
struct Seen<'a> {
    name: &'a Arc<str>,
    schedule: &'a Schedule,
    last: Wall,
    seed: u64,
}

impl Seen<'_> {
    fn run(&self, scheduled: Wall) -> RunId {
        RunId {
            schedule: Arc::clone(self.name),
            scheduled,
        }
    }

    /// All scheduled times after `after` and up to `until`.
    fn between(&self, after: Wall, until: Wall) -> impl Iterator<Item = RunId> {
        let next = move |after: Wall| self.schedule.next_after(after).filter(|next| *next <= until);
        core::iter::successors(next(after), move |at| next(*at)).map(|scheduled| self.run(scheduled))
    }

    /// Runs whose window ended before `old`: the latest is searched for, and only a limited number are counted.
    fn missed_long_ago(&self, old: Wall) -> MissedRuns {
        let mut missed = MissedRuns::default();
        let count = self.between(self.last, old).take(MISSED_MAX + 1).count();
        missed.missed.count = count.min(MISSED_MAX);
        missed.missed.is_more = count > MISSED_MAX;
        if let Some(latest) = self.schedule.last_within(self.last, old) {
            let id = self.run(latest);
            let begins = self.schedule.window().begins(&id, self.seed);
            missed.is_latest(id, begins);
        }
        missed
    }
}
