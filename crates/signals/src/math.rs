//! Metric math: expressions over series of values, as GetMetricData and alarms take them.
//!
//! Any text is parsed or refused, within bounds on its length and on what it is made of. A point that is no number (one divided by
//! zero) is left out, as CloudWatch does.

mod evaluate;
mod functions;
mod syntax;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
pub use syntax::{Expression, MathError};

/// Points that one function may make of none (FILL and TIME_SERIES): as many as GetMetricData answers at most.
const MADE_LIMIT: i64 = 100_800;

/// Values over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeSeries {
    /// Seconds from one value to the next, at least one.
    pub period: u32,
    /// Values by the second at which their period begins.
    pub points: BTreeMap<i64, f64>,
}

/// A series with a name for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// The name.
    pub label: String,
    /// The series.
    pub series: TimeSeries,
}

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A series.
    Series(TimeSeries),
    /// An array of series.
    Many(Vec<Labelled>),
}

/// Finds series by what SEARCH is given: the query, the statistic, and perhaps the period.
pub type Searching<'a> = dyn Fn(&str, &str, Option<u32>) -> Found + 'a;
/// The series that were found, or why none can be.
pub type Found = Result<Vec<Labelled>, String>;

/// What an expression can refer to.
pub struct Scope<'a> {
    /// The first second of the range.
    pub from: i64,
    /// The first second behind it.
    pub to: i64,
    /// The period of series that an expression makes of nothing.
    pub period: u32,
    /// The value of an id; none if there is none.
    pub value: &'a dyn Fn(&str) -> Option<Value>,
    /// What METRICS() stands for: id, label and series of each metric that is not itself an expression.
    pub metrics: &'a dyn Fn() -> Vec<(String, Labelled)>,
    /// What SEARCH finds: the series, or why it finds nothing.
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

    /// Points that are no numbers are no points.
    fn finite(mut self) -> TimeSeries {
        self.points.retain(|_, value| value.is_finite());
        self
    }
}
