//! Scheduled actions: when a cron expression in a time zone is due next.
//!
//! The rules are AWS's, which are cron's: five fields, and if both day fields are given, a day that matches either is
//! due. Time zones are compiled in, so an expression means the same on every machine.

use core::str::FromStr as _;
use croner::Cron;
use croner::time::Weekday;
use forebay_units::Wall;
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan as _};

/// Maximum length of an expression (AWS's constraint on `Recurrence` is 255).
const LENGTH_LIMIT: usize = 255;

/// A field, and the names that it accepts.
struct Field {
    title: &'static str,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field {
        title: "minute",
        names: &[],
    },
    Field {
        title: "hour",
        names: &[],
    },
    Field {
        title: "day of month",
        names: &[],
    },
    Field {
        title: "month",
        names: &[
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ],
    },
    Field {
        title: "day of week",
        names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    },
];

/// Abbreviations for whole expressions.
const NICKNAMES: [(&str, &str); 6] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Why a text is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// It is too long.
    #[error("a cron expression can have {LENGTH_LIMIT} characters at most")]
    TooLong,
    /// It has the wrong number of fields.
    #[error("a cron expression has five fields (minute, hour, day of month, month, day of week), not {0}")]
    Fields(usize),
    /// One field is not valid.
    #[error("'{text}' is not valid as the {field} of a cron expression")]
    Field {
        /// The name of the field.
        field: &'static str,
        /// The field as given.
        text: String,
    },
    /// The time zone does not exist.
    #[error("'{0}' is not the name of an IANA time zone")]
    Zone(String),
}

/// A cron expression in a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
    /// Whether any day matches. If none does, the library would search three thousand years for one.
    has_days: bool,
}

impl Schedule {
    /// Parses an expression, and the IANA name of a time zone; UTC if there is none.
    ///
    /// # Errors
    /// If the expression or the time zone is not valid; says which field is wrong.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Schedule, ScheduleError> {
        let zone = match zone {
            None => TimeZone::UTC,
            Some(name) => TimeZoneDatabase::bundled()
                .get(name)
                .map_err(|_| ScheduleError::Zone(name.to_owned()))?,
        };
        if text.len() > LENGTH_LIMIT {
            return Err(ScheduleError::TooLong);
        }
        let trimmed = text.trim();
        let nickname = NICKNAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(trimmed));
        let trimmed = nickname.map_or(trimmed, |(_, meant)| meant);
        let fields: Vec<&str> = trimmed.split_ascii_whitespace().collect();
        if fields.len() != FIELDS.len() {
            return Err(ScheduleError::Fields(fields.len()));
        }
        for (place, text) in fields.iter().enumerate() {
            check(place, text)?;
        }
        let all = fields.join(" ");
        match Cron::from_str(&all) {
            Ok(cron) => Ok(Schedule {
                has_days: has_days(&cron),
                cron,
                zone,
            }),
            // Each field is valid by itself, so this should not happen; if it does, the expression is refused all the
            // same.
            Err(_) => Err(ScheduleError::Field {
                field: "fields",
                text: all,
            }),
        }
    }

    /// The next due time after `after` and no later than `until`. A time that a zone skips is due at the end of the
    /// gap; one that a zone repeats is due the first time, unless the expression is due every hour or every minute.
    /// `None` if it is never due, as on February 30th.
    pub fn next_after(&self, after: Wall, until: Option<Wall>) -> Option<Wall> {
        if !self.has_days {
            return None;
        }
        let from = Timestamp::from_second(after.seconds()).ok()?;
        let due = self
            .cron
            .find_next_occurrence(&from.to_zoned(self.zone.clone()), false)
            .ok()?;
        let due = Wall::from_seconds(due.timestamp().as_second());
        until.is_none_or(|until| due <= until).then_some(due)
    }
}

/// Whether a leap year has any of the expression's days; if it has none, no year has.
fn has_days(cron: &Cron) -> bool {
    let pattern = &cron.pattern;
    let days = Date::constant(2024, 1, 1).series(1.day());
    days.take_while(|day| day.year() == 2024).any(|day| {
        let (month, number) = (day.month().unsigned_abs(), day.day().unsigned_abs());
        let weekday = day.weekday().to_sunday_zero_offset().unsigned_abs();
        let weekday = Weekday::from_days_from_sunday(weekday.into());
        let is_month = pattern.month_match(month.into()).unwrap_or(false);
        let matches = || pattern.day_match(2024, month.into(), number.into(), weekday);
        is_month && matches().unwrap_or(false)
    })
}

/// The library accepts more than AWS does (`L`, `W`, `#`, `+`, `?`) and does not say which field is wrong, so each
/// field is checked alone.
fn check(place: usize, text: &str) -> Result<(), ScheduleError> {
    let wrong = || ScheduleError::Field {
        field: FIELDS[place].title,
        text: text.to_owned(),
    };
    let words = text.split(|letter: char| !letter.is_ascii_alphabetic());
    let is_known = |word: &str| {
        let mut names = FIELDS[place].names.iter();
        word.is_empty() || names.any(|name| name.eq_ignore_ascii_case(word))
    };
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "*,-/".contains(letter);
    if !text.chars().all(is_plain) || !words.into_iter().all(is_known) {
        return Err(wrong());
    }
    let mut alone = ["*"; FIELDS.len()];
    alone[place] = text;
    Cron::from_str(&alone.join(" ")).map(|_| ()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Wall {
        Wall::from_seconds(text.parse::<Timestamp>().unwrap().as_second())
    }

    fn next(expression: &str, zone: Option<&str>, after: &str) -> Option<String> {
        let schedule = Schedule::parse(expression, zone).unwrap();
        let due = schedule.next_after(at(after), None)?;
        Some(Timestamp::from_second(due.seconds()).unwrap().to_string())
    }

    #[test]
    fn expressions_are_due_when_cron_says_so() {
        // 2026-11-29 is a Sunday.
        for (expression, after, due) in [
            ("* * * * *", "2026-11-29T09:27:20Z", "2026-11-29T09:28:00Z"),
            // Later than the given time, even if that is due itself.
            ("30 9 * * *", "2026-11-29T09:30:00Z", "2026-11-30T09:30:00Z"),
            ("*/20 * * * *", "2026-11-29T09:27:20Z", "2026-11-29T09:40:00Z"),
            (
                "10-30/10 8,18 * * *",
                "2026-11-29T09:27:20Z",
                "2026-11-29T18:10:00Z",
            ),
            ("0 0 1 1,6,12 *", "2026-11-29T09:27:20Z", "2026-12-01T00:00:00Z"),
            ("0 0 1 jan,Jun *", "2026-11-29T09:27:20Z", "2027-01-01T00:00:00Z"),
            ("0 8 * * MON-FRI", "2026-11-29T09:27:20Z", "2026-11-30T08:00:00Z"),
            ("0 8 * * sat", "2026-11-29T09:27:20Z", "2026-12-05T08:00:00Z"),
            // Sunday is 0 and 7.
            ("0 8 * * 0", "2026-11-29T09:27:20Z", "2026-12-06T08:00:00Z"),
            ("0 8 * * 7", "2026-11-29T09:27:20Z", "2026-12-06T08:00:00Z"),
            // The 13th, or any Friday.
            ("0 0 13 * FRI", "2026-11-29T09:27:20Z", "2026-12-04T00:00:00Z"),
            ("0 0 13 * FRI", "2026-12-12T00:00:00Z", "2026-12-13T00:00:00Z"),
            ("0 0 29 2 *", "2026-11-29T09:27:20Z", "2028-02-29T00:00:00Z"),
            ("0 0 29 2 *", "2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"),
            ("0 0 31 * *", "2026-04-01T00:00:00Z", "2026-05-31T00:00:00Z"),
            ("@yearly", "2026-11-29T09:27:20Z", "2027-01-01T00:00:00Z"),
            ("@monthly", "2026-11-29T09:27:20Z", "2026-12-01T00:00:00Z"),
            ("@weekly", "2026-11-29T09:27:20Z", "2026-12-06T00:00:00Z"),
            ("@daily", "2026-11-29T09:27:20Z", "2026-11-30T00:00:00Z"),
            ("@hourly", "2026-11-29T09:27:20Z", "2026-11-29T10:00:00Z"),
        ] {
            assert_eq!(
                next(expression, None, after).as_deref(),
                Some(due),
                "{expression}"
            );
        }
    }

    #[test]
    fn what_never_comes_is_never_due() {
        assert_eq!(next("0 0 30 2 *", None, "2026-11-29T09:27:20Z"), None);
        assert_eq!(next("0 0 31 4,6,9,11 *", None, "2026-11-29T09:27:20Z"), None);
        // Day of month and weekday combined: a Monday is enough.
        let monday = next("0 0 30 2 MON", None, "2026-11-29T09:27:20Z");
        assert_eq!(monday.as_deref(), Some("2027-02-01T00:00:00Z"));
        // Neither is a time after its end.
        let schedule = Schedule::parse("0 12 * * *", None).unwrap();
        let after = at("2026-11-29T09:00:00Z");
        let noon = at("2026-11-29T12:00:00Z");
        assert_eq!(schedule.next_after(after, Some(noon)), Some(noon));
        assert_eq!(schedule.next_after(after, Some(Wall(noon.0 - 1))), None);
    }

    #[test]
    fn clocks_that_are_set_forth_and_back_lose_and_double_nothing() {
        // Berlin's clocks go from 02:00 to 03:00 on 2026-03-29 (01:00 UTC), and from 03:00 to 02:00 on 2026-10-25
        // (01:00 UTC).
        let berlin = Some("Europe/Berlin");
        for (expression, after, due) in [
            ("0 8 * * *", "2026-03-28T12:00:00Z", "2026-03-29T06:00:00Z"),
            ("0 8 * * *", "2026-10-25T12:00:00Z", "2026-10-26T07:00:00Z"),
            // 02:30 does not exist on that day: it is due at the end of the gap, and at its own time again the day
            // after.
            ("30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"),
            ("30 2 * * *", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"),
            // 02:30 occurs twice and is due once.
            ("30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
            ("30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
            // An hourly time is due in both.
            ("30 * * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
            ("30 * * * *", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"),
        ] {
            let came = next(expression, berlin, after);
            assert_eq!(came.as_deref(), Some(due), "{expression} after {after}");
        }
        // Zones whose offset is not a whole number of hours, and zones without the northern summer.
        for (zone, due) in [
            ("Asia/Kolkata", "2026-11-30T00:30:00Z"),
            ("America/New_York", "2026-11-29T11:00:00Z"),
            ("Pacific/Auckland", "2026-11-29T17:00:00Z"),
            ("Etc/UTC", "2026-11-30T06:00:00Z"),
        ] {
            let came = next("0 6 * * *", Some(zone), "2026-11-29T09:27:20Z");
            assert_eq!(came.as_deref(), Some(due), "{zone}");
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let of = |text: &str| Schedule::parse(text, None).unwrap_err().to_string();
        for (text, wanted) in [
            ("", "not 0"),
            ("* * * *", "not 4"),
            ("0 * * * * *", "not 6"),
            ("60 * * * *", "'60' is not valid as the minute"),
            ("* 24 * * *", "'24' is not valid as the hour"),
            ("* * 0 * *", "'0' is not valid as the day of month"),
            ("* * 32 * *", "'32' is not valid as the day of month"),
            ("* * * 13 *", "'13' is not valid as the month"),
            ("* * * * 8", "'8' is not valid as the day of week"),
            ("* * * MON *", "'MON' is not valid as the month"),
            ("* * * * FRIDAY", "'FRIDAY' is not valid as the day of week"),
            ("* * L * *", "'L' is not valid as the day of month"),
            ("* * 5W * *", "'5W' is not valid as the day of month"),
            ("* * * * 5#2", "'5#2' is not valid as the day of week"),
            ("* * ? * *", "'?' is not valid as the day of month"),
            ("*/0 * * * *", "'*/0' is not valid as the minute"),
            ("5- * * * *", "'5-' is not valid as the minute"),
            ("30-10 * * * *", "'30-10' is not valid as the minute"),
            ("@often", "not 1"),
        ] {
            assert!(of(text).contains(wanted), "{text}: {}", of(text));
        }
        assert_eq!(
            Schedule::parse(&"*".repeat(256), None),
            Err(ScheduleError::TooLong)
        );
        let nowhere = Schedule::parse("* * * * *", Some("Mars/Olympus"));
        assert_eq!(nowhere, Err(ScheduleError::Zone("Mars/Olympus".to_owned())));
    }

    proptest! {
        /// Any text is parsed or refused without a panic.
        #[test]
        fn anything_is_read_or_refused(text in "[ -~]{0,40}|([0-9*,/-]{1,5} ){4}[0-9A-Z*]{1,3}") {
            let _ = Schedule::parse(&text, None);
        }

        /// A due time is later than the given one, on the minute, and nothing was due in between.
        #[test]
        fn what_is_due_comes_next(minute in 0_u32..60, hour in 0_u32..24, after in 0_i64..4_000_000_000) {
            let schedule = Schedule::parse(&format!("{minute} {hour} * * *"), None).unwrap();
            let due = schedule.next_after(Wall::from_seconds(after), None).unwrap().seconds();
            prop_assert!(due > after && due - after <= 86_400);
            prop_assert_eq!(due.rem_euclid(86_400), i64::from(hour * 3600 + minute * 60));
        }
    }
}
