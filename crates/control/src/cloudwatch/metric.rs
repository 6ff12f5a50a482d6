//! Metrics as calls and alarms name them, and checks of values.

use crate::api::arns::arn_of;
use crate::api::errors::error;
use crate::cloudwatch::records::{Dimension, Metric};
use crate::ports::{Datapoints, Series, SeriesFilter};
use forebay_awswire::ApiError;
use forebay_units::Wall;
use serde_json::{Value, json};

/// A metric as a series of [`crate::Datapoints`].
pub(super) fn series(metric: &Metric, region: &str) -> Series {
    let dimensions = metric.dimensions.iter();
    let mut dimensions: Vec<(String, String)> = dimensions
        .map(|dimension| (dimension.name.clone(), dimension.value.clone()))
        .collect();
    dimensions.sort();
    Series {
        region: region.to_owned(),
        namespace: metric.namespace.clone(),
        name: metric.metric_name.clone(),
        dimensions,
    }
}

/// The error for an invalid value.
pub(super) fn wrong(message: impl Into<String>) -> ApiError {
    error("InvalidParameterValue", message)
}

/// The error for values that exclude each other.
pub(super) fn clash(message: impl Into<String>) -> ApiError {
    error("InvalidParameterCombination", message)
}

/// The error for a list that is too long.
pub(super) fn too_many(name: &str, most: usize) -> ApiError {
    wrong(format!(
        "The collection {name} must not have a size greater than {most}."
    ))
}

/// Checks that no dimension name occurs twice.
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

/// Whether CloudWatch supports a period.
pub(super) fn is_period(seconds: u32) -> bool {
    matches!(seconds, 1 | 5 | 10 | 20 | 30) || seconds > 0 && seconds.is_multiple_of(60)
}

/// A time in an input, in seconds since 1970.
pub(super) fn wall(seconds: f64) -> Wall {
    // The conversion saturates, so a float beyond all times becomes the last one.
    Wall((seconds * 1e6).round() as i64)
}

/// A time in an input, truncated to the second as in CloudWatch.
pub(super) fn whole(seconds: f64) -> Wall {
    Wall::from_seconds(wall(seconds).seconds())
}

/// All series with this metric's name and dimensions, including those with further dimensions: moto adds them up.
pub(super) fn with_others(metric: &Metric, region: &str, datapoints: &dyn Datapoints) -> Vec<Series> {
    let dimensions = metric.dimensions.iter();
    let filter = SeriesFilter {
        namespace: Some(metric.namespace.clone()),
        name: Some(metric.metric_name.clone()),
        dimensions: dimensions
            .map(|dimension| (dimension.name.clone(), Some(dimension.value.clone())))
            .collect(),
        active_since: None,
    };
    datapoints.list(region, &filter)
}

/// A time for an answer, in milliseconds: XML shows no more, and all protocols answer alike.
pub(super) fn seconds(at: Wall) -> Value {
    let millis = at.0.div_euclid(1000);
    if millis % 1000 == 0 {
        json!(millis / 1000)
    } else {
        json!(millis as f64 / 1e3)
    }
}

/// The beginning of the first period: CloudWatch rounds it down, the more the older it is.
pub(super) fn rounded(from: Wall, period: u32, now: Wall) -> Wall {
    const DAY: u64 = 24 * 60 * 60;
    let step = match now.since(from).as_secs() {
        age if age > 63 * DAY => 3600,
        age if age > 15 * DAY => 300,
        _ => i64::from(period.min(60)),
    };
    Wall::from_seconds(from.seconds().div_euclid(step) * step)
}

/// A series as answers show it.
pub(super) fn shown(series: &Series) -> Value {
    let dimensions = series.dimensions.iter();
    let dimensions: Vec<Value> = dimensions
        .map(|(name, value)| json!({"Name": name, "Value": value}))
        .collect();
    json!({"Namespace": series.namespace, "MetricName": series.name, "Dimensions": dimensions})
}

/// The ARN of an alarm.
pub(super) fn alarm_arn(region: &str, account: &str, name: &str) -> String {
    arn_of("cloudwatch", region, account, &format!("alarm:{name}"))
}
