//! Datapoints: put, listed and read, also by queries.

use super::{caller, stat};
use serde_json::{Value, json};

#[test]
fn values_are_put_and_come_back_as_statistics() {
    let mut caller = caller();
    let now = caller.seconds();
    let host = json!([{"Name": "Host", "Value": "a"}]);
    caller.watch("PutMetricData", json!({"Namespace": "App", "MetricData": [
        {"MetricName": "Latency", "Dimensions": host, "Unit": "Seconds", "Timestamp": now - 60, "Values": [1.0, 3.0], "Counts": [3.0, 1.0]},
        {"MetricName": "Latency", "Dimensions": host, "Unit": "Seconds", "Timestamp": now - 30,
         "StatisticValues": {"SampleCount": 2.0, "Sum": 4.0, "Minimum": 2.0, "Maximum": 2.0}},
        {"MetricName": "Latency", "Dimensions": host, "Unit": "Count", "Timestamp": now - 60, "Value": 9.0},
        {"MetricName": "Fast", "Value": 1.0, "StorageResolution": 1},
    ]}));
    let mut input = json!({"Namespace": "App", "MetricName": "Latency", "Dimensions": host, "StartTime": now - 120, "EndTime": now,
        "Period": 60, "Statistics": ["SampleCount", "Average", "Sum", "Minimum", "Maximum"], "Unit": "Seconds"});
    let answer = caller.watch("GetMetricStatistics", input.clone());
    assert_eq!(
        answer,
        json!({"Label": "Latency", "Datapoints": [{
            "Timestamp": now - 60, "Unit": "Seconds", "SampleCount": 6.0, "Sum": 10.0, "Average": 10.0 / 6.0, "Minimum": 1.0, "Maximum": 3.0,
        }]})
    );
    input.as_object_mut().unwrap().remove("Unit");
    let units = caller.watch("GetMetricStatistics", input.clone())["Datapoints"].clone();
    assert_eq!([&units[0]["Unit"], &units[1]["Unit"]], ["Count", "Seconds"]);
    input["ExtendedStatistics"] = json!(["p50"]);
    assert_eq!(
        caller.refused("GetMetricStatistics", input.clone()).0,
        "InvalidParameterCombination"
    );
    input.as_object_mut().unwrap().remove("Statistics");
    let answer = caller.watch("GetMetricStatistics", input.clone());
    assert_eq!(answer["Datapoints"][0]["ExtendedStatistics"]["p50"], 9.0);
    input["Period"] = json!(61);
    assert_eq!(
        caller.refused("GetMetricStatistics", input.clone()).0,
        "InvalidParameterValue"
    );
    input["Period"] = json!(60);
    input["EndTime"] = json!(now + 2 * 86_400);
    let (code, message) = caller.refused("GetMetricStatistics", input.clone());
    assert_eq!(code, "InvalidParameterCombination");
    assert!(message.contains("2882 datapoints"), "{message}");
    input["EndTime"] = input["StartTime"].clone();
    assert_eq!(
        caller.refused("GetMetricStatistics", input).1,
        "The parameter StartTime must be less than the parameter EndTime."
    );
}

#[test]
fn what_is_no_datapoint_is_refused() {
    let mut caller = caller();
    let now = caller.seconds();
    for (datum, code, message) in [
        (
            json!({"Value": "NaN"}),
            "InvalidParameterValue",
            "The value NaN for parameter MetricData.member.1.Value is invalid.",
        ),
        (
            json!({"Values": [1.0, "Infinity"]}),
            "InvalidParameterValue",
            "The value Infinity for parameter MetricData.member.1.Values is invalid.",
        ),
        (
            json!({"Value": 1e110}),
            "InvalidParameterValue",
            "The value 1e+110 for parameter MetricData.member.1.Value is invalid.",
        ),
        (
            json!({"Value": 1.0, "Values": [1.0]}),
            "InvalidParameterValue",
            "The parameters MetricData.member.1.Value and MetricData.member.1.Values are mutually exclusive and you have specified both.",
        ),
        (
            json!({"Values": [1.0], "Counts": [1.0, 2.0]}),
            "InvalidParameterValue",
            "The parameters MetricData.member.1.Values and MetricData.member.1.Counts must be of the same size.",
        ),
        (
            json!({"Values": vec![1.0; 151]}),
            "InvalidParameterValue",
            "The collection MetricData.member.1.Values must not have a size greater than 150.",
        ),
        (
            json!({}),
            "MissingParameter",
            "The request must contain the parameter MetricData.member.1.Value",
        ),
        (
            json!({"Value": 1.0, "Timestamp": now - 15 * 86_400}),
            "InvalidParameterValue",
            "The parameter MetricData.member.1.Timestamp must specify a time within the past two weeks.",
        ),
        (
            json!({"Value": 1.0, "Timestamp": now + 7201}),
            "InvalidParameterValue",
            "The parameter MetricData.member.1.Timestamp must specify a time no more than two hours in the future.",
        ),
        (
            json!({"Value": 1.0, "StorageResolution": 5}),
            "InvalidParameterValue",
            "The value 5 for parameter MetricData.member.1.StorageResolution is invalid: it must be 1 or 60.",
        ),
        (
            json!({"Value": 1.0, "Dimensions": [{"Name": "a", "Value": "1"}, {"Name": "a", "Value": "2"}]}),
            "InvalidParameterValue",
            "No two dimensions of MetricData.member.1 can have the same name: a.",
        ),
        (
            json!({"Value": 1.0, "StatisticValues": {"SampleCount": 1.0, "Sum": 1.0, "Minimum": 1.0, "Maximum": 1.0}}),
            "InvalidParameterCombination",
            "The parameters MetricData.member.1.Value and MetricData.member.1.StatisticValues are mutually exclusive and you have specified both.",
        ),
        (
            json!({"StatisticValues": {"SampleCount": 0.0, "Sum": 1.0, "Minimum": 1.0, "Maximum": 1.0}}),
            "InvalidParameterValue",
            "The value 0 for parameter MetricData.member.1.StatisticValues.SampleCount is invalid.",
        ),
    ] {
        let mut whole = datum;
        whole["MetricName"] = json!("m");
        let input = json!({"Namespace": "App", "MetricData": [whole]});
        assert_eq!(
            caller.refused("PutMetricData", input),
            (code.to_owned(), message.to_owned())
        );
    }
    assert_eq!(
        caller.refused("PutMetricData", json!({"Namespace": "App"})).0,
        "MissingParameter"
    );
    let many = vec![json!({"MetricName": "m", "Value": 1.0}); 1001];
    let input = json!({"Namespace": "App", "MetricData": many});
    assert_eq!(
        caller.refused("PutMetricData", input).1,
        "The collection MetricData must not have a size greater than 1000."
    );
    let input = json!({"Namespace": "AWS/X", "MetricData": [{"MetricName": "m", "Value": 1.0}]});
    assert_eq!(caller.refused("PutMetricData", input).0, "InvalidParameterValue");
    assert_eq!(caller.watch("ListMetrics", json!({})), json!({"Metrics": []}));
}

#[test]
fn metrics_are_listed_in_pages() {
    let mut caller = caller();
    for half in 0..2 {
        let data: Vec<Value> = (0..300)
            .map(|number| {
                let host = json!([{"Name": "Host", "Value": format!("{:03}", number + half * 300)}]);
                json!({"MetricName": "m", "Dimensions": host, "Value": 1.0})
            })
            .collect();
        caller.watch("PutMetricData", json!({"Namespace": "App", "MetricData": data}));
    }
    let first = caller.watch("ListMetrics", json!({"Namespace": "App"}));
    let second = caller.watch(
        "ListMetrics",
        json!({"Namespace": "App", "NextToken": first["NextToken"]}),
    );
    assert_eq!(first["Metrics"].as_array().unwrap().len(), 500);
    assert_eq!(second["Metrics"].as_array().unwrap().len(), 100);
    assert_eq!(second["Metrics"][0]["Dimensions"][0]["Value"], "500");
    assert!(second.get("NextToken").is_none());
    let one = json!({"Dimensions": [{"Name": "Host", "Value": "007"}]});
    assert_eq!(
        caller.watch("ListMetrics", one)["Metrics"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    caller.pass(4 * 3600);
    let recent = json!({"RecentlyActive": "PT3H"});
    assert_eq!(caller.watch("ListMetrics", recent), json!({"Metrics": []}));
    assert_eq!(
        caller.refused("ListMetrics", json!({"NextToken": "x"})).0,
        "InvalidParameterValue"
    );
}

#[test]
fn metric_data_comes_newest_first_and_in_pages() {
    let mut caller = caller();
    let began = caller.seconds() - 60;
    for value in [1.0, 2.0, 3.0] {
        caller.put("a", value);
        caller.put("b", value * 10.0);
        caller.pass(60);
    }
    let (from, to) = (began, caller.seconds());
    let mut hidden = stat("m2", "b", "Sum");
    hidden["ReturnData"] = json!(false);
    let sum = json!({"Id": "e1", "Expression": "m1 + m2", "Label": "both"});
    let mut input = json!({"StartTime": from, "EndTime": to, "MetricDataQueries": [stat("m1", "a", "Average"), hidden, sum]});
    let answer = caller.watch("GetMetricData", input.clone());
    assert_eq!(
        answer,
        json!({"Messages": [], "MetricDataResults": [
            {"Id": "m1", "Label": "a", "StatusCode": "Complete",
             "Timestamps": [began + 120, began + 60, began], "Values": [3.0, 2.0, 1.0]},
            {"Id": "e1", "Label": "both", "StatusCode": "Complete",
             "Timestamps": [began + 120, began + 60, began], "Values": [33.0, 22.0, 11.0]},
        ]})
    );
    input["ScanBy"] = json!("TimestampAscending");
    input["MaxDatapoints"] = json!(4);
    let first = caller.watch("GetMetricData", input.clone());
    assert_eq!(first["MetricDataResults"][0]["Values"], json!([1.0, 2.0, 3.0]));
    assert_eq!(first["MetricDataResults"][1]["Values"], json!([11.0]));
    assert_eq!(first["MetricDataResults"][1]["StatusCode"], "PartialData");
    input["NextToken"] = first["NextToken"].clone();
    let second = caller.watch("GetMetricData", input.clone());
    assert_eq!(second["MetricDataResults"].as_array().unwrap().len(), 1);
    assert_eq!(second["MetricDataResults"][0]["Values"], json!([22.0, 33.0]));
    assert!(second.get("NextToken").is_none());
    input["NextToken"] = json!("x");
    assert_eq!(caller.refused("GetMetricData", input).0, "InvalidNextToken");
}

#[test]
fn searches_find_series_of_a_schema() {
    let mut caller = caller();
    let at = caller.seconds() - 60;
    for host in ["a", "b"] {
        let datum = json!({"MetricName": "m", "Value": 2.0, "Timestamp": at, "Dimensions": [{"Name": "Host", "Value": host}]});
        caller.watch(
            "PutMetricData",
            json!({"Namespace": "App", "MetricData": [datum]}),
        );
    }
    caller.put("m", 9.0);
    let query = json!({"Id": "e", "Expression": "SEARCH('{App,Host} MetricName=\"m\"', 'Sum', 60)"});
    let total = json!({"Id": "t", "Expression": "SUM(e)"});
    let input = json!({"StartTime": at, "EndTime": at + 60, "MetricDataQueries": [query, total]});
    let answer = caller.watch("GetMetricData", input);
    let labels: Vec<&Value> = answer["MetricDataResults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["Label"])
        .collect();
    assert_eq!(labels, ["m a", "m b", "t"]);
    assert_eq!(answer["MetricDataResults"][2]["Values"], json!([4.0]));
}

#[test]
fn wrong_queries_are_refused_or_say_what_is_wrong() {
    let mut caller = caller();
    let now = caller.seconds();
    let mut ask = |queries: Value, from: i64| {
        let input = json!({"StartTime": from, "EndTime": now, "MetricDataQueries": queries});
        caller.cloudwatch("GetMetricData", input)
    };
    for (queries, message) in [
        (
            json!([{"Id": "M1", "Expression": "1"}]),
            "The value M1 is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$",
        ),
        (
            json!([stat("m", "a", "Sum"), stat("m", "b", "Sum")]),
            "The values for parameter id in MetricDataQueries are not unique: m.",
        ),
        (
            json!([stat("m", "a", "Mean")]),
            "The value Mean for parameter Stat of query 'm' is not supported.",
        ),
        (
            json!([{"Id": "e"}]),
            "The parameter MetricDataQueries.member.1.MetricStat is required.\n",
        ),
        (
            json!([{"Id": "e", "Expression": "m1 +"}]),
            "Error in expression 'e': at character 5: something is missing at the end",
        ),
        (
            json!([{"Id": "e", "Expression": "m1"}]),
            "Error in expression 'e': no other query has the id 'm1'",
        ),
    ] {
        let error = ask(queries, now - 60).unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("ValidationError", message)
        );
    }
    assert_eq!(
        ask(json!([]), now).unwrap_err().message,
        "The parameter StartTime must not equal parameter EndTime."
    );
    assert_eq!(
        ask(json!([]), now + 1).unwrap_err().message,
        "The parameter EndTime must be greater than StartTime."
    );
    let circle = json!([{"Id": "a", "Expression": "b + 1"}, {"Id": "b", "Expression": "a + 1"}]);
    let answer = ask(circle, now - 60).unwrap();
    assert_eq!(answer["MetricDataResults"][0]["StatusCode"], "InternalError");
    assert!(answer.to_string().contains("it refers to itself"), "{answer}");
}
