//! Alarms in virtual time.

use super::alarms::{alarm, with};
use super::{caller, stat};
use crate::cloudwatch::changes::AlarmCommand;
use crate::ports::{ActionError, Actions, AlarmAction, Datapoints, Notification, Series, SeriesFilter};
use crate::testing::{Caller, REGION, text};
use crate::{Command, Datapoint, NothingObserved, Ports, PutError, apply, tick};
use forebay_awswire::Service;
use forebay_signals::Summary;
use forebay_units::Wall;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const TOPIC: &str = "arn:aws:sns:local-1:123456789012:t";

/// Records the actions it is asked for; it can carry out all but topics.
#[derive(Default)]
struct Asked(Mutex<Vec<(String, String)>>);

impl Actions for Asked {
    fn run(&self, action: &AlarmAction) -> Result<(), ActionError> {
        let asked = (action.state.name().to_owned(), action.arn.clone());
        self.0.lock().unwrap().push(asked);
        if action.arn == TOPIC {
            return Err(ActionError("there is no such topic".to_owned()));
        }
        Ok(())
    }

    fn tell(&self, _topic: &str, _notification: &Notification) -> Result<(), ActionError> {
        Ok(())
    }
}

/// Has no datapoints, and counts the lookups.
#[derive(Default)]
struct Counted(AtomicUsize);

impl Datapoints for Counted {
    fn put(&self, _: Vec<Datapoint>) -> Result<(), PutError> {
        Ok(())
    }

    fn read(&self, _: &Series, _: Wall, _: Wall, _: u32, _: Option<&str>) -> Vec<(Wall, Summary)> {
        self.0.fetch_add(1, Relaxed);
        Vec::new()
    }

    fn units(&self, _: &Series) -> Vec<String> {
        Vec::new()
    }

    fn list(&self, _: &str, _: &SeriesFilter) -> Vec<Series> {
        Vec::new()
    }

    fn clear(&self) {}
}

struct Scene {
    caller: Caller,
    asked: Asked,
}

impl Scene {
    fn new() -> Scene {
        Scene {
            caller: caller(),
            asked: Asked::default(),
        }
    }

    /// Advances time with a tick each second. Returns how many ticks changed the state.
    fn after(&mut self, seconds: u32) -> usize {
        let mut changes = 0;
        for _ in 0..seconds {
            let before = self.caller.now;
            self.caller.pass(1);
            let ports = Ports {
                observations: &NothingObserved,
                datapoints: &self.caller.datapoints,
            };
            let commands = tick(&self.caller.state, &ports, before, self.caller.now);
            let next = apply(
                &self.caller.state,
                &commands,
                &ports,
                &self.asked,
                self.caller.now,
            );
            if next != self.caller.state {
                assert!(next.generation() > self.caller.state.generation());
                changes += 1;
            }
            self.caller.state = next;
        }
        changes
    }

    /// Advances a minute in which the metric `m` gets this value.
    fn minute(&mut self, value: Option<f64>) -> usize {
        if let Some(value) = value {
            let at = self.caller.seconds();
            let datum = json!({"MetricName": "m", "Value": value, "Timestamp": at});
            let input = json!({"Namespace": "App", "MetricData": [datum]});
            self.caller.watch("PutMetricData", input);
        }
        self.after(60)
    }

    fn state(&mut self, name: &str) -> String {
        let types = ["MetricAlarm", "CompositeAlarm"];
        let input = json!({"AlarmNames": [name], "AlarmTypes": types});
        let answer = self.caller.watch("DescribeAlarms", input);
        let lists = types.map(|kind| answer[format!("{kind}s")][0]["StateValue"].as_str());
        lists.into_iter().flatten().next().unwrap().to_owned()
    }

    fn history(&mut self, name: &str) -> Vec<String> {
        let answer = self
            .caller
            .watch("DescribeAlarmHistory", json!({"AlarmName": name}));
        let items = answer["AlarmHistoryItems"].as_array().unwrap().iter();
        items.map(|item| text(&item["HistorySummary"])).collect()
    }

    fn asked(&self) -> Vec<(String, String)> {
        core::mem::take(&mut self.asked.0.lock().unwrap())
    }
}

fn said(state: &str, arn: &str) -> (String, String) {
    (state.to_owned(), arn.to_owned())
}

#[test]
fn alarm_follows_its_metric_and_writes_only_when_its_state_changes() {
    let mut scene = Scene::new();
    let actions = json!({"AlarmActions": [TOPIC], "OKActions": ["arn:other"]});
    scene.caller.watch("PutMetricAlarm", with(alarm("a"), actions));
    assert_eq!(scene.minute(None), 0, "nothing is known, as before");
    // A minute's value is known when the minute is over.
    assert_eq!(scene.minute(Some(1.0)), 0);
    assert_eq!(scene.minute(Some(2.0)), 1);
    assert_eq!(scene.state("a"), "OK");
    assert_eq!(scene.asked(), [said("OK", "arn:other")]);
    assert_eq!(scene.minute(Some(9.0)), 0);
    assert_eq!(scene.minute(Some(9.0)), 1);
    assert_eq!(scene.state("a"), "ALARM");
    assert_eq!(scene.asked(), [said("ALARM", TOPIC)]);
    assert_eq!(scene.minute(Some(9.0)), 0);
    assert_eq!(scene.asked(), [], "while the state lasts, nothing is run again");
    let answer = scene.caller.watch("DescribeAlarms", json!({}));
    let shown = &answer["MetricAlarms"][0];
    assert_eq!(
        shown["StateReason"],
        "Threshold Crossed: 1 datapoint [9.0 (14/11/23 22:17:00)] was greater than the threshold (5.0) (minimum 1 datapoint for \
         OK -> ALARM transition)."
    );
    let data: Value = serde_json::from_str(shown["StateReasonData"].as_str().unwrap()).unwrap();
    assert_eq!(data["recentDatapoints"], json!([9.0]));
    assert_eq!(
        data["evaluatedDatapoints"],
        json!([{"timestamp": "2023-11-14T22:17:00.000+0000", "value": 9.0}])
    );
    assert_eq!(
        (&data["threshold"], &data["period"], &data["statistic"]),
        (&json!(5.0), &json!(60), &json!("Sum"))
    );
    assert_eq!(
        scene.history("a"),
        [
            format!("Failed to execute action {TOPIC}. Received error: \"there is no such topic\""),
            "Alarm updated from OK to ALARM".to_owned(),
            "Successfully executed action arn:other".to_owned(),
            "Alarm updated from INSUFFICIENT_DATA to OK".to_owned(),
            "Alarm \"a\" created".to_owned(),
        ]
    );
    for _ in 0..5 {
        scene.minute(None);
    }
    assert_eq!(scene.state("a"), "INSUFFICIENT_DATA");
}

#[test]
fn scaling_goes_on_while_the_state_lasts() {
    let mut scene = Scene::new();
    let policy = policy(&mut scene.caller);
    let actions = json!({"AlarmActions": [policy, TOPIC]});
    scene.caller.watch("PutMetricAlarm", with(alarm("a"), actions));
    scene.minute(Some(9.0));
    scene.minute(Some(9.0));
    assert_eq!(desired(&scene), 1);
    assert_eq!(scene.asked(), [said("ALARM", TOPIC)]);
    for wanted in 2..4 {
        scene.minute(Some(9.0));
        assert_eq!(desired(&scene), wanted);
        assert_eq!(scene.asked(), [], "topics are told once");
    }
    scene
        .caller
        .watch("DisableAlarmActions", json!({"AlarmNames": ["a"]}));
    scene.minute(Some(9.0));
    assert_eq!(desired(&scene), 3);
}

/// Creates a policy that adds one instance each time, in a group that launches nothing. Returns its ARN.
fn policy(caller: &mut Caller) -> String {
    let mut call = |operation: &str, input: Value| {
        let answer = caller.call_of(Service::AutoScaling, operation, input);
        answer.unwrap_or_else(|problem| panic!("{operation}: {problem}"))
    };
    call(
        "CreateLaunchConfiguration",
        json!({"LaunchConfigurationName": "lc", "ImageId": "ami-1", "InstanceType": "c5.large"}),
    );
    let group = json!({"AutoScalingGroupName": "g", "LaunchConfigurationName": "lc", "MinSize": 0, "MaxSize": 9,
        "AvailabilityZones": ["local-1a"]});
    call("CreateAutoScalingGroup", group);
    call("SuspendProcesses", json!({"AutoScalingGroupName": "g"}));
    call(
        "ResumeProcesses",
        json!({"AutoScalingGroupName": "g", "ScalingProcesses": ["AlarmNotification"]}),
    );
    let policy = json!({"AutoScalingGroupName": "g", "PolicyName": "p", "AdjustmentType": "ChangeInCapacity",
        "ScalingAdjustment": 1, "Cooldown": 0});
    text(&call("PutScalingPolicy", policy)["PolicyARN"])
}

fn desired(scene: &Scene) -> u32 {
    let region = scene.caller.state.region(REGION);
    region.scaling_groups["g"].desired
}

#[test]
fn fast_alarms_are_evaluated_every_ten_seconds() {
    let mut scene = Scene::new();
    scene
        .caller
        .watch("PutMetricAlarm", with(alarm("fast"), json!({"Period": 10})));
    let at = scene.caller.seconds();
    let datum = json!({"MetricName": "m", "Value": 9.0, "Timestamp": at, "StorageResolution": 1});
    let input = json!({"Namespace": "App", "MetricData": [datum]});
    scene.caller.watch("PutMetricData", input);
    assert_eq!(scene.after(9), 0);
    assert_eq!(scene.after(10), 1);
    assert_eq!(scene.state("fast"), "ALARM");
}

#[test]
fn nothing_is_read_unless_an_alarm_is_due() {
    let mut caller = caller();
    caller.watch("PutMetricAlarm", alarm("minutely"));
    let hourly = json!({"Period": 86_400, "EvaluationPeriods": 2});
    caller.watch("PutMetricAlarm", with(alarm("hourly"), hourly));
    let datapoints = Counted::default();
    let ports = Ports {
        observations: &NothingObserved,
        datapoints: &datapoints,
    };
    let mut due = 0;
    for second in 0..7200 {
        let at = caller.seconds() + second;
        let commands = tick(
            &caller.state,
            &ports,
            Wall::from_seconds(at),
            Wall::from_seconds(at + 1),
        );
        assert_eq!(commands, []);
        due += usize::from(datapoints.0.swap(0, Relaxed) > 0);
    }
    // 120 minutes and two hours, some of which may fall on the same second.
    assert!((120..=122).contains(&due), "{due}");
}

#[test]
fn late_calls_make_up_for_what_was_due() {
    let mut scene = Scene::new();
    scene.caller.watch("PutMetricAlarm", alarm("a"));
    scene.caller.put("m", 9.0);
    let before = scene.caller.now;
    scene.caller.pass(90);
    let ports = Ports {
        observations: &NothingObserved,
        datapoints: &scene.caller.datapoints,
    };
    let commands = tick(&scene.caller.state, &ports, before, scene.caller.now);
    assert!(
        matches!(&commands[..], [Command::Alarm(AlarmCommand::SetState { .. })]),
        "{commands:?}"
    );
    // A command for an alarm that has been deleted has no effect.
    scene.caller.watch("DeleteAlarms", json!({"AlarmNames": ["a"]}));
    let ports = Ports {
        observations: &NothingObserved,
        datapoints: &scene.caller.datapoints,
    };
    let next = apply(
        &scene.caller.state,
        &commands,
        &ports,
        &scene.asked,
        scene.caller.now,
    );
    assert_eq!(next, scene.caller.state);
}

#[test]
fn state_that_was_set_by_hand_has_its_actions_run_and_is_soon_put_right() {
    let mut scene = Scene::new();
    scene.caller.watch(
        "PutMetricAlarm",
        with(alarm("a"), json!({"AlarmActions": ["arn:x"]})),
    );
    scene.minute(Some(1.0));
    scene.minute(Some(1.0));
    let set = json!({"AlarmName": "a", "StateValue": "ALARM", "StateReason": "a try"});
    scene.caller.watch("SetAlarmState", set);
    assert_eq!(scene.after(1), 1);
    assert_eq!(scene.asked(), [said("ALARM", "arn:x")]);
    assert_eq!(scene.history("a")[0], "Successfully executed action arn:x");
    scene.after(59);
    assert_eq!(scene.state("a"), "OK");
}

#[test]
fn alarm_on_an_expression_follows_it() {
    let mut scene = Scene::new();
    let mut hidden = stat("m1", "m", "Sum");
    hidden["ReturnData"] = json!(false);
    let queries = json!([hidden, {"Id": "e", "Expression": "FILL(m1, 0) * 2", "Label": "twice"}]);
    scene.caller.watch(
        "PutMetricAlarm",
        json!({"AlarmName": "a", "EvaluationPeriods": 1, "Threshold": 5.0, "ComparisonOperator": "GreaterThanThreshold", "Metrics": queries}),
    );
    scene.minute(Some(3.0));
    scene.minute(None);
    assert_eq!(scene.state("a"), "ALARM");
    scene.minute(None);
    assert_eq!(scene.state("a"), "OK");
    let answer = scene.caller.watch("DescribeAlarms", json!({}));
    assert_eq!(
        answer["MetricAlarms"][0]["Metrics"][1]["Expression"],
        "FILL(m1, 0) * 2"
    );
    // An expression that evaluates to a number yields no datapoints.
    let number = json!([stat("m1", "m", "Sum"), {"Id": "e", "Expression": "SUM(m1)"}]);
    let mut number = number;
    number[0]["ReturnData"] = json!(false);
    scene.caller.watch(
        "PutMetricAlarm",
        json!({"AlarmName": "a", "EvaluationPeriods": 1, "Threshold": 5.0, "ComparisonOperator": "GreaterThanThreshold", "Metrics": number}),
    );
    scene.minute(Some(3.0));
    assert_eq!(scene.state("a"), "INSUFFICIENT_DATA");
}

#[test]
fn composite_alarms_follow_others_at_once() {
    let mut scene = Scene::new();
    scene.caller.watch("PutMetricAlarm", alarm("m"));
    let composite = |name: &str, rule: &str, action: &str| json!({"AlarmName": name, "AlarmRule": rule, "AlarmActions": [action]});
    scene
        .caller
        .watch("PutCompositeAlarm", composite("b", "ALARM(m)", "arn:b"));
    scene.caller.watch(
        "PutCompositeAlarm",
        composite("a", "ALARM(b) AND NOT OK(m)", "arn:a"),
    );
    assert_eq!(scene.after(1), 1);
    assert_eq!([scene.state("a"), scene.state("b")], ["OK", "OK"]);
    scene.minute(Some(9.0));
    assert_eq!(scene.minute(None), 1, "all three change in one tick");
    assert_eq!(
        [scene.state("a"), scene.state("b"), scene.state("m")],
        ["ALARM", "ALARM", "ALARM"]
    );
    assert_eq!(scene.asked(), [said("ALARM", "arn:a"), said("ALARM", "arn:b")]);
    let answer = scene.caller.watch(
        "DescribeAlarms",
        json!({"AlarmNames": ["b"], "AlarmTypes": ["CompositeAlarm"]}),
    );
    assert_eq!(
        answer["CompositeAlarms"][0]["StateReason"],
        "arn:aws:cloudwatch:local-1:123456789012:alarm:m transitioned to ALARM"
    );
    assert_eq!(
        scene
            .caller
            .refused("DeleteAlarms", json!({"AlarmNames": ["a", "b"]}))
            .1,
        "One composite alarm can be deleted at a time"
    );
    scene.caller.watch("DeleteAlarms", json!({"AlarmNames": ["m"]}));
    assert_eq!(scene.after(1), 1);
    assert_eq!([scene.state("a"), scene.state("b")], ["OK", "OK"]);
}
