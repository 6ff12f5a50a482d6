//! Whose rules an expression follows, and why a text is none.

/// The longest expression, in bytes (both APIs: `ScheduleExpression`, 256 at most).
pub const EXPRESSION_MAX: usize = 256;

/// Whose rules an expression follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// EventBridge Scheduler: in a time zone; `at` is allowed, and so is either form of a unit.
    Scheduler,
    /// Scheduled rules of EventBridge (`events`): in UTC, no `at`; a unit is in the singular for 1 and in the plural for more.
    Rules,
}

/// Why a text is no schedule expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It has more bytes than an expression may have.
    #[error("a schedule expression can have {EXPRESSION_MAX} bytes at most")]
    TooLong,
    /// It is neither a rate, nor cron, nor, where that is allowed, a time.
    #[error("a schedule expression is rate(...), cron(...) or, for EventBridge Scheduler, at(...)")]
    Form,
    /// A one-time schedule where there are none.
    #[error("a rule has no one-time schedule: at(...) is for EventBridge Scheduler")]
    NoOneTime,
    /// Not a value and a unit.
    #[error("a rate is a value and a unit: rate(5 minutes), rate(1 hour)")]
    RateForm,
    /// The value of a rate.
    #[error("the value of a rate is a positive whole number of at most 9 digits, not '{0}'")]
    RateValue(String),
    /// The unit of a rate.
    #[error("the unit of a rate is minute, minutes, hour, hours, day or days, not '{0}'")]
    RateUnit(String),
    /// The unit's form does not fit the value.
    #[error("with 1 the unit of a rate is in the singular, with any other value in the plural")]
    RatePlural,
    /// It has another number of fields.
    #[error(
        "a cron expression has six fields (minutes, hours, day-of-month, month, day-of-week, year), not {0}"
    )]
    Fields(usize),
    /// One field is wrong.
    #[error("'{text}' is not valid as the {field} of a cron expression")]
    Field {
        /// Which one.
        field: &'static str,
        /// As it was given.
        text: String,
    },
    /// Both day fields say something, or none of them.
    #[error("exactly one of day-of-month and day-of-week is '?'")]
    QuestionMarks,
    /// Not a date and a time.
    #[error("a one-time schedule is at(yyyy-mm-ddThh:mm:ss) with a date that exists, not '{0}'")]
    Time(String),
}

impl ExpressionError {
    /// What the API tells a caller, whose `ValidationException` gives no reason. The reason is this error itself.
    pub fn aws_message(dialect: Dialect, text: &str) -> String {
        match dialect {
            Dialect::Scheduler => format!("Invalid Schedule Expression {text}."),
            Dialect::Rules => "Parameter ScheduleExpression is not valid.".to_owned(),
        }
    }
}
