//! Cron expressions of six fields: the local times that they match, and the next of them.

use crate::days::Days;
use crate::expression_error::ExpressionError;
use crate::field::{HOUR, MINUTE, MONTH, Numbers, YEAR};
use forebay_units::Wall;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Timestamp, ToSpan as _};

/// Number of local times tried for one that exists and is later: the minutes of a day, and two gaps in each possible
/// year.
const TRIES: usize = 1440 + 2 * 230;

/// A cron expression: minutes, hours, day-of-month, month, day-of-week, year.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: Numbers,
    hours: Numbers,
    days: Days,
    months: Numbers,
    years: Numbers,
}

impl Cron {
    /// Parses the six fields, without the `cron( )` around them.
    ///
    /// # Errors
    /// If there are not six, or one of them is not valid; the error names it.
    pub fn parse(text: &str) -> Result<Cron, ExpressionError> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let &[minutes, hours, of_month, month, of_week, year] = fields.as_slice() else {
            return Err(ExpressionError::Fields(fields.len()));
        };
        Ok(Cron {
            minutes: MINUTE.numbers(minutes)?,
            hours: HOUR.numbers(hours)?,
            days: Days::parse(of_month, of_week)?,
            months: MONTH.numbers(month)?,
            years: YEAR.numbers(year)?,
        })
    }

    /// Whether it matches this minute of the local clock.
    pub fn matches(&self, local: DateTime) -> bool {
        let small = |number: i8| u16::from(number.unsigned_abs());
        self.years.has(local.year().unsigned_abs())
            && self.months.has(small(local.month()))
            && self.days.of(local.year(), local.month()) >> local.day() & 1 == 1
            && self.hours.has(small(local.hour()))
            && self.minutes.has(small(local.minute()))
    }

    /// The first matching time in this zone after `after`. Local times that a zone skips are skipped; those that it
    /// repeats count only the first time. `None` if there is none before the end of 2199.
    pub fn next_after(&self, zone: &TimeZone, after: Wall) -> Option<Wall> {
        let after = Timestamp::from_microsecond(after.0).ok()?;
        let local = zone.to_datetime(after);
        // Local time rises with time except where the clock repeats itself, which does not count. So nothing before
        // this minute is later.
        let minute = local.date().at(local.hour(), local.minute(), 0, 0);
        let mut from = minute.checked_add(1.minute()).ok()?;
        for _ in 0..TRIES {
            let local = self.next_local(from)?;
            let at = match zone.to_ambiguous_timestamp(local).offset() {
                AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok()?,
                AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok()?,
                AmbiguousOffset::Gap { before, .. } => {
                    from = gap_end(zone, local, before)?;
                    continue;
                }
            };
            if at > after {
                return Some(Wall::from_seconds(at.as_second()));
            }
            from = local.checked_add(1.minute()).ok()?;
        }
        None
    }

    /// The first matching local minute from this one on. It looks at the months of at most 230 years.
    fn next_local(&self, from: DateTime) -> Option<DateTime> {
        let mut year = self.years.from(from.year().unsigned_abs())?;
        loop {
            let first = if i32::from(year) == i32::from(from.year()) {
                u16::from(from.month().unsigned_abs())
            } else {
                1
            };
            let mut month = self.months.from(first);
            while let Some(number) = month {
                let found = self.in_month(i16::try_from(year).ok()?, i8::try_from(number).ok()?, from);
                if found.is_some() {
                    return found;
                }
                month = self.months.from(number + 1);
            }
            year = self.years.from(year + 1)?;
        }
    }

    fn in_month(&self, year: i16, month: i8, from: DateTime) -> Option<DateTime> {
        let days = self.days.of(year, month);
        (1..=31).filter(|day| days >> day & 1 == 1).find_map(|day| {
            let date = Date::new(year, month, day).ok()?;
            let earliest = match date.cmp(&from.date()) {
                core::cmp::Ordering::Less => return None,
                core::cmp::Ordering::Equal => from.time(),
                core::cmp::Ordering::Greater => Time::midnight(),
            };
            self.in_day(earliest).map(|time| date.to_datetime(time))
        })
    }

    fn in_day(&self, earliest: Time) -> Option<Time> {
        let (hour, minute) = (
            u16::from(earliest.hour().unsigned_abs()),
            u16::from(earliest.minute().unsigned_abs()),
        );
        let in_hour = self.minutes.from(minute).filter(|_| self.hours.has(hour));
        let (hour, minute) = match in_hour {
            Some(minute) => (hour, minute),
            None => (self.hours.from(hour + 1)?, self.minutes.from(0)?),
        };
        Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok()
    }
}

/// The first local minute after the gap that `local` falls into, so that all minutes of the gap are skipped at once.
fn gap_end(zone: &TimeZone, local: DateTime, before: Offset) -> Option<DateTime> {
    // With the old offset, a time in the gap is at or after the change.
    let past = before.to_timestamp(local).ok()?.checked_add(1.second()).ok()?;
    let change = zone.preceding(past).next()?;
    let end = zone.to_datetime(change.timestamp());
    let minute = end.date().at(end.hour(), end.minute(), 0, 0);
    let end = if minute == end {
        end
    } else {
        minute.checked_add(1.minute()).ok()?
    };
    Some(end.max(local.checked_add(1.minute()).ok()?))
}
