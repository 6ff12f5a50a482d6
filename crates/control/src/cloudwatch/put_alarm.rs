//! PutMetricAlarm and PutCompositeAlarm.

use crate::api::context::Tx;
use crate::api::errors::{error, validation};
use crate::api::tagging::put_tags;
use crate::cloudwatch::metric::{alarm_arn, is_period};
use crate::cloudwatch::records::{
    Alarm, Dimension, Metric, MetricQuery, MetricRule, MetricStat, Source, Watches,
};
use crate::cloudwatch::{composite, history, queries, tags};
use crate::records::Tags;
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_signals::Statistic;
use forebay_signals::alarm::{Comparison, MissingData, State};
use forebay_signals::math::Expression;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The most alarms of a region (AWS's quota).
const ALARM_LIMIT: usize = 5000;
/// The most seconds that all periods of an evaluation may last if a period is an hour or more.
const WEEK: u64 = 7 * 86_400;
/// The most seconds that all periods of an evaluation may last if a period is shorter.
const DAY: u64 = 86_400;
/// AWS's reason for the state of a new alarm.
const UNCHECKED: &str = "Unchecked: Initial alarm creation";

/// The input that both kinds of alarms share.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Both {
    alarm_name: String,
    alarm_description: Option<String>,
    actions_enabled: Option<bool>,
    #[serde(default, rename = "OKActions")]
    ok_actions: Vec<String>,
    #[serde(default)]
    alarm_actions: Vec<String>,
    #[serde(default)]
    insufficient_data_actions: Vec<String>,
    #[serde(default)]
    tags: Vec<tags::Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfMetric {
    metric_name: Option<String>,
    namespace: Option<String>,
    statistic: Option<String>,
    extended_statistic: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    period: Option<u32>,
    unit: Option<String>,
    evaluation_periods: Option<u32>,
    datapoints_to_alarm: Option<u32>,
    threshold: Option<f64>,
    comparison_operator: Option<String>,
    treat_missing_data: Option<String>,
    evaluate_low_sample_count_percentile: Option<String>,
    #[serde(default)]
    metrics: Vec<MetricQuery>,
}

pub(crate) fn put_metric_alarm(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given = &tx.request.input;
    for unbuilt in [
        "ThresholdMetricId",
        "EvaluationWindow",
        "WarmUpConfiguration",
        "EvaluationCriteria",
        "EvaluationInterval",
        "ActionConfiguration",
    ] {
        if given.get(unbuilt).is_some() {
            return Err(validation(format!("{unbuilt} is not supported by Forebay yet")));
        }
    }
    let (both, given): (Both, OfMetric) = (tx.input()?, tx.input()?);
    let rule = metric_rule(given)?;
    put(tx, both, Watches::Metric(Box::new(rule)))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfAlarms {
    alarm_rule: String,
}

pub(crate) fn put_composite_alarm(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    for unbuilt in ["ActionsSuppressor", "ActionConfiguration"] {
        if tx.request.input.get(unbuilt).is_some() {
            return Err(validation(format!("{unbuilt} is not supported by Forebay yet")));
        }
    }
    let (both, given): (Both, OfAlarms) = (tx.input()?, tx.input()?);
    composite::check(tx, &both.alarm_name, &given.alarm_rule)?;
    put(tx, both, Watches::Composite(given.alarm_rule))
}

fn metric_rule(given: OfMetric) -> Result<MetricRule, ApiError> {
    let needed = |name: &str| validation(format!("The parameter {name} is required for an alarm."));
    let comparison = given
        .comparison_operator
        .clone()
        .ok_or_else(|| needed("ComparisonOperator"))?;
    if Comparison::named(&comparison).is_none() {
        return Err(validation(format!(
            "ComparisonOperator {comparison} is for anomaly detection, which Forebay does not have yet"
        )));
    }
    let threshold = given.threshold.ok_or_else(|| needed("Threshold"))?;
    let evaluation_periods = given
        .evaluation_periods
        .ok_or_else(|| needed("EvaluationPeriods"))?;
    if given
        .datapoints_to_alarm
        .is_some_and(|points| points > evaluation_periods)
    {
        return Err(validation(
            "DatapointsToAlarm must be less than or equal to EvaluationPeriods.",
        ));
    }
    one_of(
        "TreatMissingData",
        given.treat_missing_data.as_deref(),
        &MissingData::ALL.map(MissingData::name),
    )?;
    let low = given.evaluate_low_sample_count_percentile.as_deref();
    if let Some(word) = low.filter(|word| !["evaluate", "ignore"].contains(word)) {
        return Err(validation(format!(
            "Option {word} is not supported. Supported options for parameter EvaluateLowSampleCountPercentile are evaluate and ignore."
        )));
    }
    let (treat_missing_data, datapoints_to_alarm) =
        (given.treat_missing_data.clone(), given.datapoints_to_alarm);
    let rule = MetricRule {
        comparison,
        threshold,
        evaluation_periods,
        datapoints_to_alarm,
        treat_missing_data,
        evaluate_low_sample_count_percentile: given.evaluate_low_sample_count_percentile.clone(),
        source: source(given)?,
    };
    let period = rule.period();
    let (span, most) = (
        u64::from(period) * u64::from(evaluation_periods),
        if period >= 3600 { WEEK } else { DAY },
    );
    if span > most {
        return Err(validation(format!(
            "Metrics cannot be checked across more than {} (EvaluationPeriods * Period must be <= {most}).",
            if most == DAY { "a day" } else { "a week" }
        )));
    }
    Ok(rule)
}

fn one_of(name: &str, given: Option<&str>, words: &[&str]) -> Result<(), ApiError> {
    match given.filter(|given| !words.contains(given)) {
        None => Ok(()),
        Some(given) => Err(validation(format!(
            "The value {given} for parameter {name} is not supported. Supported are {}.",
            words.join(", ")
        ))),
    }
}

fn source(given: OfMetric) -> Result<Source, ApiError> {
    if given.metrics.is_empty() {
        return simple(given);
    }
    if given.metric_name.is_some()
        || given.namespace.is_some()
        || given.statistic.is_some()
        || given.period.is_some()
    {
        return Err(validation(
            "Metrics list and MetricName, Namespace, Statistic or Period are mutually exclusive.",
        ));
    }
    queries::check(&given.metrics)?;
    let parsed = given
        .metrics
        .iter()
        .filter_map(|query| query.expression.as_deref());
    if parsed
        .filter_map(|text| Expression::parse(text).ok())
        .any(|expression| expression.calls("SEARCH"))
    {
        return Err(validation("SEARCH is not supported on metric alarms."));
    }
    if given.metrics.iter().filter(|query| query.returns()).count() != 1 {
        return Err(validation(
            "Exactly one element of the metrics list should return data.",
        ));
    }
    Ok(Source::Queries(given.metrics))
}

fn simple(given: OfMetric) -> Result<Source, ApiError> {
    let needed = |name: &str| {
        validation(format!(
            "The parameter {name} is required for an alarm on a metric."
        ))
    };
    let stat = match (given.statistic, given.extended_statistic) {
        (Some(stat), None) => stat,
        (None, Some(stat)) => {
            if !matches!(stat.parse::<Statistic>(), Ok(Statistic::Percentile(_))) {
                return Err(error(
                    "InvalidParameterValue",
                    format!("The value {stat} for parameter ExtendedStatistic is not supported."),
                ));
            }
            stat
        }
        (None, None) => return Err(needed("Statistic")),
        (Some(_), Some(_)) => {
            return Err(validation(
                "Statistic and ExtendedStatistic are mutually exclusive.",
            ));
        }
    };
    let period = given.period.ok_or_else(|| needed("Period"))?;
    if !is_period(period) || period < 10 {
        return Err(validation("Period must be 10, 20, 30 or a multiple of 60"));
    }
    Ok(Source::Stat(MetricStat {
        metric: Metric {
            namespace: given.namespace.ok_or_else(|| needed("Namespace"))?,
            metric_name: given.metric_name.ok_or_else(|| needed("MetricName"))?,
            dimensions: given.dimensions,
        },
        period,
        stat,
        unit: given.unit,
    }))
}

/// Creates an alarm, or replaces the configuration of an existing one, which keeps its state.
fn put(tx: &mut Tx<'_>, given: Both, watches: Watches) -> Result<Value, ApiError> {
    let name = given.alarm_name;
    if name.contains('\0') {
        return Err(validation("An alarm's name holds no NUL"));
    }
    let old = tx.region().alarms.get(&name).cloned();
    if old.is_none() && tx.region().alarms.len() >= ALARM_LIMIT {
        return Err(error(
            "LimitExceeded",
            "The maximum limit of alarms was exceeded.",
        ));
    }
    let now = tx.request.now;
    let arn = alarm_arn(tx.request.region, tx.request.account, &name);
    let mut alarm = Alarm {
        arn: arn.clone(),
        description: given.alarm_description,
        actions_enabled: given.actions_enabled.unwrap_or(true),
        ok_actions: given.ok_actions,
        alarm_actions: given.alarm_actions,
        insufficient_data_actions: given.insufficient_data_actions,
        watches,
        configured: now,
        previous_state: State::default(),
        state: match tx.dialect() {
            Dialect::Aws => State::default(),
            // moto's alarms begin in this state; the next evaluation corrects it.
            Dialect::Moto => State::Ok,
        },
        reason: UNCHECKED.to_owned(),
        reason_data: None,
        updated: now,
        transitioned: now,
        actions_due: false,
        next_entry: 0,
        newest: None,
        name,
    };
    let summary = match &old {
        None => {
            // Tags given with an existing alarm are ignored, as on AWS.
            let tags = tags::read(given.tags, Tags::new())?;
            put_tags(tx.region_mut(), &arn, tags);
            format!("Alarm \"{}\" created", alarm.name)
        }
        Some(old) if old.kind() != alarm.kind() => {
            return Err(validation(format!(
                "An alarm of another type has the name {}",
                alarm.name
            )));
        }
        Some(old) => {
            alarm = Alarm {
                state: old.state,
                reason: old.reason.clone(),
                reason_data: old.reason_data.clone(),
                updated: old.updated,
                transitioned: old.transitioned,
                previous_state: old.previous_state,
                actions_due: old.actions_due,
                next_entry: old.next_entry,
                newest: old.newest,
                ..alarm
            };
            format!("Alarm \"{}\" updated", alarm.name)
        }
    };
    let kind = if old.is_some() { "Update" } else { "Create" };
    let data = json!({"version": "1.0", "type": kind, kind.to_lowercase() + "dAlarm": {"alarmName": alarm.name, "alarmArn": arn}});
    let region = tx.region_mut();
    history::enter(region, &mut alarm, now, history::CONFIGURATION, &summary, &data);
    region.alarms.insert(alarm.name.clone(), Arc::new(alarm));
    Ok(json!({}))
}
