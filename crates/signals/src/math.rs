//! Metric math: expressions over series of values, as in GetMetricData and alarms.
//!
//! Any text is parsed or refused, within bounds on its length and its parts. A point that is not a finite number (such
//! as one divided by zero) is left out, as in CloudWatch. `syntax` parses, `evaluate` computes, `functions` has the
//! functions.

mod evaluate;
mod functions;
mod syntax;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
pub use syntax::{Expression, MathError};

/// Maximum number of points that one function may create from nothing (FILL and TIME_SERIES): as many as GetMetricData
/// returns at most.
const MADE_LIMIT: i64 = 100_800;

/// Values over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeSeries {
    /// Seconds from one value to the next; at least one.
    pub period: u32,
    /// Values by the second at which their period begins.
    pub points: BTreeMap<i64, f64>,
}

/// A series with a label for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// The label.
    pub label: String,
    /// The series.
    pub series: TimeSeries,
}

/// The result of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A series.
    Series(TimeSeries),
    /// An array of series.
    Many(Vec<Labelled>),
}

/// Finds series by the arguments of SEARCH: the query, the statistic, and optionally the period.
pub type Searching<'a> = dyn Fn(&str, &str, Option<u32>) -> Found + 'a;
/// The series found, or why there cannot be any.
pub type Found = Result<Vec<Labelled>, String>;

/// What an expression may refer to.
pub struct Scope<'a> {
    /// The first second of the range.
    pub from: i64,
    /// The second after the range.
    pub to: i64,
    /// The period of series that an expression creates from nothing.
    pub period: u32,
    /// The value of an id; `None` if it does not exist.
    pub value: &'a dyn Fn(&str) -> Option<Value>,
    /// The series of METRICS(): id, label and series of each metric that is not itself an expression.
    pub metrics: &'a dyn Fn() -> Vec<(String, Labelled)>,
    /// The function behind SEARCH.
    pub search: &'a Searching<'a>,
}

impl TimeSeries {
    /// The series with each value changed.
    fn map(&self, change: impl Fn(i64, f64) -> f64) -> TimeSeries {
        TimeSeries {
            period: self.period,
            points: self
                .points
                .iter()
                .map(|(&at, &value)| (at, change(at, value)))
                .collect(),
        }
    }

    /// Drops points that are not finite numbers.
    fn finite(mut self) -> TimeSeries {
        self.points.retain(|_, value| value.is_finite());
        self
    }
}
