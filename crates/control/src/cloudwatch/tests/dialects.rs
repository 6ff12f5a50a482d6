//! Differences between the dialects: each case runs under both.

use super::{caller, stat};
use crate::state::Dialect;
use crate::testing::Caller;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn moto() -> Caller {
    let mut caller = caller();
    caller.state = caller.state.configured(Dialect::Moto, BTreeMap::new());
    caller
}

fn datum(mut datum: Value) -> Value {
    datum["MetricName"] = json!("m");
    json!({"Namespace": "App", "MetricData": [datum]})
}

/// Puts 1, 2 and 4 with no, one and two dimensions.
fn filled(mut caller: Caller) -> Caller {
    let at = caller.seconds() - 60;
    let one = json!({"Name": "a", "Value": "1"});
    let two = json!({"Name": "b", "Value": "1"});
    for (value, dimensions) in [
        (1.0, json!([])),
        (2.0, json!([one.clone()])),
        (4.0, json!([one, two])),
    ] {
        let given = json!({"Value": value, "Timestamp": at, "Dimensions": dimensions});
        caller.watch("PutMetricData", datum(given));
    }
    caller
}

#[test]
fn moto_adds_up_series_with_other_dimensions() {
    for (mut caller, statistics, data, label) in [
        (filled(caller()), [1.0, 2.0], [1.0, 2.0], "m"),
        (filled(moto()), [7.0, 6.0], [7.0, 2.0], "m Sum"),
    ] {
        let (from, to) = (caller.seconds() - 60, caller.seconds());
        let given = [json!([]), json!([{"Name": "a", "Value": "1"}])];
        for (place, dimensions) in given.into_iter().enumerate() {
            let input = json!({
                "Namespace": "App", "MetricName": "m", "Dimensions": dimensions, "StartTime": from, "EndTime": to,
                "Period": 60, "Statistics": ["Sum"],
            });
            let answer = caller.watch("GetMetricStatistics", input);
            assert_eq!(answer["Datapoints"][0]["Sum"], statistics[place]);
            let mut query = stat("q", "m", "Sum");
            query["MetricStat"]["Metric"]["Dimensions"] = dimensions;
            let input = json!({"StartTime": from, "EndTime": to, "MetricDataQueries": [query]});
            let answer = caller.watch("GetMetricData", input);
            let result = &answer["MetricDataResults"][0];
            assert_eq!(
                (&result["Values"], &result["Label"]),
                (&json!([data[place]]), &json!(label))
            );
        }
    }
}

#[test]
fn moto_takes_data_that_say_less() {
    for given in [json!({}), json!({"Value": 1.0, "StorageResolution": 123})] {
        caller().refused("PutMetricData", datum(given.clone()));
        moto().watch("PutMetricData", datum(given));
    }
}

#[test]
fn moto_has_alarms_that_are_ok_and_asks_for_no_resource() {
    for (mut caller, state, metrics) in [
        (caller(), "INSUFFICIENT_DATA", Value::Null),
        (moto(), "OK", json!([])),
    ] {
        let alarm = json!({
            "AlarmName": "a", "Namespace": "App", "MetricName": "m", "Statistic": "Sum", "Period": 60,
            "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold",
        });
        caller.watch("PutMetricAlarm", alarm);
        let answer = caller.watch("DescribeAlarms", json!({}));
        let shown = &answer["MetricAlarms"][0];
        assert_eq!(
            (&shown["StateValue"], &shown["Metrics"]),
            (&json!(state), &metrics)
        );
    }
    let none = json!({"ResourceARN": "arn:aws:cloudwatch:local-1:123456789012:alarm:none"});
    assert_eq!(
        caller().refused("ListTagsForResource", none.clone()),
        ("ResourceNotFoundException".to_owned(), "Unknown".to_owned())
    );
    assert_eq!(moto().watch("ListTagsForResource", none), json!({"Tags": []}));
}

#[test]
fn times_within_one_second_are_the_same_time() {
    let mut caller = caller();
    let now = caller.seconds() as f64;
    let (from, to) = (now + 0.02, now + 0.987);
    let input = json!({"StartTime": from, "EndTime": to, "MetricDataQueries": [stat("q", "m", "Sum")]});
    assert_eq!(
        caller.refused("GetMetricData", input).1,
        "The parameter StartTime must not equal parameter EndTime."
    );
    let input = json!({
        "Namespace": "App", "MetricName": "m", "StartTime": from, "EndTime": to, "Period": 60, "Statistics": ["Sum"],
    });
    assert_eq!(
        caller.refused("GetMetricStatistics", input).1,
        "The parameter StartTime must be less than the parameter EndTime."
    );
    assert_eq!(
        caller
            .refused("DeleteDashboards", json!({"DashboardNames": []}))
            .0,
        "InvalidParameterValue"
    );
}
