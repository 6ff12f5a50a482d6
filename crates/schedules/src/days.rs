//! The days of a month that a cron expression matches: by number or by weekday.

use crate::expression_error::ExpressionError;
use crate::field::{DAY_OF_MONTH, DAY_OF_WEEK, Numbers, digits};
use jiff::civil::Date;

/// The matching days. Exactly one of the two fields defines them; the other one is `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Days {
    OfMonth(DaysOfMonth),
    OfWeek(DaysOfWeek),
}

/// A day-of-month field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DaysOfMonth {
    numbers: Numbers,
    /// `L` and `L-3`: numbers of days before the last one, as bits.
    before_last: u32,
    /// `15W`: the weekday nearest to each of these days.
    nearest_to: Numbers,
    /// `LW`: the last weekday.
    last_weekday: bool,
}

/// A day-of-week field; 1 is Sunday.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DaysOfWeek {
    numbers: Numbers,
    /// `6L`: the last of each of these weekdays in the month.
    last: Numbers,
    /// `3#2`: a weekday, and which one in the month.
    nth: Option<(u16, u16)>,
}

/// AWS's number for Saturday, the last day of a week, which a plain `L` means.
const SATURDAY: u16 = 7;
const SUNDAY: u16 = 1;

impl Days {
    /// Parses both fields.
    pub(crate) fn parse(of_month: &str, of_week: &str) -> Result<Days, ExpressionError> {
        match (of_month, of_week) {
            ("?", "?") => Err(ExpressionError::QuestionMarks),
            (of_month, "?") => Ok(Days::OfMonth(DaysOfMonth::parse(of_month)?)),
            ("?", of_week) => Ok(Days::OfWeek(DaysOfWeek::parse(of_week)?)),
            _ => Err(ExpressionError::QuestionMarks),
        }
    }

    /// The matching days of this month as bits; bit 1 is the first day. Zero if there is no such month.
    pub(crate) fn of(&self, year: i16, month: i8) -> u32 {
        let Ok(first) = Date::new(year, month, 1) else {
            return 0;
        };
        let last = u16::from(first.days_in_month().unsigned_abs());
        // The weekday of the first day, with Sunday as zero.
        let offset = u16::from(first.weekday().to_sunday_zero_offset().unsigned_abs());
        let weekday = |day: u16| (day - 1 + offset) % 7 + 1;
        (1..=last)
            .filter(|&day| match self {
                Days::OfMonth(days) => days.has(day, last, weekday),
                Days::OfWeek(days) => days.has(day, last, weekday(day)),
            })
            .fold(0, |mask, day| mask | 1 << day)
    }
}

impl DaysOfMonth {
    fn parse(text: &str) -> Result<DaysOfMonth, ExpressionError> {
        let mut days = DaysOfMonth {
            numbers: DAY_OF_MONTH.empty(),
            before_last: 0,
            nearest_to: DAY_OF_MONTH.empty(),
            last_weekday: false,
        };
        for item in text.split(',') {
            days.item(item).ok_or_else(|| DAY_OF_MONTH.wrong(text))?;
        }
        Ok(days)
    }

    fn item(&mut self, item: &str) -> Option<()> {
        let upper = item.to_ascii_uppercase();
        if upper == "LW" {
            self.last_weekday = true;
        } else if upper == "L" {
            self.before_last |= 1;
        } else if let Some(before) = upper.strip_prefix("L-") {
            let before = digits(before).filter(|before| (1..=30).contains(before))?;
            self.before_last |= 1 << before;
        } else if let Some(day) = upper.strip_suffix('W') {
            DAY_OF_MONTH.number(day)?;
            DAY_OF_MONTH.item(day, &mut self.nearest_to)?;
        } else {
            DAY_OF_MONTH.item(item, &mut self.numbers)?;
        }
        Some(())
    }

    fn has(&self, day: u16, last: u16, weekday: impl Fn(u16) -> u16) -> bool {
        let is_nearest =
            |to: u16| to <= last && self.nearest_to.has(to) && nearest_weekday(to, last, weekday(to)) == day;
        self.numbers.has(day)
            || self.before_last >> (last - day) & 1 == 1
            || (self.last_weekday && nearest_before(last, weekday(last)) == day)
            // A nearest weekday is at most two days away.
            || (day.saturating_sub(2).max(1)..=day + 2).any(is_nearest)
    }
}

/// The weekday nearest to a day, within the same month.
fn nearest_weekday(day: u16, last: u16, weekday: u16) -> u16 {
    match weekday {
        SATURDAY if day == 1 => 3,
        SATURDAY => day - 1,
        SUNDAY if day == last => day - 2,
        SUNDAY => day + 1,
        _ => day,
    }
}

/// The last weekday of a month whose last day is this one.
fn nearest_before(last: u16, weekday: u16) -> u16 {
    match weekday {
        SATURDAY => last - 1,
        SUNDAY => last - 2,
        _ => last,
    }
}

impl DaysOfWeek {
    fn parse(text: &str) -> Result<DaysOfWeek, ExpressionError> {
        let wrong = || DAY_OF_WEEK.wrong(text);
        let mut days = DaysOfWeek {
            numbers: DAY_OF_WEEK.empty(),
            last: DAY_OF_WEEK.empty(),
            nth: None,
        };
        // With `#` there may be only one item (EventBridge user guide, cron expressions, note on wildcards).
        if let Some((weekday, nth)) = text.split_once('#') {
            let weekday = DAY_OF_WEEK.number(weekday).ok_or_else(wrong)?;
            let nth = digits(nth)
                .filter(|nth| (1..=5).contains(nth))
                .ok_or_else(wrong)?;
            days.nth = Some((weekday, nth));
            return Ok(days);
        }
        for item in text.split(',') {
            days.item(item).ok_or_else(wrong)?;
        }
        Ok(days)
    }

    fn item(&mut self, item: &str) -> Option<()> {
        if item.eq_ignore_ascii_case("L") {
            return DAY_OF_WEEK.item("7", &mut self.numbers);
        }
        match item.strip_suffix(['L', 'l']) {
            Some(weekday) => {
                DAY_OF_WEEK.number(weekday)?;
                DAY_OF_WEEK.item(weekday, &mut self.last)
            }
            None => DAY_OF_WEEK.item(item, &mut self.numbers),
        }
    }

    fn has(&self, day: u16, last: u16, weekday: u16) -> bool {
        self.numbers.has(weekday)
            || (self.last.has(weekday) && day + 7 > last)
            || self.nth == Some((weekday, (day - 1) / 7 + 1))
    }
}
