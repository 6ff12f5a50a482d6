//! Cron against a naive reader without bit sets, against brute force by minutes, and against a library in UTC.

use super::*;
use crate::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{DateTime, date};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{ToSpan as _, Zoned};
use proptest::prelude::*;

/// Whether a plain field (numbers, ranges, steps) contains a number, going by its text.
fn means(field: &str, number: i64, high: i64) -> bool {
    field.split(',').any(|item| {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let step: i64 = step.parse().unwrap();
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (from.parse().unwrap(), to.parse().unwrap()),
            None if range == "*" => (0, high),
            None if item.contains('/') => (range.parse().unwrap(), high),
            None => (range.parse().unwrap(), range.parse().unwrap()),
        };
        number >= from && number <= to && (number - from) % step == 0
    })
}

/// Whether a day matches, going by the calendar alone.
fn means_day(of_month: &str, of_week: &str, local: DateTime) -> bool {
    let day = local.date();
    let weekday = i64::from(day.weekday().to_sunday_one_offset());
    let last = day.last_of_month();
    let is_work = |day: jiff::civil::Date| (2..=6).contains(&day.weekday().to_sunday_one_offset());
    if of_week != "?" {
        return match (of_week.split_once('#'), of_week.strip_suffix('L')) {
            (Some((wanted, nth)), _) => {
                let nth: i8 = nth.parse().unwrap();
                weekday.to_string() == wanted && (7 * nth - 6..=7 * nth).contains(&day.day())
            }
            (None, Some("")) => weekday == 7,
            (None, Some(wanted)) => weekday.to_string() == wanted && day.day() > last.day() - 7,
            (None, None) => means(of_week, weekday, 7),
        };
    }
    if of_month == "L" {
        return day == last;
    }
    if let Some(before) = of_month.strip_prefix("L-") {
        return day.day() == last.day() - before.parse::<i8>().unwrap();
    }
    match of_month.strip_suffix('W') {
        Some("L") => {
            is_work(day)
                && day
                    .series(1.day())
                    .skip(1)
                    .take_while(|next| *next <= last)
                    .all(|next| !is_work(next))
        }
        Some(wanted) => {
            let wanted: i8 = wanted.parse().unwrap();
            let Ok(wanted) = date(day.year(), day.month(), 1).with().day(wanted).build() else {
                return false;
            };
            // The nearest workday of the month. There is only one, because only one side of a weekend is a day away.
            let away = |other: jiff::civil::Date| (other - wanted).get_days().abs();
            let first = day.first_of_month();
            let nearest = first
                .series(1.day())
                .take_while(|other| *other <= last)
                .filter(|other| is_work(*other))
                .min_by_key(|other| away(*other));
            nearest == Some(day)
        }
        None => means(of_month, i64::from(day.day()), 31),
    }
}

fn naive(expression: &str, local: DateTime) -> bool {
    let fields: Vec<&str> = expression.split(' ').collect();
    means(fields[0], i64::from(local.minute()), 59)
        && means(fields[1], i64::from(local.hour()), 23)
        && means(fields[3], i64::from(local.month()), 12)
        && means(fields[5], i64::from(local.year()), 2199)
        && means_day(fields[2], fields[4], local)
}

fn list(low: u32, high: u32) -> impl Strategy<Value = String> {
    let item = prop_oneof![
        (low..=high).prop_map(|number| number.to_string()),
        (low..=high, low..=high).prop_map(|(one, other)| format!("{}-{}", one.min(other), one.max(other))),
        (low..=high, 1..=high - low).prop_map(|(from, step)| format!("{from}/{step}")),
        (low..=high, low..=high, 1..=high - low).prop_map(|(one, other, step)| format!(
            "{}-{}/{step}",
            one.min(other),
            one.max(other)
        )),
    ];
    prop_oneof![
        Just("*".to_owned()),
        prop::collection::vec(item, 1..4).prop_map(|items| items.join(",")),
    ]
}

fn days() -> impl Strategy<Value = String> {
    let of_month = prop_oneof![
        4 => list(1, 31),
        1 => Just("L".to_owned()),
        1 => Just("LW".to_owned()),
        1 => (1..=30).prop_map(|before| format!("L-{before}")),
        2 => (1..=31).prop_map(|day| format!("{day}W")),
    ];
    let of_week = prop_oneof![
        4 => list(1, 7),
        1 => Just("L".to_owned()),
        2 => (1..=7).prop_map(|weekday| format!("{weekday}L")),
        2 => (1..=7, 1..=5).prop_map(|(weekday, nth)| format!("{weekday}#{nth}")),
    ];
    prop_oneof![
        (of_month, list(1, 12)).prop_map(|(day, month)| format!("{day} {month} ?")),
        (list(1, 12), of_week).prop_map(|(month, day)| format!("? {month} {day}")),
    ]
}

/// Six fields, with years around those that are examined.
fn cron() -> impl Strategy<Value = String> {
    let year = prop_oneof![3 => Just("*".to_owned()), 1 => Just("2026-2028".to_owned()), 1 => Just("2020/4".to_owned())];
    (list(0, 59), list(0, 23), days(), year)
        .prop_map(|(minute, hour, days, year)| format!("{minute} {hour} {days} {year}"))
}

const ZONES: [&str; 6] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Pacific/Apia",
];

/// The first minute after an instant whose local time matches and was not on the clock before, found by examining each
/// minute of some days.
fn by_minutes(expression: &str, zone: &TimeZone, after: Wall, days: i64) -> Option<Wall> {
    let first = after.seconds().div_euclid(60) + 1;
    (first..first + days * 1440)
        .map(|minute| Wall::from_seconds(minute * 60))
        .find(|next| {
            let local = Zoned::new(Timestamp::from_microsecond(next.0).unwrap(), zone.clone()).datetime();
            let shown_before = zone.to_ambiguous_timestamp(local).earlier().unwrap();
            naive(expression, local) && shown_before.as_microsecond() == next.0
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The next time is later and matches, and no minute before it does.
    #[test]
    fn nothing_is_due_before_the_next_time(
        expression in cron(),
        zone in prop::sample::select(&ZONES),
        // Days around clock changes in all zones, and others.
        day in prop_oneof![
            prop::sample::select(&["2026-03-06", "2026-03-27", "2026-04-03", "2026-10-02", "2026-10-23", "2026-10-30", "2028-02-27", "2026-12-30"]),
        ],
        second in 0_i64..86_400,
    ) {
        let zone = TimeZoneDatabase::bundled().get(zone).unwrap();
        let after = Wall(at(&format!("{day}T00:00:00Z")).0 + second * 1_000_000);
        let next = Cron::parse(&expression).unwrap().next_after(&zone, after);
        let days = 4;
        let horizon = Wall::from_seconds((after.seconds().div_euclid(60) + days * 1440) * 60);
        let near = next.filter(|next| *next <= horizon);
        prop_assert_eq!(near.map(written), by_minutes(&expression, &zone, after, days).map(written));
        if let Some(next) = next {
            let local = zone.to_datetime(Timestamp::from_microsecond(next.0).unwrap());
            prop_assert!(next > after && naive(&expression, local), "{}", local);
        }
    }

    /// A day matches exactly if the naive reader says so, in months of all kinds.
    #[test]
    fn days_are_those_of_the_calendar(expression in cron(), year in 2024_i16..2032, month in 1_i8..=12) {
        let cron = Cron::parse(&expression).unwrap();
        for day in date(year, month, 1).series(1.day()).take_while(|day| day.month() == month) {
            for hour in [0, 7, 23] {
                let local = day.at(hour, 30, 0, 0);
                prop_assert_eq!(cron.matches(local), naive(&expression, local), "{} at {}", expression, local);
            }
        }
    }

    /// In UTC, a library that knows Quartz's extensions agrees.
    #[test]
    fn croner_agrees_in_utc(expression in cron(), second in 1_700_000_000_i64..1_900_000_000) {
        let parser = CronParser::builder()
            .seconds(Seconds::Required)
            .year(Year::Required)
            .alternative_weekdays(true)
            .sloppy_ranges(true)
            .build();
        // For an impossible date the library would search thousands of years.
        let after = Wall::from_seconds(second);
        let next = Cron::parse(&expression).unwrap().next_after(&TimeZone::UTC, after);
        prop_assume!(next.is_some());
        let mut fields: Vec<&str> = expression.split(' ').collect();
        // The library never finds a plain `L` among weekdays, which is the last day of a week.
        if fields[4] == "L" {
            fields[4] = "7";
        }
        // Nor does it know days before the last one.
        prop_assume!(!fields[2].starts_with("L-"));
        let judge = parser.parse(&format!("0 {}", fields.join(" "))).unwrap();
        let from = Timestamp::from_second(second).unwrap().to_zoned(TimeZone::UTC);
        let wanted = judge.find_next_occurrence(&from, false).ok().map(|due| due.timestamp().as_second());
        prop_assert_eq!(next.map(Wall::seconds), wanted);
    }
}

/// Impossible dates are found by examining months, not minutes: a thousand of them take moments even in a debug build.
#[test]
fn impossible_dates_are_found_out_quickly() {
    let berlin = TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap();
    for expression in ["* * 30 2 ? *", "* * 31W 2,4,6,9,11 ? *", "* 2 ? 3 1L 2026-2199"] {
        let cron = Cron::parse(expression).unwrap();
        for _ in 0..10 {
            assert_eq!(
                cron.next_after(&berlin, at("2026-01-01T00:00:00Z")),
                None,
                "{expression}"
            );
        }
    }
}
