//! Notifications about alarms, in CloudWatch's format, which other tools parse.

use crate::cloudwatch::records::{Alarm, MetricRule, Source, Watches};
use crate::ports::Notification;
use forebay_awswire::timestamp;
use forebay_signals::Statistic;
use serde_json::{Value, json};

/// The most characters of a subject (AWS's limit).
const SUBJECT_LIMIT: usize = 100;

/// The notification about an alarm in its current state.
pub(super) fn notification(region: &str, alarm: &Alarm) -> Notification {
    let subject = format!("{}: \"{}\" in {region}", alarm.state.name(), alarm.name);
    Notification {
        subject: subject.chars().take(SUBJECT_LIMIT).collect(),
        message: message(region, alarm).to_string(),
        timestamp: timestamp(alarm.updated.0 as f64 / 1e6),
    }
}

fn message(region: &str, alarm: &Alarm) -> Value {
    let dated = |micros: i64| timestamp(micros as f64 / 1e6).replace('Z', "+0000");
    let account = alarm.arn.split(':').nth(4);
    let mut message = json!({
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": dated(alarm.configured.0),
        "NewStateValue": alarm.state.name(),
        "NewStateReason": alarm.reason,
        "StateChangeTime": dated(alarm.updated.0),
        "Region": region,
        "AlarmArn": alarm.arn,
        "OldStateValue": alarm.previous_state.name(),
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
    });
    match &alarm.watches {
        Watches::Metric(rule) => message["Trigger"] = trigger(rule),
        Watches::Composite(rule) => message["AlarmRule"] = json!(rule),
    }
    message
}

fn trigger(rule: &MetricRule) -> Value {
    let missing = rule.treat_missing_data.as_deref().unwrap_or("missing");
    let low = rule.evaluate_low_sample_count_percentile.as_deref();
    let mut trigger = json!({
        "Period": rule.period(),
        "EvaluationPeriods": rule.evaluation_periods,
        "DatapointsToAlarm": rule.datapoints_to_alarm.unwrap_or(rule.evaluation_periods),
        "ComparisonOperator": rule.comparison,
        "Threshold": rule.threshold,
        "TreatMissingData": missing,
        "EvaluateLowSampleCountPercentile": low.unwrap_or_default(),
    });
    match &rule.source {
        Source::Queries(queries) => trigger["Metrics"] = json!(queries),
        Source::Stat(stat) => {
            let dimensions = stat.metric.dimensions.iter();
            let dimensions =
                dimensions.map(|dimension| json!({"name": dimension.name, "value": dimension.value}));
            trigger["MetricName"] = json!(stat.metric.metric_name);
            trigger["Namespace"] = json!(stat.metric.namespace);
            trigger["Dimensions"] = dimensions.collect();
            trigger["Unit"] = json!(stat.unit);
            if let Ok(Statistic::Percentile(_)) = stat.stat.parse::<Statistic>() {
                trigger["StatisticType"] = json!("ExtendedStatistic");
                trigger["ExtendedStatistic"] = json!(stat.stat);
            } else {
                trigger["StatisticType"] = json!("Statistic");
                trigger["Statistic"] = json!(spelt(&stat.stat));
            }
        }
    }
    trigger
}

/// In notifications, CloudWatch spells statistics differently than in its API.
fn spelt(statistic: &str) -> &str {
    match statistic {
        "Sum" => "SUM",
        "Average" => "AVERAGE",
        "Minimum" => "MINIMUM",
        "Maximum" => "MAXIMUM",
        "SampleCount" => "SAMPLE_COUNT",
        other => other,
    }
}
