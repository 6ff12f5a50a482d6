//! The tables beside this file, and rates, dates and zones.

use super::*;
use crate::{Expression, ExpressionError, ScheduleError};
use proptest::prelude::*;

/// The rows of a table: columns between bars, without comments.
fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split('|').map(str::trim).collect())
}

#[test]
fn what_is_due_is_due_when_the_table_says() {
    let mut count = 0;
    for row in rows(include_str!("occurrences.txt")) {
        let [expression, zone, after, wanted] = row[..] else {
            panic!("four columns: {row:?}");
        };
        let schedule = Schedule::new(&raw(expression, zone, "1970-01-01T00:00:00Z")).unwrap();
        let mut after = at(after);
        for wanted in wanted.split_ascii_whitespace() {
            let next = schedule.next_after(after);
            let text = next.map_or("never".to_owned(), written);
            assert_eq!(text, wanted, "{expression} in {zone} after {}", written(after));
            after = next.unwrap_or(after);
        }
        count += 1;
    }
    assert!(count > 60);
}

#[test]
fn rules_have_the_same_cron_in_utc() {
    for row in rows(include_str!("occurrences.txt")) {
        let mut raw = raw(row[0], "UTC", "1970-01-01T00:00:00Z");
        let scheduler = Schedule::new(&raw).unwrap();
        raw.dialect = Dialect::Rules;
        raw.zone = Some("Europe/Berlin");
        match Schedule::new(&raw) {
            Ok(rule) => assert_eq!(rule.next_after(at(row[2])), scheduler.next_after(at(row[2]))),
            Err(error) => assert_eq!(error, ScheduleError::Expression(ExpressionError::NoOneTime)),
        }
    }
}

#[test]
fn what_is_refused_is_refused_with_the_reason() {
    for row in rows(include_str!("refusals.txt")) {
        let [dialects, expression, wanted] = row[..] else {
            panic!("three columns: {row:?}");
        };
        for (dialect, name) in [(Dialect::Scheduler, "scheduler"), (Dialect::Rules, "rules")] {
            let parsed = Expression::parse(expression, dialect);
            // A rule is refused before the time of `at` is parsed.
            if dialects != "both" && dialects != name {
                let is_once = expression.starts_with("at(");
                assert!(parsed.is_ok() || is_once, "{name}: {expression}");
                continue;
            }
            let error = parsed.unwrap_err().to_string();
            assert!(error.contains(wanted), "{name}: {expression}: {error}");
        }
    }
    let long = format!("cron({} 8 * * ? *)", "0,".repeat(130));
    assert_eq!(
        Expression::parse(&long, Dialect::Rules),
        Err(ExpressionError::TooLong)
    );
}

#[test]
fn callers_are_told_what_aws_tells_them() {
    let text = "rate(5 seconds)";
    assert_eq!(
        ExpressionError::aws_message(Dialect::Scheduler, text),
        "Invalid Schedule Expression rate(5 seconds)."
    );
    assert_eq!(
        ExpressionError::aws_message(Dialect::Rules, text),
        "Parameter ScheduleExpression is not valid."
    );
}

#[test]
fn rates_count_elapsed_time_from_their_start() {
    // Created within a second: the first run is at the next one, and all others follow from it.
    let rate = schedule("rate(5 minutes)", "2026-11-29T09:27:20.3Z");
    assert_eq!(rate.next_after(rate.unseen()), Some(at("2026-11-29T09:27:21Z")));
    assert_eq!(
        rate.next_after(at("2026-11-29T09:27:21Z")),
        Some(at("2026-11-29T09:32:21Z"))
    );
    assert_eq!(
        rate.next_after(at("2026-11-29T09:36:00Z")),
        Some(at("2026-11-29T09:37:21Z"))
    );
    // A rule's interval must pass once first.
    let mut rule = raw("rate(1 hour)", "UTC", "2026-11-29T09:00:00Z");
    rule.dialect = Dialect::Rules;
    let rule = Schedule::new(&rule).unwrap();
    assert_eq!(rule.next_after(Wall(0)), Some(at("2026-11-29T10:00:00Z")));
    // A day is 24 hours, even when Berlin's has 23 (EventBridge Scheduler User Guide, daylight saving time).
    let days = Schedule::new(&raw("rate(1 days)", "Europe/Berlin", "2026-03-28T12:00:00Z")).unwrap();
    assert_eq!(
        days.next_after(at("2026-03-28T12:00:00Z")),
        Some(at("2026-03-29T12:00:00Z"))
    );
    // So far away that the time cannot be represented.
    let never = schedule("rate(999999999 days)", "2026-11-29T09:00:00Z");
    assert_eq!(never.next_after(at("2026-11-29T09:00:00Z")), None);
}

#[test]
fn start_and_end_dates_bound_what_recurs() {
    let mut dated = raw("rate(10 minutes)", "UTC", "2026-11-29T09:00:00Z");
    dated.start = Some(at("2026-11-30T08:00:00Z"));
    dated.end = Some(at("2026-11-30T08:20:00Z"));
    let rate = Schedule::new(&dated).unwrap();
    let mut due = Vec::new();
    let mut after = Wall(0);
    while let Some(next) = rate.next_after(after) {
        due.push(written(next));
        after = next;
    }
    let wanted = [
        "2026-11-30T08:00:00Z",
        "2026-11-30T08:10:00Z",
        "2026-11-30T08:20:00Z",
    ];
    assert_eq!(due, wanted);
    // Cron too, with its first moment included.
    dated.expression = "cron(0/20 8 * * ? *)";
    let cron = Schedule::new(&dated).unwrap();
    assert_eq!(cron.next_after(Wall(0)), Some(at("2026-11-30T08:00:00Z")));
    assert_eq!(
        cron.next_after(at("2026-11-30T08:00:00Z")),
        Some(at("2026-11-30T08:20:00Z"))
    );
    assert_eq!(cron.next_after(at("2026-11-30T08:20:00Z")), None);
    // One-time schedules follow only their own date (API reference: StartDate, EndDate).
    dated.expression = "at(2026-12-24T18:00:00)";
    let once = Schedule::new(&dated).unwrap();
    assert_eq!(once.next_after(Wall(0)), Some(at("2026-12-24T18:00:00Z")));
    // It never runs if its time had passed when the schedule was created.
    assert_eq!(
        schedule("at(2026-11-29T12:00:00)", "2026-11-29T12:00:01Z").next_after(Wall(0)),
        None
    );
    // A start date in the past does not bring back times before the schedule was created.
    dated.expression = "cron(0 * * * ? *)";
    dated.start = Some(at("2026-11-01T00:00:00Z"));
    let late = Schedule::new(&dated).unwrap();
    assert_eq!(late.next_after(Wall(0)), Some(at("2026-11-29T09:00:00Z")));
    // But a rate counts from it.
    dated.expression = "rate(1 day)";
    dated.start = Some(at("2026-11-01T03:00:00Z"));
    let daily = Schedule::new(&dated).unwrap();
    assert_eq!(daily.next_after(Wall(0)), Some(at("2026-11-30T03:00:00Z")));
    dated.end = dated.start;
    assert_eq!(Schedule::new(&dated), Err(ScheduleError::Dates));
}

#[test]
fn zones_are_those_of_iana() {
    let nowhere = Schedule::new(&raw("rate(1 hour)", "Mars/Olympus", "2026-11-29T09:00:00Z"));
    assert_eq!(nowhere, Err(ScheduleError::Zone("Mars/Olympus".to_owned())));
}

proptest! {
    /// Any input is parsed without a panic, and so is the search for what is due.
    #[test]
    fn anything_is_read_or_refused(
        text in "\\PC{0,60}|(cron|rate|at)\\([ -~]{0,40}\\)|cron\\(([0-9*,/LW#?-]{1,5} ){5}[0-9*/,-]{1,4}\\)",
        after in any::<i64>(),
    ) {
        for dialect in [Dialect::Scheduler, Dialect::Rules] {
            let mut raw = raw(&text, "Europe/Berlin", "1970-01-01T00:00:00Z");
            raw.dialect = dialect;
            if let Ok(schedule) = Schedule::new(&raw) {
                prop_assert!(schedule.next_after(Wall(after)).is_none_or(|next| next > Wall(after)));
            }
        }
    }
}
