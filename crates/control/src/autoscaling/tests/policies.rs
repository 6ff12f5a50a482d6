//! Policies: how alarms and calls change a group's capacity.

use super::{Scene, named};
use crate::testing::{REGION, text};
use crate::{Datapoint, Datapoints as _, Series};
use core::time::Duration;
use forebay_awswire::Service;
use forebay_signals::Summary;
use forebay_units::Wall;
use serde_json::{Value, json};

impl Scene {
    fn watch(&mut self, operation: &str, input: Value) -> Value {
        self.caller
            .call_of(Service::CloudWatch, operation, input)
            .unwrap_or_else(|problem| panic!("{operation}: {problem}"))
    }

    fn put(&mut self, metric: &str, value: f64) {
        let at = self.caller.now.seconds();
        let datum = json!({"MetricName": metric, "Value": value, "Timestamp": at});
        self.watch(
            "PutMetricData",
            json!({"Namespace": "App", "MetricData": [datum]}),
        );
    }

    /// Advances minutes in which a metric has this value.
    fn minutes(&mut self, metric: &str, value: f64, minutes: u32) {
        for _ in 0..minutes {
            self.put(metric, value);
            self.pass(60);
        }
    }
}

impl Scene {
    /// Advances minutes in which metrics have these values, until the desired capacity changes. Returns the new one.
    fn until_changed(&mut self, metrics: &[(&str, f64)]) -> u64 {
        let before = self.desired();
        for _ in 0..3600 {
            // Alarms are evaluated in the first half of a minute, before anything of that minute is put.
            if self.caller.now.seconds() % 60 == 50 {
                for &(metric, value) in metrics {
                    self.put(metric, value);
                }
            }
            self.pass(1);
            if self.desired() != before {
                break;
            }
        }
        self.desired()
    }
}

fn tracking(metric: &str, target: f64) -> Value {
    json!({"TargetValue": target, "CustomizedMetricSpecification":
        {"MetricName": metric, "Namespace": "App", "Statistic": "Average"}})
}

#[test]
fn target_tracking_follows_its_metric_through_its_own_alarms() {
    let mut scene = Scene::new();
    scene.group(1, 20, 10, json!({"DefaultInstanceWarmup": 0}));
    scene.pass(1);
    let put = named(json!({"PolicyName": "p", "PolicyType": "TargetTrackingScaling",
        "TargetTrackingConfiguration": tracking("m", 100.0)}));
    let answer = scene.ok("PutScalingPolicy", put);
    let names: Vec<String> = answer["Alarms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alarm| text(&alarm["AlarmName"]))
        .collect();
    assert!(names[0].starts_with("TargetTracking-g-AlarmHigh-"), "{names:?}");
    assert!(names[1].starts_with("TargetTracking-g-AlarmLow-"), "{names:?}");
    let alarms = scene.watch("DescribeAlarms", json!({}));
    let high = &alarms["MetricAlarms"][0];
    assert_eq!(
        (high["EvaluationPeriods"].clone(), high["Threshold"].clone()),
        (json!(3), json!(100.0))
    );
    let low = &alarms["MetricAlarms"][1];
    assert_eq!(
        (low["EvaluationPeriods"].clone(), low["Threshold"].clone()),
        (json!(15), json!(90.0))
    );
    // Ten instances at 150 with a target of 100 become 15.
    assert_eq!(scene.until_changed(&[("m", 150.0)]), 15);
    let (_, cause) = scene.activities()[0].clone();
    assert!(
        cause.contains("a monitor alarm TargetTracking-g-AlarmHigh-"),
        "{cause}"
    );
    // Capacity that has been ordered is not ordered again at the same load.
    scene.minutes("m", 100.0, 3);
    assert_eq!(scene.desired(), 15);
    assert_eq!(scene.until_changed(&[("m", 40.0)]), 6);
}

#[test]
fn what_is_described_and_put_again_changes_nothing() {
    let mut scene = Scene::new();
    scene.group(1, 20, 1, json!({}));
    scene.pass(1);
    let put = named(
        json!({"PolicyName": "p", "PolicyType": "TargetTrackingScaling", "EstimatedInstanceWarmup": 7,
        "TargetTrackingConfiguration": tracking("m", 100.0)}),
    );
    scene.ok("PutScalingPolicy", put);
    let before = scene.caller.state.clone();
    let described = scene.ok("DescribePolicies", named(json!({})))["ScalingPolicies"][0].clone();
    let mut again = described.clone();
    for member in ["PolicyARN", "Alarms"] {
        again.as_object_mut().unwrap().remove(member);
    }
    scene.ok("PutScalingPolicy", again);
    assert!(before == scene.caller.state, "what was described was put again");
    let mut dearer = described;
    for member in ["PolicyARN", "Alarms"] {
        dearer.as_object_mut().unwrap().remove(member);
    }
    dearer["TargetTrackingConfiguration"]["TargetValue"] = json!(50.0);
    scene.ok("PutScalingPolicy", dearer);
    let alarms = scene.watch("DescribeAlarms", json!({}));
    assert_eq!(alarms["MetricAlarms"].as_array().unwrap().len(), 2);
    assert_eq!(alarms["MetricAlarms"][0]["Threshold"], 50.0);
    scene.ok("DeletePolicy", named(json!({"PolicyName": "p"})));
    let alarms = scene.watch("DescribeAlarms", json!({}));
    assert_eq!(alarms["MetricAlarms"], json!([]));
}

#[test]
fn nothing_is_taken_away_while_something_warms_up_or_another_policy_needs_it() {
    let mut scene = Scene::new();
    scene.group(1, 20, 10, json!({"DefaultInstanceWarmup": 3600}));
    scene.pass(1);
    for (name, metric) in [("p", "m"), ("q", "n")] {
        let put = named(json!({"PolicyName": name, "PolicyType": "TargetTrackingScaling",
            "TargetTrackingConfiguration": tracking(metric, 100.0)}));
        scene.ok("PutScalingPolicy", put);
    }
    scene.minutes("m", 10.0, 18);
    assert_eq!(scene.desired(), 10, "all are warming up");
    scene.caller.now = scene.caller.now + Duration::from_secs(3600);
    scene.minutes("m", 10.0, 3);
    assert_eq!(scene.desired(), 10, "the other policy has no say that allows it");
    let both = [("m", 10.0), ("n", 50.0)];
    assert_eq!(scene.until_changed(&both), 5, "the most that any needs");
}

#[test]
fn step_policies_go_by_how_far_the_metric_is_beyond_the_alarm() {
    let mut scene = Scene::new();
    scene.group(1, 20, 10, json!({"DefaultInstanceWarmup": 0}));
    scene.pass(1);
    let steps = json!([
        {"MetricIntervalLowerBound": 0.0, "MetricIntervalUpperBound": 10.0, "ScalingAdjustment": 10},
        {"MetricIntervalLowerBound": 10.0, "ScalingAdjustment": 30},
    ]);
    let put = named(
        json!({"PolicyName": "p", "PolicyType": "StepScaling", "AdjustmentType": "PercentChangeInCapacity",
        "StepAdjustments": steps}),
    );
    let arn = text(&scene.ok("PutScalingPolicy", put)["PolicyARN"]);
    let alarm = json!({"AlarmName": "a", "MetricName": "m", "Namespace": "App", "Statistic": "Average", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 50.0, "ComparisonOperator": "GreaterThanOrEqualToThreshold", "AlarmActions": [arn]});
    scene.watch("PutMetricAlarm", alarm);
    assert_eq!(scene.until_changed(&[("m", 59.0)]), 11);
    let described = scene.ok("DescribePolicies", named(json!({"PolicyTypes": ["StepScaling"]})));
    assert_eq!(described["ScalingPolicies"][0]["Alarms"][0]["AlarmName"], "a");
    assert_eq!(scene.until_changed(&[("m", 70.0)]), 14);
    let history = scene.watch(
        "DescribeAlarmHistory",
        json!({"AlarmName": "a", "HistoryItemType": "Action"}),
    );
    let told = text(&history["AlarmHistoryItems"][0]["HistorySummary"]);
    assert!(told.starts_with("Successfully executed action"), "{told}");
    scene.pass(2);
    // A call gives the distance from the threshold itself.
    let execute = named(json!({"PolicyName": "p", "MetricValue": 55.0, "BreachThreshold": 50.0}));
    scene.ok("ExecutePolicy", execute);
    assert_eq!(scene.desired(), 15);
    let wrong = named(json!({"PolicyName": "p"}));
    assert_eq!(scene.fails("ExecutePolicy", wrong).0, "ValidationError");
}

#[test]
fn simple_policies_wait_for_their_cooldown() {
    let mut scene = Scene::new();
    scene.group(1, 20, 1, json!({}));
    scene.pass(1);
    let put = named(
        json!({"PolicyName": "p", "AdjustmentType": "ChangeInCapacity", "ScalingAdjustment": 2, "Cooldown": 200}),
    );
    let arn = text(&scene.ok("PutScalingPolicy", put)["PolicyARN"]);
    let alarm = json!({"AlarmName": "a", "MetricName": "m", "Namespace": "App", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 0.0, "ComparisonOperator": "GreaterThanThreshold", "AlarmActions": [arn]});
    scene.pass(300);
    scene.watch("PutMetricAlarm", alarm);
    scene.minutes("m", 5.0, 2);
    assert_eq!(scene.desired(), 3);
    scene.minutes("m", 5.0, 2);
    assert_eq!(scene.desired(), 3, "the cooldown is not over");
    scene.minutes("m", 5.0, 2);
    assert_eq!(scene.desired(), 5);
    scene.ok(
        "SuspendProcesses",
        named(json!({"ScalingProcesses": ["AlarmNotification"]})),
    );
    scene.minutes("m", 5.0, 6);
    assert_eq!(scene.desired(), 5);
    scene.ok("ExecutePolicy", named(json!({"PolicyName": "p"})));
    assert_eq!(scene.desired(), 7);
    let honoured = named(json!({"PolicyName": "p", "HonorCooldown": true}));
    scene.pass(1);
    assert_eq!(
        scene.fails("ExecutePolicy", honoured).0,
        "ScalingActivityInProgress"
    );
}

#[test]
fn policies_that_cannot_be() {
    let mut scene = Scene::new();
    scene.group(1, 20, 1, json!({}));
    for (more, told) in [
        (
            json!({"PolicyType": "SimpleScaling"}),
            "AdjustmentType is required",
        ),
        (json!({"PolicyType": "Guess"}), "policy type Guess"),
        (
            json!({"PolicyType": "StepScaling", "AdjustmentType": "ChangeInCapacity"}),
            "at least one step adjustment",
        ),
        (
            json!({"PolicyType": "TargetTrackingScaling"}),
            "TargetTrackingConfiguration is required",
        ),
        (
            json!({"PolicyType": "TargetTrackingScaling", "TargetTrackingConfiguration": {"TargetValue": 1.0}}),
            "either a PredefinedMetricSpecification or a CustomizedMetricSpecification",
        ),
        (
            json!({"PolicyType": "TargetTrackingScaling", "TargetTrackingConfiguration": {"TargetValue": 1.0,
                "PredefinedMetricSpecification": {"PredefinedMetricType": "ALBRequestCountPerTarget"}}}),
            "ResourceLabel must be",
        ),
        (
            json!({"PolicyType": "TargetTrackingScaling", "TargetTrackingConfiguration": {"TargetValue": 1.0,
                "CustomizedMetricSpecification": {"MetricName": "m", "Namespace": "n", "Statistic": "Sum", "Period": 20}}}),
            "10, 30 or 60",
        ),
        (
            json!({"PolicyType": "PredictiveScaling", "PredictiveScalingConfiguration": {"Mode": "ForecastAndScale",
                "MetricSpecifications": [{"TargetValue": 1.0}]}}),
            "ForecastOnly",
        ),
    ] {
        let mut input = named(json!({"PolicyName": "p"}));
        for (name, value) in more.as_object().unwrap() {
            input[name] = value.clone();
        }
        let (code, message) = scene.fails("PutScalingPolicy", input);
        assert_eq!(code, "ValidationError");
        assert!(message.contains(told), "{message}");
    }
}

#[test]
fn forecasts_are_what_the_same_hours_had() {
    let mut scene = Scene::new();
    scene.group(1, 20, 1, json!({}));
    let put = named(
        json!({"PolicyName": "p", "PolicyType": "PredictiveScaling", "PredictiveScalingConfiguration":
        {"MetricSpecifications": [{"TargetValue": 50.0, "PredefinedMetricPairSpecification":
            {"PredefinedMetricType": "ASGCPUUtilization"}}]}}),
    );
    scene.ok("PutScalingPolicy", put);
    let now = scene.caller.now.seconds() / 3600 * 3600;
    let ask = |from: i64, to: i64| named(json!({"PolicyName": "p", "StartTime": from, "EndTime": to}));
    let (code, message) = scene.fails("GetPredictiveScalingForecast", ask(now, now + 7200));
    assert_eq!(code, "ValidationError");
    assert!(message.contains("24 hours"), "{message}");
    // Two days with 600 percent in the first hour of each day and 100 in all others; an hour's sum is 3,600 times that.
    let points = (1..=48).map(|back| {
        let at = now - back * 3600;
        let total = if back % 24 == 0 { 600.0 } else { 100.0 };
        Datapoint {
            series: Series {
                region: REGION.to_owned(),
                namespace: "AWS/EC2".to_owned(),
                name: "CPUUtilization".to_owned(),
                dimensions: vec![("AutoScalingGroupName".to_owned(), "g".to_owned())],
            },
            at: Wall::from_seconds(at),
            unit: Some("Percent".to_owned()),
            summary: Summary::of(total, 3600.0),
            high_resolution: false,
        }
    });
    scene.caller.datapoints.put(points.collect()).unwrap();
    let told = scene.ok("GetPredictiveScalingForecast", ask(now, now + 7200));
    assert_eq!(told["LoadForecast"][0]["Values"], json!([600.0, 100.0]));
    assert_eq!(told["CapacityForecast"]["Values"], json!([12.0, 2.0]));
    assert_eq!(told["CapacityForecast"]["Timestamps"], json!([now, now + 3600]));
    let wrong = named(json!({"PolicyName": "q", "StartTime": now, "EndTime": now + 3600}));
    assert_eq!(
        scene.fails("GetPredictiveScalingForecast", wrong).0,
        "ValidationError"
    );
}
