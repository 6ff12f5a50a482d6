//! DescribeAlarms and DescribeAlarmsForMetric.

use crate::api::context::View;
use crate::api::errors::{error, validation};
use crate::api::paging::{after, cut, sealed};
use crate::cloudwatch::composite;
use crate::cloudwatch::metric::{seconds, series};
use crate::cloudwatch::records::{Alarm, Metric, MetricRule, MetricStat, Source, Watches};
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_signals::Statistic;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The default page size.
const PAGE_SIZE: usize = 50;
/// The largest page size.
const PAGE_LIMIT: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(default)]
    alarm_names: Vec<String>,
    alarm_name_prefix: Option<String>,
    #[serde(default)]
    alarm_types: Vec<String>,
    children_of_alarm_name: Option<String>,
    parents_of_alarm_name: Option<String>,
    state_value: Option<String>,
    action_prefix: Option<String>,
    max_records: Option<usize>,
    next_token: Option<String>,
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let input: Input = view.input()?;
    if !input.alarm_names.is_empty() && input.alarm_name_prefix.is_some() {
        return Err(validation(
            "AlarmNamePrefix and AlarmNames are mutually exclusive",
        ));
    }
    let size = match input.max_records {
        None => PAGE_SIZE,
        Some(size @ 1..=PAGE_LIMIT) => size,
        Some(_) => return Err(validation("MaxRecords must be between 1 and 100")),
    };
    let after = after(view, input.next_token.as_deref(), |_| {
        error("InvalidNextToken", "Request parameter NextToken is invalid")
    })?;
    let asked = input.children_of_alarm_name.as_ref();
    let children = asked.map(|name| composite::children(view.region(), name));
    let fits = |alarm: &&Arc<Alarm>| {
        let parent_of = |name: &String| composite::children(view.region(), &alarm.name).contains(name);
        is_type(view, &input.alarm_types, alarm)
            && (input.alarm_names.is_empty() || input.alarm_names.contains(&alarm.name))
            && input
                .alarm_name_prefix
                .as_ref()
                .is_none_or(|prefix| alarm.name.starts_with(prefix))
            && input
                .state_value
                .as_deref()
                .is_none_or(|state| state == alarm.state.name())
            && children.as_ref().is_none_or(|names| names.contains(&alarm.name))
            && input.parents_of_alarm_name.as_ref().is_none_or(parent_of)
            && input.action_prefix.as_ref().is_none_or(|prefix| {
                let lists = [
                    &alarm.ok_actions,
                    &alarm.alarm_actions,
                    &alarm.insufficient_data_actions,
                ];
                lists.into_iter().flatten().any(|arn| arn.starts_with(prefix))
            })
    };
    let found = view.region().alarms.values().filter(fits);
    let (page, last) = cut(found, |alarm| alarm.name.clone(), &after, size);
    let of = |kind: &str| -> Vec<Value> {
        let alarms = page.iter().filter(|alarm| alarm.kind() == kind);
        alarms.map(|alarm| shown(alarm, view.dialect())).collect()
    };
    let mut answer = json!({"MetricAlarms": of("MetricAlarm"), "CompositeAlarms": of("CompositeAlarm")});
    if let Some(last) = last {
        answer["NextToken"] = json!(sealed(view, &last));
    }
    Ok(answer)
}

/// By default, AWS describes metric alarms only.
fn is_type(view: &View<'_>, asked: &[String], alarm: &Alarm) -> bool {
    if asked.is_empty() {
        return view.dialect() == Dialect::Moto || alarm.kind() == "MetricAlarm";
    }
    asked.iter().any(|kind| kind == alarm.kind())
}

/// An alarm as answers show it.
fn shown(alarm: &Alarm, dialect: Dialect) -> Value {
    let mut shown = json!({
        "AlarmName": alarm.name,
        "AlarmArn": alarm.arn,
        "AlarmConfigurationUpdatedTimestamp": seconds(alarm.configured),
        "ActionsEnabled": alarm.actions_enabled,
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
        "StateValue": alarm.state.name(),
        "StateReason": alarm.reason,
        "StateUpdatedTimestamp": seconds(alarm.updated),
        "StateTransitionedTimestamp": seconds(alarm.transitioned),
    });
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            shown[name] = value;
        }
    };
    add(
        "AlarmDescription",
        alarm.description.as_ref().map(|text| json!(text)),
    );
    add(
        "StateReasonData",
        alarm.reason_data.as_ref().map(|text| json!(text)),
    );
    match &alarm.watches {
        Watches::Composite(rule) => add("AlarmRule", Some(json!(rule))),
        Watches::Metric(rule) => {
            add_rule(rule, &mut add);
            if dialect == Dialect::Moto && matches!(rule.source, Source::Stat(_)) {
                add("Metrics", Some(json!([])));
            }
        }
    }
    shown
}

fn add_rule(rule: &MetricRule, add: &mut dyn FnMut(&str, Option<Value>)) {
    add("EvaluationPeriods", Some(json!(rule.evaluation_periods)));
    add(
        "DatapointsToAlarm",
        rule.datapoints_to_alarm.map(|points| json!(points)),
    );
    add("Threshold", Some(json!(rule.threshold)));
    add("ComparisonOperator", Some(json!(rule.comparison)));
    let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
    add("TreatMissingData", text(&rule.treat_missing_data));
    let low = "EvaluateLowSampleCountPercentile";
    add(low, text(&rule.evaluate_low_sample_count_percentile));
    match &rule.source {
        Source::Queries(queries) => add("Metrics", Some(json!(queries))),
        Source::Stat(stat) => {
            add("Namespace", Some(json!(stat.metric.namespace)));
            add("MetricName", Some(json!(stat.metric.metric_name)));
            add("Dimensions", Some(json!(stat.metric.dimensions)));
            add("Period", Some(json!(stat.period)));
            add("Unit", text(&stat.unit));
            let extended = matches!(stat.stat.parse::<Statistic>(), Ok(Statistic::Percentile(_)));
            let name = if extended {
                "ExtendedStatistic"
            } else {
                "Statistic"
            };
            add(name, Some(json!(stat.stat)));
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfMetric {
    #[serde(flatten)]
    metric: Metric,
    statistic: Option<String>,
    extended_statistic: Option<String>,
    period: Option<u32>,
    unit: Option<String>,
}

pub(crate) fn describe_for_metric(view: &View<'_>) -> Result<Value, ApiError> {
    let input: OfMetric = view.input()?;
    let region = view.request.region;
    let asked = series(&input.metric, region);
    let stat = input.statistic.or(input.extended_statistic);
    let fits = |found: &MetricStat| {
        series(&found.metric, region) == asked
            && stat.as_ref().is_none_or(|stat| *stat == found.stat)
            && input.period.is_none_or(|period| period == found.period)
            && input
                .unit
                .as_ref()
                .is_none_or(|unit| Some(unit) == found.unit.as_ref())
    };
    let watches = |alarm: &&Arc<Alarm>| match &alarm.watches {
        Watches::Composite(_) => false,
        Watches::Metric(rule) => match &rule.source {
            Source::Stat(stat) => fits(stat),
            Source::Queries(queries) => queries
                .iter()
                .filter_map(|query| query.metric_stat.as_ref())
                .any(fits),
        },
    };
    let found = view.region().alarms.values().filter(watches);
    let found: Vec<Value> = found.map(|alarm| shown(alarm, view.dialect())).collect();
    Ok(json!({ "MetricAlarms": found }))
}
