//! Metrics as calls and alarms name them, and what may be asked of them.

use crate::api::context::View;
use crate::api::errors::error;
use crate::api::paging::unsealed;
use crate::ports::Series;
use forebay_awswire::ApiError;
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A dimension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Dimension {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metric {
    /// Its namespace.
    #[serde(default)]
    pub namespace: String,
    /// Its name.
    #[serde(default)]
    pub metric_name: String,
    /// Its dimensions, in the order in which they were given.
    #[serde(default)]
    pub dimensions: Vec<Dimension>,
}

/// A statistic of a metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetricStat {
    /// The metric.
    pub metric: Metric,
    /// Seconds.
    pub period: u32,
    /// CloudWatch's name of the statistic.
    pub stat: String,
    /// Only values that were put with this unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// One of the queries of GetMetricData, or of an alarm on metric math.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetricQuery {
    /// What expressions call it.
    pub id: String,
    /// A metric's statistic; else there is an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_stat: Option<MetricStat>,
    /// An expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether it is answered, or only there for others. True if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_data: Option<bool>,
    /// Of an expression: seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<u32>,
}

impl MetricQuery {
    pub(crate) fn returns(&self) -> bool {
        self.return_data.unwrap_or(true)
    }
}

impl Metric {
    /// The metric as the port names it.
    pub(crate) fn series(&self, region: &str) -> Series {
        let dimensions = self.dimensions.iter();
        let mut dimensions: Vec<(String, String)> = dimensions
            .map(|dimension| (dimension.name.clone(), dimension.value.clone()))
            .collect();
        dimensions.sort();
        Series {
            region: region.to_owned(),
            namespace: self.namespace.clone(),
            name: self.metric_name.clone(),
            dimensions,
        }
    }
}

/// The error of a value that is not taken.
pub(super) fn wrong(message: impl Into<String>) -> ApiError {
    error("InvalidParameterValue", message)
}

/// The error of values that are not taken together.
pub(super) fn clash(message: impl Into<String>) -> ApiError {
    error("InvalidParameterCombination", message)
}

/// The error of a list that is too long.
pub(super) fn too_many(name: &str, most: usize) -> ApiError {
    wrong(format!(
        "The collection {name} must not have a size greater than {most}."
    ))
}

/// Checks that no dimension's name comes twice.
pub(super) fn check_dimensions(dimensions: &[Dimension], path: &str) -> Result<(), ApiError> {
    let mut names: Vec<&str> = dimensions
        .iter()
        .map(|dimension| dimension.name.as_str())
        .collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(wrong(format!(
            "No two dimensions of {path} can have the same name: {}.",
            pair[0]
        ))),
        None => Ok(()),
    }
}

/// Whether CloudWatch has such a period.
pub(super) fn is_period(seconds: u32) -> bool {
    matches!(seconds, 1 | 5 | 10 | 20 | 30) || seconds > 0 && seconds.is_multiple_of(60)
}

/// A time of an input, which is seconds since 1970.
pub(super) fn wall(seconds: f64) -> Wall {
    // A float beyond every time becomes the last one.
    Wall((seconds * 1e6).round() as i64)
}

/// A time for an answer.
pub(super) fn seconds(at: Wall) -> Value {
    let micros = at.0;
    if micros % 1_000_000 == 0 {
        json!(micros / 1_000_000)
    } else {
        json!(micros as f64 / 1e6)
    }
}

/// The beginning of the first period: CloudWatch rounds it down, the further back the more.
pub(super) fn rounded(from: Wall, period: u32, now: Wall) -> Wall {
    const DAY: u64 = 24 * 60 * 60;
    let step = match now.since(from).as_secs() {
        age if age > 63 * DAY => 3600,
        age if age > 15 * DAY => 300,
        _ => i64::from(period.min(60)),
    };
    Wall::from_seconds(from.seconds().div_euclid(step) * step)
}

/// A series for an answer.
pub(super) fn shown(series: &Series) -> Value {
    let dimensions = series.dimensions.iter();
    let dimensions: Vec<Value> = dimensions
        .map(|(name, value)| json!({"Name": name, "Value": value}))
        .collect();
    json!({"Namespace": series.namespace, "MetricName": series.name, "Dimensions": dimensions})
}

/// The text in a token of the same operation, from which pages go on; none if the token is none of ours.
pub(super) fn after(view: &View<'_>, token: Option<&str>) -> Option<String> {
    match token.filter(|token| !token.is_empty()) {
        None => Some(String::new()),
        Some(token) => unsealed(view, token),
    }
}
