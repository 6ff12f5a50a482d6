//! PutMetricData.

use crate::api::context::View;
use crate::api::errors::{error, missing};
use crate::cloudwatch::metric::{check_dimensions, clash, series, too_many, wall, wrong};
use crate::cloudwatch::records::{Dimension, Metric};
use crate::ports::{Datapoint, Datapoints};
use crate::state::Dialect;
use core::time::Duration;
use forebay_awswire::ApiError;
use forebay_signals::Summary;
use serde::Deserialize;
use serde_json::{Value, json};

/// The most metrics in one call.
const METRIC_LIMIT: usize = 1000;
/// The most values of one metric in one call.
const VALUE_LIMIT: usize = 150;
/// How far a timestamp may be in the past.
const BACK: Duration = Duration::from_secs(14 * 24 * 3600);
/// How far a timestamp may be in the future.
const AHEAD: Duration = Duration::from_secs(2 * 3600);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    namespace: String,
    #[serde(default)]
    metric_data: Vec<Datum>,
    #[serde(default)]
    entity_metric_data: Vec<OfEntity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfEntity {
    #[serde(default)]
    metric_data: Vec<Datum>,
}

/// Numbers are untyped here, because those that are not finite arrive as strings.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Datum {
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    timestamp: Option<f64>,
    value: Option<Value>,
    statistic_values: Option<Set>,
    #[serde(default)]
    values: Vec<Value>,
    #[serde(default)]
    counts: Vec<Value>,
    unit: Option<String>,
    storage_resolution: Option<u32>,
}

impl Datum {
    fn has_values(&self) -> bool {
        self.value.is_some() || self.statistic_values.is_some() || !self.values.is_empty()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Set {
    sample_count: Value,
    sum: Value,
    minimum: Value,
    maximum: Value,
}

pub(crate) fn put(view: &View<'_>, datapoints: &dyn Datapoints) -> Result<Value, ApiError> {
    let input: Input = view.input()?;
    if input.namespace.starts_with("AWS/") && view.dialect() == Dialect::Aws {
        return Err(wrong("The value AWS/ for parameter Namespace is invalid."));
    }
    let of_entities = input
        .entity_metric_data
        .into_iter()
        .flat_map(|entity| entity.metric_data);
    let data: Vec<Datum> = input.metric_data.into_iter().chain(of_entities).collect();
    if data.is_empty() {
        return Err(missing("MetricData"));
    }
    if data.len() > METRIC_LIMIT {
        return Err(too_many("MetricData", METRIC_LIMIT));
    }
    let mut points = Vec::with_capacity(data.len());
    for (number, datum) in (1..).zip(data) {
        points.push(datapoint(view, &input.namespace, datum, number)?);
    }
    datapoints
        .put(points)
        // Retrying does not help when the storage is full, so this is not reported as a fault of the service.
        .map_err(|problem| error("LimitExceeded", format!("{problem}: {}", problem.cause)))?;
    Ok(json!({}))
}

fn datapoint(view: &View<'_>, namespace: &str, datum: Datum, number: usize) -> Result<Datapoint, ApiError> {
    let path = format!("MetricData.member.{number}");
    check_dimensions(&datum.dimensions, &path)?;
    let summary = match (view.dialect(), datum.has_values()) {
        // moto counts a metric without a value as zero.
        (Dialect::Moto, false) => Summary::of(0.0, 1.0),
        _ => summary(&datum, &path)?,
    };
    let now = view.request.now;
    let at = datum.timestamp.map_or(now, wall);
    if now.since(at) > BACK {
        return Err(wrong(format!(
            "The parameter {path}.Timestamp must specify a time within the past two weeks."
        )));
    }
    if at.since(now) > AHEAD {
        return Err(wrong(format!(
            "The parameter {path}.Timestamp must specify a time no more than two hours in the future."
        )));
    }
    let high_resolution = match datum.storage_resolution {
        None | Some(60) => false,
        Some(1) => true,
        // moto ignores it.
        Some(_) if view.dialect() == Dialect::Moto => false,
        Some(other) => {
            return Err(wrong(format!(
                "The value {other} for parameter {path}.StorageResolution is invalid: it must be 1 or 60."
            )));
        }
    };
    let metric = Metric {
        namespace: namespace.to_owned(),
        metric_name: datum.metric_name,
        dimensions: datum.dimensions,
    };
    Ok(Datapoint {
        series: series(&metric, view.request.region),
        at,
        unit: datum.unit.filter(|unit| unit != "None"),
        summary,
        high_resolution,
    })
}

fn summary(datum: &Datum, path: &str) -> Result<Summary, ApiError> {
    let both = |one: &str, other: &str| {
        format!(
            "The parameters {path}.{one} and {path}.{other} are mutually exclusive and you have specified both."
        )
    };
    match (&datum.value, &datum.statistic_values, datum.values.as_slice()) {
        (Some(_), Some(_), _) => Err(clash(both("Value", "StatisticValues"))),
        (Some(_), _, [_, ..]) => Err(wrong(both("Value", "Values"))),
        (_, Some(_), [_, ..]) => Err(clash(both("StatisticValues", "Values"))),
        (Some(value), None, []) => Ok(Summary::of(number(value, &format!("{path}.Value"))?, 1.0)),
        (None, Some(set), []) => of_set(set, path),
        (None, None, values @ [_, ..]) => of_values(values, &datum.counts, path),
        (None, None, []) => Err(missing(&format!("{path}.Value"))),
    }
}

fn of_values(values: &[Value], counts: &[Value], path: &str) -> Result<Summary, ApiError> {
    for (name, list) in [("Values", values), ("Counts", counts)] {
        if list.len() > VALUE_LIMIT {
            return Err(too_many(&format!("{path}.{name}"), VALUE_LIMIT));
        }
    }
    if !counts.is_empty() && counts.len() != values.len() {
        return Err(wrong(format!(
            "The parameters {path}.Values and {path}.Counts must be of the same size."
        )));
    }
    let mut all: Option<Summary> = None;
    for (place, value) in values.iter().enumerate() {
        let value = number(value, &format!("{path}.Values"))?;
        let count = match counts.get(place) {
            None => 1.0,
            Some(count) => positive(count, &format!("{path}.Counts"))?,
        };
        match &mut all {
            None => all = Some(Summary::of(value, count)),
            Some(summary) => summary.add(value, count),
        }
    }
    all.ok_or_else(|| missing(&format!("{path}.Values")))
}

fn of_set(set: &Set, path: &str) -> Result<Summary, ApiError> {
    let part = |name: &str| format!("{path}.StatisticValues.{name}");
    let count = positive(&set.sample_count, &part("SampleCount"))?;
    let sum = number(&set.sum, &part("Sum"))?;
    let minimum = number(&set.minimum, &part("Minimum"))?;
    let maximum = number(&set.maximum, &part("Maximum"))?;
    if minimum > maximum {
        return Err(wrong(format!(
            "The parameter {} must be less than or equal to the parameter {}.",
            part("Minimum"),
            part("Maximum")
        )));
    }
    Ok(Summary::of_set(count, sum, minimum, maximum))
}

fn positive(value: &Value, path: &str) -> Result<f64, ApiError> {
    let found = number(value, path)?;
    if found > 0.0 {
        return Ok(found);
    }
    Err(wrong(format!(
        "The value {found} for parameter {path} is invalid."
    )))
}

/// CloudWatch accepts -2^360 to 2^360, and neither NaN nor infinity.
fn number(value: &Value, path: &str) -> Result<f64, ApiError> {
    let bound = 2_f64.powi(360);
    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    value
        .as_f64()
        .filter(|found| found.abs() <= bound)
        .ok_or_else(|| wrong(format!("The value {shown} for parameter {path} is invalid.")))
}
