//! Looks: what is due, what was missed, windows, and when to look again.

use super::*;
use crate::{CatchUp, Look, Missed, RunReason, WindowError, look};
use core::time::Duration;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

const MINUTE: Duration = Duration::from_secs(60);

fn looked(schedule: &Schedule, last: Wall, now: Wall, catch_up: CatchUp) -> Look {
    look(&Arc::from("arn:one"), schedule, (last, now), catch_up, MINUTE, 7)
}

/// The scheduled times of a look's runs, with a star after those caught up.
fn times(look: &Look) -> Vec<String> {
    let time = |run: &crate::Run| {
        let star = if run.reason == RunReason::CaughtUp {
            "*"
        } else {
            ""
        };
        written(run.id.scheduled) + star
    };
    look.runs.iter().map(time).collect()
}

#[test]
fn what_came_since_the_last_look_is_due_once() {
    let schedule = schedule("rate(1 minute)", "2026-11-29T09:00:00Z");
    let first = looked(
        &schedule,
        schedule.unseen(),
        at("2026-11-29T09:00:00Z"),
        CatchUp::Skip,
    );
    assert_eq!(times(&first), ["2026-11-29T09:00:00Z"]);
    assert_eq!(first.next_look, Some(at("2026-11-29T09:01:00Z")));
    let early = looked(
        &schedule,
        at("2026-11-29T09:00:00Z"),
        at("2026-11-29T09:00:59Z"),
        CatchUp::Skip,
    );
    assert_eq!(times(&early), [""; 0]);
    // A little late still counts as on time.
    let late = looked(
        &schedule,
        at("2026-11-29T09:00:59Z"),
        at("2026-11-29T09:02:00Z"),
        CatchUp::Skip,
    );
    assert_eq!(times(&late), ["2026-11-29T09:01:00Z", "2026-11-29T09:02:00Z"]);
    assert_eq!(late.missed, Missed::default());
    // Setting the clock back does not repeat anything.
    let back = looked(
        &schedule,
        at("2026-11-29T09:02:00Z"),
        at("2026-11-29T08:00:00Z"),
        CatchUp::RunLatest,
    );
    assert_eq!(times(&back), [""; 0]);
    assert_eq!(back.next_look, Some(at("2026-11-29T09:03:00Z")));
}

#[test]
fn of_what_was_missed_the_latest_runs_or_none() {
    let schedule = schedule("cron(0 * * * ? *)", "2026-11-29T08:30:00Z");
    let (last, now) = (at("2026-11-29T08:30:00Z"), at("2026-11-29T12:10:00Z"));
    let latest = looked(&schedule, last, now, CatchUp::RunLatest);
    assert_eq!(times(&latest), ["2026-11-29T12:00:00Z*"]);
    assert_eq!((latest.missed.count, latest.missed.is_more), (3, false));
    let none = looked(&schedule, last, now, CatchUp::Skip);
    assert_eq!(times(&none), [""; 0]);
    assert_eq!(none.missed.count, 4);
    // A run that is only just due is not part of that.
    let now = at("2026-11-29T13:00:10Z");
    let both = looked(&schedule, last, now, CatchUp::RunLatest);
    assert_eq!(times(&both), ["2026-11-29T12:00:00Z*", "2026-11-29T13:00:00Z"]);
}

#[test]
fn years_of_missed_minutes_cost_little() {
    let schedule = schedule("cron(* * * * ? *)", "1990-01-01T00:00:00Z");
    let look = looked(
        &schedule,
        at("1990-01-01T00:00:00Z"),
        at("2026-11-29T09:27:20Z"),
        CatchUp::RunLatest,
    );
    assert_eq!(times(&look), ["2026-11-29T09:26:00Z*", "2026-11-29T09:27:00Z"]);
    assert!(look.missed.is_more);
    // The latest run of a schedule that is rarely due is long ago.
    let rare = super::schedule("cron(0 0 29 2 ? *)", "1990-01-01T00:00:00Z");
    let look = looked(
        &rare,
        at("1990-01-01T00:00:00Z"),
        at("2027-11-29T09:27:20Z"),
        CatchUp::RunLatest,
    );
    assert_eq!(times(&look), ["2024-02-29T00:00:00Z*"]);
    assert_eq!(look.missed.count, 8);
}

#[test]
fn a_schedule_that_is_over_is_never_looked_at_again() {
    let once = schedule("at(2026-11-29T12:00:00)", "2026-11-29T09:00:00Z");
    let before = looked(
        &once,
        once.unseen(),
        at("2026-11-29T11:00:00Z"),
        CatchUp::RunLatest,
    );
    assert_eq!(before.next_look, Some(at("2026-11-29T12:00:00Z")));
    let after = looked(
        &once,
        at("2026-11-29T11:00:00Z"),
        at("2026-11-29T12:00:00Z"),
        CatchUp::RunLatest,
    );
    assert_eq!(times(&after), ["2026-11-29T12:00:00Z"]);
    assert_eq!(after.next_look, None);
}

#[test]
fn windows_have_from_one_minute_to_a_day() {
    assert_eq!(Window::new(false, None), Ok(Window::OFF));
    assert_eq!(Window::new(false, Some(5)), Err(WindowError::Off));
    for minutes in [None, Some(0), Some(-1), Some(1441), Some(i64::MAX)] {
        assert_eq!(Window::new(true, minutes), Err(WindowError::Minutes));
    }
    assert!(Window::new(true, Some(1)).is_ok());
    assert_eq!(
        Window::new(true, Some(1440)).unwrap().length(),
        Duration::from_secs(86_400)
    );
}

#[test]
fn with_a_window_a_run_is_found_at_its_time_and_begins_later() {
    let mut raw = raw("at(2026-11-29T12:00:00)", "UTC", "2026-11-29T09:00:00Z");
    raw.window = Window::new(true, Some(60)).unwrap();
    let once = Schedule::new(&raw).unwrap();
    let noon = at("2026-11-29T12:00:00Z");
    let open = looked(&once, once.unseen(), noon, CatchUp::Skip);
    assert_eq!(times(&open), ["2026-11-29T12:00:00Z"]);
    let begins = open.runs[0].begins;
    assert!(begins > noon && begins < at("2026-11-29T13:00:00Z"));
    assert_eq!(open.next_look, None);
    // Found late, but before it begins: it is on time, and begins when it would have.
    let late = looked(&once, once.unseen(), Wall(begins.0 - 1), CatchUp::Skip);
    assert_eq!((times(&late), late.runs[0].begins), (times(&open), begins));
    // Missed and then caught up: it keeps its identity.
    let missed = looked(
        &once,
        once.unseen(),
        at("2026-12-24T00:00:00Z"),
        CatchUp::RunLatest,
    );
    assert_eq!(times(&missed), ["2026-11-29T12:00:00Z*"]);
    assert_eq!(missed.runs[0].begins, begins);
}

#[test]
fn runs_spread_over_their_window() {
    let mut raw = raw("rate(1 hour)", "UTC", "2026-11-29T09:00:00Z");
    raw.window = Window::new(true, Some(15)).unwrap();
    let schedule = Schedule::new(&raw).unwrap();
    let mut scheduled = schedule.unseen();
    let mut quarters = [0; 3];
    for _ in 0..300 {
        scheduled = schedule.next_after(scheduled).unwrap();
        let id = crate::RunId {
            schedule: Arc::from("arn:one"),
            scheduled,
        };
        let begins = raw.window.begins(&id, 7);
        assert_eq!(begins, raw.window.begins(&id.clone(), 7), "drawn again, the same");
        let late = begins.since(scheduled);
        assert!(late < raw.window.length() && late.subsec_micros() == 0);
        quarters[usize::try_from(late.as_secs() / 300).unwrap()] += 1;
    }
    assert!(quarters.iter().all(|count| *count > 60), "{quarters:?}");
}

proptest! {
    /// Runs of other schedules or other times have other names, whatever schedules are called.
    #[test]
    fn names_of_runs_are_unique(names in prop::array::uniform2("[a:@Z0-]{0,6}"), seconds in prop::array::uniform2(0_i64..100_000)) {
        let [one, other] = [0, 1].map(|at| crate::RunId {
            schedule: Arc::from(names[at].as_str()),
            scheduled: Wall::from_seconds(seconds[at]),
        });
        prop_assert_eq!(one.to_string() == other.to_string(), one == other);
    }

    /// However looks are spread, if none is later than the tolerance, all runs are due, each once.
    #[test]
    fn looks_give_each_run_once(
        steps in prop::collection::vec(1_i64..60_000_000, 1..200),
        window in 0_i64..90,
        every in 1_u32..7,
    ) {
        let expression = format!("cron(0/{every} * * * ? *)");
        let mut raw = raw(&expression, "UTC", "2026-11-29T09:00:00Z");
        raw.window = Window::new(window > 0, (window > 0).then_some(window)).unwrap();
        let schedule = Schedule::new(&raw).unwrap();
        let (begin, mut last) = (schedule.unseen(), schedule.unseen());
        let mut names = BTreeSet::new();
        let mut count = 0;
        for step in steps {
            let now = Wall(last.0 + step);
            let look = looked(&schedule, last, now, CatchUp::RunLatest);
            prop_assert_eq!(look.missed, Missed::default());
            prop_assert!(look.next_look.is_some_and(|next| next > now));
            count += look.runs.len();
            prop_assert!(look.runs.iter().all(|run| run.reason == RunReason::OnTime && run.begins > last && run.id.scheduled <= now));
            names.extend(look.runs.iter().map(|run| run.id.to_string()));
            last = now;
        }
        prop_assert_eq!(names.len(), count, "none twice");
        // All whose time came by now, found one by one.
        let mut all = BTreeSet::new();
        let mut scheduled = begin;
        while let Some(next) = schedule.next_after(scheduled).filter(|next| *next <= last) {
            let id = crate::RunId { schedule: Arc::from("arn:one"), scheduled: next };
            all.insert(id.to_string());
            scheduled = next;
        }
        prop_assert_eq!(names, all);
    }

    /// Looking exactly when told finds each run at its scheduled time.
    #[test]
    fn the_next_look_is_never_late(window in 0_i64..90, every in 1_u32..30, zone in prop::sample::select(&["UTC", "Europe/Berlin"])) {
        let expression = format!("cron(0/{every} * * * ? *)");
        // Shortly before Berlin's clocks are set back.
        let mut raw = raw(&expression, zone, "2026-10-25T00:20:00Z");
        raw.window = Window::new(window > 0, (window > 0).then_some(window)).unwrap();
        let schedule = Schedule::new(&raw).unwrap();
        let (mut last, mut count) = (schedule.unseen(), 0);
        while count < 40 {
            let now = looked(&schedule, last, last, CatchUp::Skip).next_look.unwrap();
            let look = looked(&schedule, last, now, CatchUp::Skip);
            prop_assert!(now > last && look.runs.iter().all(|run| run.id.scheduled == now));
            prop_assert_eq!(look.missed, Missed::default());
            count += look.runs.len();
            last = now;
        }
    }

    /// After a pause of any length: all that is on time is due, and of the rest the latest; what is due and what was
    /// missed add up to all.
    #[test]
    fn a_pause_loses_nothing_from_the_count(
        pause in 1_i64..40_000_000_000,
        window in 0_i64..90,
        every in 1_u32..30,
        offset in 0_i64..10_000_000_000,
    ) {
        let expression = format!("cron(0/{every} * * * ? *)");
        let mut raw = raw(&expression, "UTC", "2026-11-29T00:00:00Z");
        raw.window = Window::new(window > 0, (window > 0).then_some(window)).unwrap();
        let schedule = Schedule::new(&raw).unwrap();
        let last = Wall(schedule.unseen().0 + offset);
        let now = Wall(last.0 + pause);
        let look = looked(&schedule, last, now, CatchUp::RunLatest);
        let skip = looked(&schedule, last, now, CatchUp::Skip);
        let mut due = Vec::new();
        let mut scheduled = schedule.unseen();
        while let Some(next) = schedule.next_after(scheduled).filter(|next| *next <= now) {
            let id = crate::RunId { schedule: Arc::from("arn:one"), scheduled: next };
            if next > last {
                due.push((next, raw.window.begins(&id, 7)));
            }
            scheduled = next;
        }
        let is_late = |begins: Wall| begins + MINUTE < now;
        let latest = due.iter().filter(|(_, begins)| is_late(*begins)).map(|(next, _)| *next).max();
        let caught: Vec<Wall> = look.runs.iter().filter(|run| run.reason == RunReason::CaughtUp).map(|run| run.id.scheduled).collect();
        prop_assert_eq!(caught, latest.into_iter().collect::<Vec<_>>());
        prop_assert!(!look.missed.is_more);
        prop_assert_eq!(look.runs.len() + look.missed.count, due.len());
        prop_assert_eq!(skip.runs.len() + skip.missed.count, due.len());
        prop_assert!(skip.runs.iter().all(|run| !is_late(run.begins)));
    }
}
