//! What is due: the runs between the last look and now, what to do with those that were missed, and when to look again.

use crate::run::{Run, RunId, RunReason};
use crate::schedule::Schedule;
use core::time::Duration;
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Missed runs that are counted one by one; of more only that is said.
const MISSED_MAX: usize = 1000;

/// The longest time for which a late run may pass as on time.
const TOLERANCE_MAX: Duration = Duration::from_secs(3600);

/// What happens with missed runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CatchUp {
    /// The latest one runs, the others do not.
    RunLatest,
    /// None runs.
    Skip,
}

/// What happens with a schedule that will never be due again (`ActionAfterCompletion`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterCompletion {
    /// `NONE`: it stays.
    #[default]
    Keep,
    /// `DELETE`: it is deleted.
    Delete,
}

/// How many runs were missed and are not made up for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// So many.
    pub count: usize,
    /// Or more than that.
    pub is_more: bool,
}

/// What one look at a schedule gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What is to run now, by scheduled time; none twice.
    pub runs: Vec<Run>,
    /// What was missed and does not run.
    pub missed: Missed,
    /// When to look again; a later look is fine. None if nothing will ever be due.
    pub next_look: Option<Wall>,
}

impl Look {
    /// Whether the schedule is to be deleted, once the runs of this look and those before are over, retries included.
    pub fn deletes(&self, after: AfterCompletion) -> bool {
        self.next_look.is_none() && after == AfterCompletion::Delete
    }
}

/// Looks what is due of a schedule: all runs that begin later than the last look, and not later than now.
///
/// A run that was to begin more than `tolerance` ago (an hour at most) counts as missed. Windows are drawn with `seed`, which must stay the same
/// for as long as a schedule does. If `now` is before `last`, because a clock was set back, nothing is due, and `last` is to be kept. Before the
/// first look, `last` is [`Schedule::unseen`].
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
    // Scheduled up to here, a run was to begin before the tolerance, wherever in its window.
    let old = earlier(earlier(now, tolerance), window + Duration::from_micros(1));
    let recent = old.max(earlier(last, window));

    let mut runs = Vec::new();
    let mut missed = seen.missed_long_ago(old);
    let mut next_look = None;
    for id in seen.between(recent, now) {
        let begins = schedule.window().begins(&id, seed);
        if begins <= last {
            continue;
        }
        if begins > now {
            next_look = earliest(next_look, Some(begins));
        } else if begins < earlier(now, tolerance) {
            missed.add(id, begins);
        } else {
            let reason = RunReason::OnTime;
            runs.push(Run { id, begins, reason });
        }
    }
    if let Some((id, begins)) = missed.latest
        && catch_up == CatchUp::RunLatest
    {
        missed.missed.count -= 1;
        let reason = RunReason::CaughtUp;
        runs.push(Run { id, begins, reason });
        runs.sort_by(|one, other| one.id.cmp(&other.id));
    }
    Look {
        runs,
        missed: missed.missed,
        next_look: earliest(next_look, schedule.next_after(now.max(last))),
    }
}

fn earliest(one: Option<Wall>, other: Option<Wall>) -> Option<Wall> {
    one.into_iter().chain(other).min()
}

fn earlier(at: Wall, span: Duration) -> Wall {
    let span = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    Wall(at.0.saturating_sub(span))
}

/// What was missed, as it is found.
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

    /// All scheduled times later than one and not later than another.
    fn between(&self, after: Wall, until: Wall) -> impl Iterator<Item = RunId> {
        let next = move |after: Wall| self.schedule.next_after(after).filter(|next| *next <= until);
        core::iter::successors(next(after), move |at| next(*at)).map(|scheduled| self.run(scheduled))
    }

    /// Runs whose window was over before `old`. Those scheduled before the last look and not begun then are looked at one by one: a window has at
    /// most a day's minutes. Of those after it the latest is searched for, and no more than a number are counted.
    fn missed_long_ago(&self, old: Wall) -> MissedRuns {
        let window = self.schedule.window();
        let mut missed = MissedRuns::default();
        for id in self.between(earlier(self.last, window.length()), self.last.min(old)) {
            let begins = window.begins(&id, self.seed);
            if begins > self.last {
                missed.add(id, begins);
            }
        }
        let later = self.between(self.last, old).take(MISSED_MAX + 1).count();
        missed.missed.count += later.min(MISSED_MAX);
        missed.missed.is_more = later > MISSED_MAX;
        if let Some(latest) = self.schedule.last_within(self.last, old) {
            let id = self.run(latest);
            let begins = window.begins(&id, self.seed);
            missed.is_latest(id, begins);
        }
        missed
    }
}
