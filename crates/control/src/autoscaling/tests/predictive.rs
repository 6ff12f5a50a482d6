//! Predictive scaling: forecasts are a floor of a group's capacity.

use super::{Scene, named};
use crate::autoscaling::forecast;
use crate::testing::REGION;
use crate::{Datapoint, Datapoints as _, Series};
use forebay_signals::Summary;
use forebay_units::Wall;
use serde_json::{Value, json};

const HOUR: i64 = 3600;

impl Scene {
    /// The beginning of the current hour.
    fn hour(&self) -> i64 {
        self.caller.now.seconds() / HOUR * HOUR
    }

    /// In the hour that begins at `at`, the group's instances together use this percentage of a processor.
    fn load(&self, at: i64, percent: f64) {
        let point = Datapoint {
            series: Series {
                region: REGION.to_owned(),
                namespace: "AWS/EC2".to_owned(),
                name: "CPUUtilization".to_owned(),
                dimensions: vec![("AutoScalingGroupName".to_owned(), "g".to_owned())],
            },
            at: Wall::from_seconds(at),
            unit: Some("Percent".to_owned()),
            summary: Summary::of(percent, 3600.0),
            high_resolution: false,
        };
        self.caller.datapoints.put(vec![point]).unwrap();
    }

    /// Two days in which every hour has a load of 100, except the one a day before the hour that is `ahead` hours from
    /// now.
    fn two_days(&self, ahead: i64, percent: f64) {
        let this = self.hour();
        for back in 1..=48 {
            let is_other = (back + ahead) % 24 == 0;
            self.load(this - back * HOUR, if is_other { percent } else { 100.0 });
        }
    }

    /// Jumps to another time, and lets a second pass.
    fn at(&mut self, seconds: i64) {
        self.caller.now = Wall::from_seconds(seconds - 1);
        self.pass(1);
    }

    fn sizes(&mut self) -> (u64, u64, Value) {
        let group = self.described();
        let number = |name: &str| group[name].as_u64().unwrap();
        (
            number("DesiredCapacity"),
            number("MaxSize"),
            group["PredictedCapacity"].clone(),
        )
    }
}

/// A policy with a target of 50 percent.
fn policy(name: &str, more: Value) -> Value {
    let mut configuration = json!({"Mode": "ForecastAndScale", "MetricSpecifications": [{"TargetValue": 50.0,
        "PredefinedMetricPairSpecification": {"PredefinedMetricType": "ASGCPUUtilization"}}]});
    for (name, value) in more.as_object().unwrap() {
        configuration[name] = value.clone();
    }
    named(json!({"PolicyName": name, "PolicyType": "PredictiveScaling",
        "PredictiveScalingConfiguration": configuration}))
}

#[test]
fn a_forecast_raises_what_is_desired_before_its_hour_and_is_a_floor_until_it_ends() {
    let mut scene = Scene::new();
    scene.group(1, 20, 1, json!({}));
    scene.two_days(1, 420.0);
    scene.ok("PutScalingPolicy", policy("p", json!({})));
    let down = json!({"PolicyName": "down", "AdjustmentType": "ChangeInCapacity", "ScalingAdjustment": -10, "Cooldown": 0});
    scene.ok("PutScalingPolicy", named(down));
    let this = scene.hour();
    scene.pass(2);
    assert_eq!(scene.sizes(), (2, 20, json!(2)), "100 percent need 2");
    scene.at(this + HOUR - 301);
    assert_eq!(scene.sizes(), (2, 20, json!(2)));
    scene.at(this + HOUR - 300);
    assert_eq!(
        scene.sizes(),
        (9, 20, json!(9)),
        "the next hour's load, five minutes early"
    );
    scene.pass(2);
    assert_eq!(scene.states(), ["InService"; 9]);
    let cause = scene.activities()[0].1.clone();
    let told = "Z a predictive scaling policy p changed the desired capacity from 2 to 9.";
    assert!(cause.contains(told), "{cause}");
    // The load is as forecast.
    scene.load(this, 100.0);
    for seconds in [HOUR, HOUR + 1800, 2 * HOUR - 1] {
        scene.at(this + seconds);
        scene.ok("ExecutePolicy", named(json!({"PolicyName": "down"})));
        assert_eq!(
            scene.sizes(),
            (9, 20, json!(9)),
            "policies do not scale in below it"
        );
    }
    scene.load(this + HOUR, 420.0);
    scene.at(this + 2 * HOUR);
    assert_eq!(scene.sizes(), (9, 20, json!(2)), "it scales nothing in itself");
    scene.ok("ExecutePolicy", named(json!({"PolicyName": "down"})));
    assert_eq!(scene.desired(), 2);
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 1})));
    assert_eq!(scene.desired(), 2, "nor does a call go below it");
    scene.ok("DeletePolicy", named(json!({"PolicyName": "p"})));
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 1})));
    scene.pass(1);
    assert_eq!(scene.sizes(), (1, 20, Value::Null));
}

#[test]
fn a_forecast_is_made_once_an_hour_and_needs_a_day() {
    let mut scene = Scene::new();
    scene.group(1, 20, 1, json!({}));
    scene.ok("PutScalingPolicy", policy("p", json!({})));
    scene.pass(1);
    assert_eq!(scene.sizes(), (1, 20, Value::Null));
    let known = |scene: &Scene| {
        let region = scene.caller.state.region(REGION);
        region.scaling_groups["g"].predicted["p"].clone()
    };
    let problem = known(&scene).problem.unwrap();
    assert!(problem.contains("fewer than 24 hours"), "{problem}");
    scene.two_days(0, 200.0);
    scene.pass(5);
    assert_eq!(
        scene.sizes(),
        (1, 20, Value::Null),
        "it is looked at again in the next hour"
    );
    let this = scene.hour();
    scene.load(this, 100.0);
    scene.at(this + HOUR);
    assert_eq!(scene.sizes(), (2, 20, json!(2)));
    assert_eq!(known(&scene).problem, None);
    // A policy that is put again forecasts again; one that only forecasts, or is disabled, is no floor.
    for more in [json!({"Mode": "ForecastOnly"}), json!({})] {
        let mut input = policy("p", more);
        input["Enabled"] = json!(false);
        scene.ok("PutScalingPolicy", input);
        scene.pass(1);
        assert_eq!(scene.sizes().2, Value::Null);
    }
    scene.ok("PutScalingPolicy", policy("p", json!({})));
    scene.pass(1);
    assert_eq!(scene.sizes().2, json!(2));
}

#[test]
fn the_maximum_is_honoured_or_raised_and_the_greatest_forecast_counts() {
    let mut scene = Scene::new();
    scene.group(0, 5, 1, json!({}));
    scene.two_days(0, 1000.0);
    scene.ok("PutScalingPolicy", policy("p", json!({})));
    scene.pass(1);
    assert_eq!(scene.sizes(), (5, 5, json!(20)));
    let mut half = policy(
        "half",
        json!({"MaxCapacityBreachBehavior": "IncreaseMaxCapacity", "MaxCapacityBuffer": 10}),
    );
    half["PredictiveScalingConfiguration"]["MetricSpecifications"][0]["TargetValue"] = json!(100.0);
    scene.ok("PutScalingPolicy", half);
    scene.pass(1);
    // That policy forecasts 10, so its maximum is a tenth more; the other forecasts more than that.
    assert_eq!(scene.sizes(), (11, 11, json!(20)));
    let raised = json!({"MaxCapacityBreachBehavior": "IncreaseMaxCapacity", "MaxCapacityBuffer": 0});
    scene.ok("PutScalingPolicy", policy("p", raised));
    scene.pass(1);
    assert_eq!(scene.sizes(), (20, 20, json!(20)));
    let ask = named(json!({"PolicyName": "p", "StartTime": scene.hour(), "EndTime": scene.hour() + HOUR}));
    let told = scene.ok("GetPredictiveScalingForecast", ask);
    assert_eq!(told["CapacityForecast"]["Values"], json!([20.0]));
}

#[test]
fn policies_that_cannot_scale_are_refused() {
    let mut scene = Scene::new();
    scene.group(1, 20, 1, json!({}));
    let custom = json!([{"TargetValue": 1.0, "CustomizedLoadMetricSpecification": {"MetricDataQueries": [
        {"Id": "a", "Expression": "SUM(SEARCH('x', 'Sum', 3600))"}]}}]);
    for (more, told) in [
        (
            json!({"MetricSpecifications": custom}),
            "Mode must be ForecastOnly",
        ),
        (json!({"SchedulingBufferTime": 3600}), "less than 3600"),
        (json!({"MaxCapacityBuffer": 10}), "valid only if"),
        (
            json!({"MaxCapacityBreachBehavior": "IncreaseMaxCapacity"}),
            "MaxCapacityBuffer is required",
        ),
    ] {
        let (code, message) = scene.fails("PutScalingPolicy", policy("p", more));
        assert_eq!(code, "ValidationError");
        assert!(message.contains(told), "{message}");
    }
}

#[test]
fn the_error_of_forecasts_is_told() {
    let mut scene = Scene::new();
    scene.group(1, 20, 1, json!({}));
    scene.ok("PutScalingPolicy", policy("p", json!({})));
    let error = |scene: &Scene, name: &str| {
        let (state, now) = (&scene.caller.state, scene.caller.now);
        forecast::error(state, REGION, "g", name, &scene.caller.datapoints, now)
    };
    assert_eq!(error(&scene, "p"), None);
    scene.two_days(0, 100.0);
    let told = error(&scene, "p").unwrap();
    assert_eq!(told.hours, 24);
    assert!(
        told.percent.unwrap() < 1e-6 && told.bias_percent.unwrap().abs() < 1e-6,
        "{told:?}"
    );
    assert_eq!(error(&scene, "q"), None);
}

#[test]
fn many_policies_forecast_a_few_each_second() {
    let mut scene = Scene::new();
    scene.group(1, 20, 1, json!({}));
    for place in 0..12 {
        scene.ok("PutScalingPolicy", policy(&format!("p{place}"), json!({})));
    }
    let known = |scene: &Scene| {
        let region = scene.caller.state.region(REGION);
        region.scaling_groups["g"].predicted.len()
    };
    let counts: Vec<usize> = (0..3)
        .map(|_| {
            scene.pass(1);
            known(&scene)
        })
        .collect();
    assert_eq!(counts, [10, 12, 12]);
}
