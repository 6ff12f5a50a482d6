//! Alarms: put, describe, set, delete.

use super::{caller, stat};
use crate::testing::{Caller, text};
use serde_json::{Value, json};

/// An alarm on the sum of a minute.
pub(super) fn alarm(name: &str) -> Value {
    json!({"AlarmName": name, "Namespace": "App", "MetricName": "m", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1,
        "Threshold": 5.0, "ComparisonOperator": "GreaterThanThreshold"})
}

pub(super) fn with(mut input: Value, more: Value) -> Value {
    let more = more.as_object().unwrap().clone();
    input.as_object_mut().unwrap().extend(more);
    input
}

/// The names in an answer, of both types.
fn names(answer: &Value) -> Vec<String> {
    ["MetricAlarms", "CompositeAlarms"]
        .iter()
        .flat_map(|list| answer[list].as_array().unwrap())
        .map(|alarm| text(&alarm["AlarmName"]))
        .collect()
}

fn described(caller: &mut Caller, input: Value) -> Vec<String> {
    let answer = caller.watch("DescribeAlarms", input);
    names(&answer)
}

#[test]
fn alarms_are_described_as_they_were_put() {
    let mut caller = caller();
    let now = caller.seconds();
    let given = json!({"AlarmDescription": "too many", "DatapointsToAlarm": 1, "TreatMissingData": "notBreaching", "Unit": "Count",
        "Dimensions": [{"Name": "Host", "Value": "a"}], "AlarmActions": ["arn:aws:sns:local-1:123456789012:t"], "ActionsEnabled": false,
        "Tags": [{"Key": "team", "Value": "blue"}]});
    caller.watch("PutMetricAlarm", with(alarm("high"), given));
    let answer = caller.watch("DescribeAlarms", json!({"AlarmNames": ["high"]}));
    let arn = "arn:aws:cloudwatch:local-1:123456789012:alarm:high";
    assert_eq!(
        answer,
        json!({"CompositeAlarms": [], "MetricAlarms": [{
            "AlarmName": "high", "AlarmArn": arn, "AlarmDescription": "too many", "ActionsEnabled": false,
            "OKActions": [], "AlarmActions": ["arn:aws:sns:local-1:123456789012:t"], "InsufficientDataActions": [],
            "Namespace": "App", "MetricName": "m", "Dimensions": [{"Name": "Host", "Value": "a"}], "Statistic": "Sum", "Period": 60,
            "Unit": "Count", "EvaluationPeriods": 1, "DatapointsToAlarm": 1, "Threshold": 5.0, "TreatMissingData": "notBreaching",
            "ComparisonOperator": "GreaterThanThreshold", "StateValue": "INSUFFICIENT_DATA",
            "StateReason": "Unchecked: Initial alarm creation", "StateUpdatedTimestamp": now, "StateTransitionedTimestamp": now,
            "AlarmConfigurationUpdatedTimestamp": now,
        }]})
    );
    let of = json!({"ResourceARN": arn});
    assert_eq!(
        caller.watch("ListTagsForResource", of.clone())["Tags"],
        json!([{"Key": "team", "Value": "blue"}])
    );
    caller.watch(
        "TagResource",
        with(of.clone(), json!({"Tags": [{"Key": "a", "Value": ""}]})),
    );
    caller.watch("UntagResource", with(of.clone(), json!({"TagKeys": ["team"]})));
    assert_eq!(
        caller.watch("ListTagsForResource", of)["Tags"],
        json!([{"Key": "a", "Value": ""}])
    );
    let other = json!({"ResourceARN": format!("{arn}er")});
    assert_eq!(
        caller.refused("ListTagsForResource", other.clone()).0,
        "ResourceNotFoundException"
    );
    assert_eq!(
        caller
            .refused("TagResource", with(other.clone(), json!({"Tags": []})))
            .0,
        "ResourceNotFoundException"
    );
    assert_eq!(
        caller
            .refused("UntagResource", with(other, json!({"TagKeys": []})))
            .0,
        "ResourceNotFoundException"
    );
}

#[test]
fn alarms_are_found_by_what_they_are() {
    let mut caller = caller();
    for name in ["a1", "a2", "b1"] {
        let action = json!({"OKActions": [format!("arn:{name}")]});
        caller.watch("PutMetricAlarm", with(alarm(name), action));
    }
    caller.watch(
        "PutCompositeAlarm",
        json!({"AlarmName": "c", "AlarmRule": "ALARM(a1) OR ALARM(\"a2\")"}),
    );
    let set = json!({"AlarmName": "b1", "StateValue": "ALARM", "StateReason": "try"});
    caller.watch("SetAlarmState", set);
    for (input, wanted) in [
        (json!({}), vec!["a1", "a2", "b1"]),
        (json!({"AlarmTypes": ["CompositeAlarm"]}), vec!["c"]),
        (
            json!({"AlarmTypes": ["CompositeAlarm", "MetricAlarm"]}),
            vec!["a1", "a2", "b1", "c"],
        ),
        (json!({"AlarmNamePrefix": "a"}), vec!["a1", "a2"]),
        (json!({"AlarmNames": ["b1", "none"]}), vec!["b1"]),
        (json!({"StateValue": "ALARM"}), vec!["b1"]),
        (json!({"ActionPrefix": "arn:a1"}), vec!["a1"]),
        (json!({"ChildrenOfAlarmName": "c"}), vec!["a1", "a2"]),
        (
            json!({"ParentsOfAlarmName": "a1", "AlarmTypes": ["CompositeAlarm"]}),
            vec!["c"],
        ),
    ] {
        assert_eq!(described(&mut caller, input.clone()), wanted, "{input}");
    }
    let first = caller.watch("DescribeAlarms", json!({"MaxRecords": 2}));
    assert_eq!(names(&first), ["a1", "a2"]);
    let second = caller.watch(
        "DescribeAlarms",
        json!({"MaxRecords": 2, "NextToken": first["NextToken"]}),
    );
    assert_eq!(names(&second), ["b1"]);
    assert_eq!(
        caller.refused("DescribeAlarms", json!({"NextToken": "x"})).0,
        "InvalidNextToken"
    );
    let both = json!({"AlarmNames": ["a1"], "AlarmNamePrefix": "a"});
    assert_eq!(caller.refused("DescribeAlarms", both).0, "ValidationError");
    let of_metric = |more: Value| with(json!({"Namespace": "App", "MetricName": "m"}), more);
    for (input, count) in [
        (of_metric(json!({})), 3),
        (of_metric(json!({"Statistic": "Sum", "Period": 60})), 3),
        (of_metric(json!({"Statistic": "Average"})), 0),
        (of_metric(json!({"Dimensions": [{"Name": "a", "Value": "b"}]})), 0),
    ] {
        let answer = caller.watch("DescribeAlarmsForMetric", input);
        assert_eq!(answer["MetricAlarms"].as_array().unwrap().len(), count);
    }
}

#[test]
fn alarms_that_can_not_be_are_refused() {
    let mut caller = caller();
    let queries = |queries: Value| json!({"AlarmName": "x", "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "LessThanThreshold", "Metrics": queries});
    for (input, code, part) in [
        (
            with(alarm("x"), json!({"Period": 15})),
            "ValidationError",
            "Period must be 10, 20, 30",
        ),
        (
            with(alarm("x"), json!({"ExtendedStatistic": "p90"})),
            "ValidationError",
            "mutually exclusive",
        ),
        (
            with(alarm("x"), json!({"DatapointsToAlarm": 2})),
            "ValidationError",
            "DatapointsToAlarm must be",
        ),
        (
            with(alarm("x"), json!({"EvaluationPeriods": 1441})),
            "ValidationError",
            "more than a day",
        ),
        (
            with(alarm("x"), json!({"Period": 3600, "EvaluationPeriods": 169})),
            "ValidationError",
            "more than a week",
        ),
        (
            with(alarm("x"), json!({"TreatMissingData": "x"})),
            "ValidationError",
            "TreatMissingData is not supported",
        ),
        (
            with(alarm("x"), json!({"EvaluateLowSampleCountPercentile": "x"})),
            "ValidationError",
            "Option x is not supported",
        ),
        (
            with(
                alarm("x"),
                json!({"ComparisonOperator": "LessThanLowerThreshold"}),
            ),
            "ValidationError",
            "anomaly detection",
        ),
        (
            with(alarm("x"), json!({"EvaluationInterval": 10})),
            "ValidationError",
            "EvaluationInterval is not supported",
        ),
        (
            with(alarm("x"), json!({"Metrics": [stat("m", "a", "Sum")]})),
            "ValidationError",
            "mutually exclusive",
        ),
        (
            queries(json!([stat("m", "a", "Sum"), stat("n", "a", "Sum")])),
            "ValidationError",
            "Exactly one element",
        ),
        (
            queries(json!([{"Id": "e", "Expression": "SUM(SEARCH('{App} m', 'Sum', 60))"}])),
            "ValidationError",
            "SEARCH is not supported",
        ),
        (
            queries(json!([{"Id": "e", "Expression": "m +"}])),
            "ValidationError",
            "Error in expression 'e'",
        ),
    ] {
        let (was, message) = caller.refused("PutMetricAlarm", input);
        assert_eq!(was, code);
        assert!(message.contains(part), "{message}");
    }
    let mut percentile = alarm("x");
    percentile.as_object_mut().unwrap().remove("Statistic");
    let input = with(percentile.clone(), json!({"ExtendedStatistic": "p900"}));
    assert_eq!(caller.refused("PutMetricAlarm", input).0, "InvalidParameterValue");
    caller.watch(
        "PutMetricAlarm",
        with(percentile, json!({"ExtendedStatistic": "p90"})),
    );
    let answer = caller.watch("DescribeAlarms", json!({}));
    assert_eq!(answer["MetricAlarms"][0]["ExtendedStatistic"], "p90");
}

#[test]
fn composite_rules_name_what_is_there_and_lead_nowhere_back() {
    let mut caller = caller();
    caller.watch("PutMetricAlarm", alarm("m"));
    let arn = "arn:aws:cloudwatch:local-1:123456789012:alarm:m";
    let composite = |name: &str, rule: &str| json!({"AlarmName": name, "AlarmRule": rule});
    caller.watch("PutCompositeAlarm", composite("one", &format!("ALARM({arn})")));
    caller.watch("PutCompositeAlarm", composite("two", "NOT ALARM(one)"));
    for (name, rule, part) in [
        ("one", "ALARM(two)", "must not refer back"),
        ("self", "ALARM(self)", "must not refer back"),
        ("x", "ALARM(none)", "does not exist: none"),
        (
            "x",
            "ALARM(arn:aws:cloudwatch:elsewhere:123456789012:alarm:m)",
            "does not exist",
        ),
        (
            "x",
            "ALARM(m",
            "AlarmRule is not valid: at character 8: ')' is missing",
        ),
        ("m", "TRUE", "another type"),
    ] {
        let (code, message) = caller.refused("PutCompositeAlarm", composite(name, rule));
        assert_eq!(code, "ValidationError");
        assert!(message.contains(part), "{message}");
    }
    let suppressed = with(composite("x", "TRUE"), json!({"ActionsSuppressor": "m"}));
    assert_eq!(
        caller.refused("PutCompositeAlarm", suppressed).0,
        "ValidationError"
    );
}

#[test]
fn state_is_set_by_hand_and_the_history_tells() {
    let mut caller = caller();
    caller.watch("PutMetricAlarm", alarm("a"));
    caller.pass(10);
    let set = json!({"AlarmName": "a", "StateValue": "ALARM", "StateReason": "a try", "StateReasonData": "{\"x\": 1}"});
    caller.watch("SetAlarmState", set.clone());
    let answer = caller.watch("DescribeAlarms", json!({}));
    let shown = &answer["MetricAlarms"][0];
    assert_eq!(
        [
            &shown["StateValue"],
            &shown["StateReason"],
            &shown["StateReasonData"]
        ],
        ["ALARM", "a try", "{\"x\": 1}"]
    );
    caller.pass(10);
    caller.watch("DisableAlarmActions", json!({"AlarmNames": ["a", "none"]}));
    caller.watch("EnableAlarmActions", json!({"AlarmNames": ["a"]}));
    caller.pass(10);
    caller.watch("PutMetricAlarm", alarm("a"));
    let history = |caller: &mut Caller, more: Value| -> Vec<String> {
        let answer = caller.watch("DescribeAlarmHistory", more);
        let items = answer["AlarmHistoryItems"].as_array().unwrap().iter();
        items.map(|item| text(&item["HistorySummary"])).collect()
    };
    let all = [
        "Alarm \"a\" updated",
        "Alarm \"a\" actions enabled",
        "Alarm \"a\" actions disabled",
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
        "Alarm \"a\" created",
    ];
    assert_eq!(history(&mut caller, json!({"AlarmName": "a"})), all);
    assert_eq!(
        history(&mut caller, json!({"HistoryItemType": "StateUpdate"})),
        [all[3]]
    );
    assert_eq!(
        history(
            &mut caller,
            json!({"ScanBy": "TimestampAscending", "MaxRecords": 1})
        ),
        [all[4]]
    );
    let until = caller.seconds() - 15;
    assert_eq!(history(&mut caller, json!({"EndDate": until})), [all[3], all[4]]);
    let first = caller.watch("DescribeAlarmHistory", json!({"MaxRecords": 3}));
    let rest = json!({"MaxRecords": 3, "NextToken": first["NextToken"]});
    assert_eq!(history(&mut caller, rest), [all[3], all[4]]);
    assert_eq!(
        caller
            .refused("DescribeAlarmHistory", json!({"NextToken": "x"}))
            .0,
        "InvalidNextToken"
    );
    let unknown = with(set.clone(), json!({"AlarmName": "b"}));
    assert_eq!(caller.refused("SetAlarmState", unknown).0, "ResourceNotFound");
    let data = with(set, json!({"StateReasonData": "{"}));
    assert_eq!(caller.refused("SetAlarmState", data).0, "InvalidFormat");
}

#[test]
fn history_has_a_bound_and_goes_with_its_alarm() {
    let mut caller = caller();
    caller.watch("PutMetricAlarm", alarm("a"));
    caller.watch("PutMetricAlarm", alarm("a2"));
    for turn in 0..150 {
        let state = if turn % 2 == 0 { "ALARM" } else { "OK" };
        caller.watch(
            "SetAlarmState",
            json!({"AlarmName": "a", "StateValue": state, "StateReason": "turn"}),
        );
    }
    let count = |caller: &mut Caller| {
        let answer = caller.watch("DescribeAlarmHistory", json!({"AlarmName": "a"}));
        answer["AlarmHistoryItems"].as_array().unwrap().len()
    };
    assert_eq!(count(&mut caller), 100);
    assert_eq!(
        caller
            .refused("DeleteAlarms", json!({"AlarmNames": ["a", "none"]}))
            .0,
        "ResourceNotFound"
    );
    caller.watch("DeleteAlarms", json!({"AlarmNames": ["a"]}));
    assert_eq!(count(&mut caller), 0);
    assert_eq!(described(&mut caller, json!({})), ["a2"]);
    let many = json!({"AlarmNames": vec!["x"; 101]});
    assert_eq!(caller.refused("DeleteAlarms", many).0, "ValidationError");
}
