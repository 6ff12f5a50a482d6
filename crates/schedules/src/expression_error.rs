//! The dialects of expressions, and why a text is not valid in one.

/// Maximum length of an expression in bytes (both APIs: `ScheduleExpression`, at most 256).
pub const EXPRESSION_MAX: usize = 256;

/// The dialect of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// EventBridge Scheduler: in a time zone, with `at`, and with either form of a unit.
    Scheduler,
    /// Scheduled rules of EventBridge (`events`): in UTC, without `at`; a unit is singular with 1 and plural with any
    /// other value.
    Rules,
}

/// Why a text is not a valid schedule expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It is too long.
    #[error("a schedule expression can have {EXPRESSION_MAX} bytes at most")]
    TooLong,
    /// It is not a rate, cron or, where allowed, a time.
    #[error("a schedule expression must be rate(...), cron(...) or, for EventBridge Scheduler, at(...)")]
    Form,
    /// A one-time schedule in a dialect without them.
    #[error("a rule has no one-time schedule: at(...) is for EventBridge Scheduler")]
    NoOneTime,
    /// A rate that is not a value and a unit.
    #[error("a rate must be a value and a unit: rate(5 minutes), rate(1 hour)")]
    RateForm,
    /// The value of a rate is not valid.
    #[error("the value of a rate must be a positive whole number of at most 9 digits, not '{0}'")]
    RateValue(String),
    /// The unit of a rate is not valid.
    #[error("the unit of a rate must be minute, minutes, hour, hours, day or days, not '{0}'")]
    RateUnit(String),
    /// The form of the unit does not fit the value.
    #[error("the unit of a rate must be singular with 1 and plural with any other value")]
    RatePlural,
    /// It has the wrong number of fields.
    #[error(
        "a cron expression has six fields (minutes, hours, day-of-month, month, day-of-week, year), not {0}"
    )]
    Fields(usize),
    /// One field is not valid.
    #[error("'{text}' is not valid as the {field} of a cron expression")]
    Field {
        /// The name of the field.
        field: &'static str,
        /// The field as given.
        text: String,
    },
    /// Both day fields are given, or neither.
    #[error("exactly one of day-of-month and day-of-week must be '?'")]
    QuestionMarks,
    /// Not a valid date and time.
    #[error("a one-time schedule must be at(yyyy-mm-ddThh:mm:ss) with a date that exists, not '{0}'")]
    Time(String),
}

impl ExpressionError {
    /// The message for a caller of the API, whose `ValidationException` gives no reason. The reason is this error
    /// itself.
    pub fn aws_message(dialect: Dialect, text: &str) -> String {
        match dialect {
            Dialect::Scheduler => format!("Invalid Schedule Expression {text}."),
            Dialect::Rules => "Parameter ScheduleExpression is not valid.".to_owned(),
        }
    }
}
