//! GetMetricStatistics.

use crate::api::context::View;
use crate::cloudwatch::metric::{clash, is_period, rounded, seconds, series, whole, with_others, wrong};
use crate::cloudwatch::records::{Dimension, Metric};
use crate::ports::Datapoints;
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_signals::{Statistic, Summary};
use forebay_units::Wall;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The most datapoints of one answer.
const DATAPOINT_LIMIT: i64 = 1440;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    start_time: f64,
    end_time: f64,
    period: u32,
    #[serde(default)]
    statistics: Vec<String>,
    #[serde(default)]
    extended_statistics: Vec<String>,
    unit: Option<String>,
}

pub(crate) fn statistics(view: &View<'_>, datapoints: &dyn Datapoints) -> Result<Value, ApiError> {
    let input: Input = view.input()?;
    let wanted = wanted(&input)?;
    let (from, to) = (whole(input.start_time), whole(input.end_time));
    if from >= to {
        return Err(wrong(
            "The parameter StartTime must be less than the parameter EndTime.",
        ));
    }
    check_period(input.period)?;
    let from = rounded(from, input.period, view.request.now);
    let asked = (to.seconds() - from.seconds()) / i64::from(input.period);
    if asked > DATAPOINT_LIMIT {
        return Err(clash(format!(
            "You have requested up to {asked} datapoints, which exceeds the limit of {DATAPOINT_LIMIT}. You may reduce \
             the datapoints requested by increasing Period, or decreasing the time range."
        )));
    }
    let metric = Metric {
        namespace: input.namespace,
        metric_name: input.metric_name,
        dimensions: input.dimensions,
    };
    let region = view.request.region;
    let all = match view.dialect() {
        Dialect::Aws => vec![series(&metric, region)],
        Dialect::Moto => with_others(&metric, region, datapoints),
    };
    let mut found: BTreeMap<(Wall, String), Summary> = BTreeMap::new();
    for series in &all {
        // Each unit has datapoints of its own.
        let units = match &input.unit {
            Some(unit) => vec![unit.clone()],
            None => datapoints.units(series),
        };
        for unit in units {
            for (at, summary) in datapoints.read(series, from, to, input.period, Some(&unit)) {
                found
                    .entry((at, unit.clone()))
                    .and_modify(|all| all.merge(&summary))
                    .or_insert(summary);
            }
        }
    }
    let shown = found.iter();
    let shown: Vec<Value> = shown
        .map(|((at, unit), summary)| datapoint(*at, unit, summary, &wanted))
        .collect();
    Ok(json!({"Label": metric.metric_name, "Datapoints": shown}))
}

/// A requested statistic, by name or as an extended statistic.
struct Wanted {
    name: String,
    statistic: Statistic,
    extended: bool,
}

fn wanted(input: &Input) -> Result<Vec<Wanted>, ApiError> {
    let both = [
        ("Statistics", &input.statistics),
        ("ExtendedStatistics", &input.extended_statistics),
    ];
    let mut wanted = Vec::new();
    for (parameter, names) in both {
        let extended = parameter == "ExtendedStatistics";
        for name in names {
            let statistic = name.parse::<Statistic>().ok();
            let fits = |statistic: &Statistic| matches!(statistic, Statistic::Percentile(_)) == extended;
            let statistic = statistic.filter(fits).ok_or_else(|| {
                wrong(format!(
                    "The value {name} for parameter {parameter} is not supported."
                ))
            })?;
            wanted.push(Wanted {
                name: name.clone(),
                statistic,
                extended,
            });
        }
    }
    match (input.statistics.is_empty(), input.extended_statistics.is_empty()) {
        (true, true) => Err(clash("Must specify either Statistics or ExtendedStatistics")),
        (false, false) => Err(clash(
            "The parameters Statistics and ExtendedStatistics are mutually exclusive and you have specified both.",
        )),
        _ => Ok(wanted),
    }
}

fn check_period(period: u32) -> Result<(), ApiError> {
    if is_period(period) {
        return Ok(());
    }
    Err(wrong(format!(
        "The value {period} for parameter Period is invalid: it must be 1, 5, 10, 20, 30 or a multiple of 60."
    )))
}

fn datapoint(at: Wall, unit: &str, summary: &Summary, wanted: &[Wanted]) -> Value {
    let mut shown = json!({"Timestamp": seconds(at), "Unit": unit});
    let mut extended = Map::new();
    for wanted in wanted {
        let Some(value) = wanted.statistic.of(summary) else {
            continue;
        };
        if wanted.extended {
            extended.insert(wanted.name.clone(), json!(value));
        } else {
            shown[&wanted.name] = json!(value);
        }
    }
    if !extended.is_empty() {
        shown["ExtendedStatistics"] = Value::Object(extended);
    }
    shown
}
