//! Schedule expressions: `rate(5 minutes)`, `cron(0 8 ? * MON-FRI *)`, `at(2026-11-29T12:00:00)`.

use crate::cron::Cron;
use crate::expression_error::{Dialect, EXPRESSION_MAX, ExpressionError};
use core::time::Duration;
use jiff::civil::DateTime;

/// The unit of a rate. A day is 24 hours, whatever the clocks do (EventBridge Scheduler User Guide, daylight saving
/// time).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateUnit {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
}

/// A fixed interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    value: u32,
    unit: RateUnit,
}

impl Rate {
    /// Parses a value and a unit, without the `rate( )` around them.
    fn parse(text: &str, dialect: Dialect) -> Result<Rate, ExpressionError> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let &[number, unit_text] = words.as_slice() else {
            return Err(ExpressionError::RateForm);
        };
        let is_plain = number.len() <= 9 && number.bytes().all(|byte| byte.is_ascii_digit());
        let value = number.parse().ok().filter(|value| is_plain && *value > 0);
        let value: u32 = value.ok_or_else(|| ExpressionError::RateValue(number.to_owned()))?;
        let (unit, is_plural) = match unit_text {
            "minute" => (RateUnit::Minute, false),
            "minutes" => (RateUnit::Minute, true),
            "hour" => (RateUnit::Hour, false),
            "hours" => (RateUnit::Hour, true),
            "day" => (RateUnit::Day, false),
            "days" => (RateUnit::Day, true),
            other => return Err(ExpressionError::RateUnit(other.to_owned())),
        };
        if dialect == Dialect::Rules && is_plural != (value > 1) {
            return Err(ExpressionError::RatePlural);
        }
        Ok(Rate { value, unit })
    }

    /// Time from one run to the next.
    pub fn period(self) -> Duration {
        let unit_s = match self.unit {
            RateUnit::Minute => 60,
            RateUnit::Hour => 3600,
            RateUnit::Day => 86_400,
        };
        Duration::from_secs(u64::from(self.value) * unit_s)
    }
}

/// When something runs, apart from the zone and the dates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// At a fixed interval.
    Rate(Rate),
    /// Whenever the local clock shows certain times.
    Cron(Box<Cron>),
    /// Once, at this local time.
    At(DateTime),
}

impl Expression {
    /// Parses an expression. Any input ends soon and without a panic.
    ///
    /// # Errors
    /// If it is not valid in this dialect; says why.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Expression, ExpressionError> {
        if text.len() > EXPRESSION_MAX {
            return Err(ExpressionError::TooLong);
        }
        let inner = text.strip_suffix(')').ok_or(ExpressionError::Form)?;
        if let Some(rate) = inner.strip_prefix("rate(") {
            return Rate::parse(rate, dialect).map(Expression::Rate);
        }
        if let Some(fields) = inner.strip_prefix("cron(") {
            return Cron::parse(fields).map(|cron| Expression::Cron(Box::new(cron)));
        }
        match inner.strip_prefix("at(") {
            Some(_) if dialect == Dialect::Rules => Err(ExpressionError::NoOneTime),
            Some(time) => at_time(time)
                .map(Expression::At)
                .ok_or_else(|| ExpressionError::Time(time.to_owned())),
            None => Err(ExpressionError::Form),
        }
    }
}

/// Parses `yyyy-mm-ddThh:mm:ss`, and none of the other forms of ISO 8601.
fn at_time(text: &str) -> Option<DateTime> {
    const FORM: &[u8; 19] = b"0000-00-00T00:00:00";
    let fits = text.len() == FORM.len()
        && text.bytes().zip(FORM).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            other => byte == *other,
        });
    // A leap second would be parsed as the second before.
    let fits = fits && !text.ends_with(":60");
    fits.then(|| text.parse().ok()).flatten()
}
