//! Groups whose capacity is planned.

use super::*;
use crate::autoscaling::planning::planned_groups;
use crate::fleet::Shape;
use std::collections::BTreeMap;

fn on(more: &[(&str, &str)]) -> Value {
    let mut tags = vec![("forebay:planner", "on")];
    tags.extend(more);
    tagged(&tags)
}

impl Scene {
    fn plan(&mut self, desired: u32) {
        self.ordered(desired, "the planner saw it");
    }
}

#[test]
fn orders_are_carried_out_at_once_with_their_reason() {
    let mut scene = Scene::new();
    scene.group(0, 5, 0, on(&[]));
    scene.plan(2);
    assert_eq!(scene.desired(), 2);
    assert_eq!(scene.states(), ["Pending", "Pending"]);
    let (_, cause) = scene.activities().remove(0);
    assert!(
        cause.contains("the planner saw it, changing the desired capacity from 0 to 2."),
        "{cause}"
    );
    // Never beyond the group's bounds, and not at all after the tag was removed.
    scene.plan(9);
    assert_eq!(scene.desired(), 5);
    let tag = json!({"Tags": [{"ResourceId": "g", "ResourceType": "auto-scaling-group", "Key": "forebay:planner"}]});
    scene.ok("DeleteTags", tag);
    scene.plan(1);
    assert_eq!(scene.desired(), 5);
}

#[test]
fn what_is_pending_is_told_with_its_age_and_start_ups_are_measured() {
    let mut scene = Scene::new();
    let group = scene.target_group();
    let mut made = on(&[("forebay:planner-start-up-seconds", "7")]);
    made["TargetGroupARNs"] = json!([group]);
    scene.group(0, 5, 0, made);
    scene.targets_pass = false;
    scene.plan(2);
    scene.pass(4);
    let planned = &planned_groups(&scene.caller.state, &[], scene.caller.now)[0];
    let fleet = planned.fleet(scene.caller.now);
    assert_eq!((fleet.ready, fleet.desired, fleet.start_up), (0, 2, None));
    assert_eq!(fleet.pending, [Duration::from_secs(4); 2]);
    assert_eq!(planned.settings.start_up, Duration::from_secs(7));
    scene.caller.observed.health.lock().unwrap().clear();
    scene.targets_pass = true;
    scene.pass(1);
    let planned = &planned_groups(&scene.caller.state, &[], scene.caller.now)[0];
    let fleet = planned.fleet(scene.caller.now);
    assert_eq!((fleet.ready, fleet.pending.len()), (2, 0));
    assert_eq!(fleet.start_up, Some(Duration::from_secs(5)));
}

#[test]
fn policies_take_nothing_below_what_is_planned() {
    let mut scene = Scene::new();
    scene.group(1, 9, 1, on(&[]));
    scene.plan(4);
    scene.pass(3);
    let policy = json!({"AutoScalingGroupName": "g", "PolicyName": "down", "AdjustmentType": "ExactCapacity", "ScalingAdjustment": 1});
    let arn = text(&scene.ok("PutScalingPolicy", policy)["PolicyARN"]);
    let alarm = json!({
        "AlarmName": "low", "Namespace": "N", "MetricName": "M", "Statistic": "Sum", "Period": 10, "EvaluationPeriods": 1,
        "Threshold": 1.0, "ComparisonOperator": "LessThanThreshold", "TreatMissingData": "breaching", "AlarmActions": [arn],
    });
    scene
        .caller
        .call_of(Service::CloudWatch, "PutMetricAlarm", alarm)
        .unwrap();
    scene.pass(400);
    assert_eq!(scene.desired(), 4);
    scene.plan(2);
    assert_eq!(scene.desired(), 2);
}

#[test]
fn the_emptiest_instances_go_first() {
    let mut scene = Scene::new();
    let group = scene.target_group();
    let mut made = on(&[]);
    made["TargetGroupARNs"] = json!([group]);
    scene.group(0, 5, 3, made);
    scene.pass(4);
    let ids = scene.ids();
    {
        let mut in_flight = scene.caller.observed.in_flight.lock().unwrap();
        for (place, id) in ids.iter().enumerate() {
            in_flight.insert(id.clone(), if place == 1 { 0 } else { 3 });
        }
    }
    scene.plan(2);
    scene.pass(4);
    let left = scene.ids();
    assert!(left.len() == 2 && !left.contains(&ids[1]), "{left:?} of {ids:?}");
}

#[test]
fn what_instances_may_cost_bounds_the_capacity() {
    let mut scene = Scene::new();
    scene.group(1, 50, 1, on(&[("forebay:planner-max-hourly-cost", "1.5")]));
    scene.pass(3);
    let shape = Shape {
        name: "m5.large".to_owned(),
        vcpus: 2,
        memory_mib: 8192,
        architecture: "x86_64".to_owned(),
        on_demand_price: 0.1,
        spot_price: None,
        on_demand_capacity: BTreeMap::new(),
        spot_capacity: BTreeMap::new(),
        interruption_rate: 0.0,
    };
    let planned = &planned_groups(&scene.caller.state, &[shape], scene.caller.now)[0];
    assert_eq!(planned.fleet.maximum, 15);
    let planned = &planned_groups(&scene.caller.state, &[], scene.caller.now)[0];
    assert_eq!((planned.fleet.maximum, planned.costs.unwrap().each), (50, None));
}

#[test]
fn tags_that_say_nothing_are_refused() {
    let mut scene = Scene::new();
    scene.group(0, 1, 0, json!({}));
    for (key, value) in [("forebay:planner", "yes"), ("forebay:plannr", "on")] {
        let tag = json!({"Tags": [{"ResourceId": "g", "ResourceType": "auto-scaling-group", "Key": key, "Value": value}]});
        let (code, message) = scene.fails("CreateOrUpdateTags", tag);
        assert_eq!(code, "ValidationError");
        assert!(message.contains("forebay:planner"), "{message}");
    }
    assert_eq!(planned_groups(&scene.caller.state, &[], scene.caller.now), []);
}
