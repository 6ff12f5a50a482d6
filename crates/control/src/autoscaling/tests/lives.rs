//! Instances come and go in AWS's order, and nothing is lost on the way.

use super::{Scene, named};
use crate::autoscaling::records::Group;
use crate::fleet::{SeenInstance, SeenPhase};
use crate::testing::REGION;
use core::time::Duration;
use forebay_model::HealthState;
use serde_json::{Value, json};
use std::sync::Arc;

#[test]
fn a_group_launches_registers_and_counts_what_has_passed_its_first_check() {
    let mut scene = Scene::new();
    let arn = scene.target_group();
    scene.targets_pass = false;
    scene.group(1, 5, 3, json!({"TargetGroupARNs": [arn]}));
    assert_eq!(scene.states(), ["Pending"; 3]);
    assert_eq!(scene.targets(), [], "nothing is registered that does not run");
    scene.pass(1);
    assert_eq!(scene.states(), ["InService"; 3]);
    assert_eq!(scene.targets().len(), 3);
    // One in each zone.
    let group = scene.described();
    let zones: std::collections::BTreeSet<&str> = group["Instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|instance| instance["AvailabilityZone"].as_str().unwrap())
        .collect();
    assert_eq!(zones.len(), 3);
    let sources = scene.ok("DescribeTrafficSources", named(json!({})));
    assert_eq!(sources["TrafficSources"][0]["State"], "Added");
    let ids = scene.ids();
    for id in &ids {
        let mut health = scene.caller.observed.health.lock().unwrap();
        health.insert(id.clone(), HealthState::Healthy);
    }
    scene.pass(1);
    let sources = scene.ok("DescribeTrafficSources", named(json!({})));
    assert_eq!(sources["TrafficSources"][0]["State"], "InService");
    let (status, cause) = scene.activities()[0].clone();
    assert_eq!(status, "Successful");
    assert!(
        cause.contains(
            "a user request created an AutoScalingGroup changing the desired capacity from 0 to 3."
        ) && cause.contains("increasing the capacity from"),
        "{cause}"
    );
}

#[test]
fn scale_in_deregisters_drains_and_only_then_stops() {
    let mut scene = Scene::new();
    let arn = scene.target_group();
    scene.group(0, 5, 1, json!({"TargetGroupARNs": [arn]}));
    scene.pass(2);
    let id = scene.ids()[0].clone();
    scene
        .caller
        .observed
        .in_flight
        .lock()
        .unwrap()
        .insert(id.clone(), 2);
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 0})));
    scene.pass(5);
    assert_eq!(scene.states(), ["Terminating"]);
    assert_eq!(scene.targets(), [(id.clone(), true)]);
    assert_eq!(scene.ec2(&id), "running", "requests are in flight");
    assert_eq!(scene.activities()[0].0, "WaitingForELBConnectionDraining");
    scene
        .caller
        .observed
        .in_flight
        .lock()
        .unwrap()
        .insert(id.clone(), 0);
    scene.pass(3);
    assert_eq!(scene.states(), [""; 0]);
    assert_eq!(scene.ec2(&id), "terminated");
    let (status, cause) = scene.activities()[0].clone();
    assert_eq!(status, "Successful");
    assert!(
        cause.contains(&format!("instance {id} was selected for termination")),
        "{cause}"
    );
}

#[test]
fn a_draining_instance_is_taken_back_when_it_is_needed_again() {
    let mut scene = Scene::new();
    let arn = scene.target_group();
    scene.group(0, 5, 2, json!({"TargetGroupARNs": [arn]}));
    scene.pass(2);
    let ids = scene.ids();
    for id in &ids {
        scene
            .caller
            .observed
            .in_flight
            .lock()
            .unwrap()
            .insert(id.clone(), 1);
    }
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 0})));
    scene.pass(1);
    assert_eq!(scene.states(), ["Terminating", "Terminating"]);
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 2})));
    assert_eq!(scene.states(), ["InService", "InService"]);
    assert_eq!(scene.ids(), ids, "nobody was launched");
    assert!(scene.targets().iter().all(|(_, drains)| !drains));
    scene.pass(10);
    assert_eq!(scene.ids(), ids);
}

/// An alarm changes the desired capacity; the next second settles the group.
#[test]
fn a_draining_instance_is_taken_back_even_while_launches_wait() {
    let mut scene = Scene::new();
    let arn = scene.target_group();
    scene.group(0, 5, 1, json!({"TargetGroupARNs": [arn]}));
    scene.pass(2);
    let id = scene.ids()[0].clone();
    let mut in_flight = scene.caller.observed.in_flight.lock().unwrap();
    in_flight.insert(id.clone(), 1);
    drop(in_flight);
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 0})));
    let now = scene.caller.now;
    let region = scene.caller.state.region_mut(REGION);
    let mut group = Group::clone(&region.scaling_groups["g"]);
    group.desired = 1;
    group.not_before = now + Duration::from_secs(60);
    region.scaling_groups.insert("g".to_owned(), Arc::new(group));
    scene.pass(1);
    assert_eq!(scene.states(), ["InService"]);
    assert_eq!(scene.ids(), [id]);
}

#[test]
fn hooks_hold_an_instance_until_they_are_completed_or_time_out() {
    let mut scene = Scene::new();
    let hook = |name: &str, transition: &str, default: &str| {
        json!({"LifecycleHookName": name, "LifecycleTransition": format!("autoscaling:EC2_INSTANCE_{transition}"),
            "HeartbeatTimeout": 30, "DefaultResult": default})
    };
    let specified = json!([
        hook("up", "LAUNCHING", "ABANDON"),
        hook("down", "TERMINATING", "CONTINUE")
    ]);
    scene.group(0, 5, 1, json!({"LifecycleHookSpecificationList": specified}));
    scene.pass(1);
    assert_eq!(scene.states(), ["Pending:Wait"]);
    assert_eq!(scene.activities()[0].0, "MidLifecycleAction");
    let id = scene.ids()[0].clone();
    let action = json!({"LifecycleHookName": "up", "InstanceId": id});
    scene.pass(20);
    scene.ok("RecordLifecycleActionHeartbeat", named(action.clone()));
    scene.pass(20);
    assert_eq!(scene.states(), ["Pending:Wait"], "the heartbeat counts");
    let mut done = named(action);
    done["LifecycleActionResult"] = json!("CONTINUE");
    scene.ok("CompleteLifecycleAction", done.clone());
    assert_eq!(scene.states(), ["InService"]);
    assert_eq!(scene.fails("CompleteLifecycleAction", done).0, "ValidationError");
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 0})));
    assert_eq!(scene.states(), ["Terminating:Wait"]);
    scene.pass(29);
    assert_eq!(scene.states(), ["Terminating:Wait"]);
    scene.pass(3);
    assert_eq!(scene.states(), [""; 0], "after its time it goes on");
    // Nobody completes the launch hook: the launch is abandoned and tried again.
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 1})));
    scene.pass(1);
    let second = scene.ids()[0].clone();
    scene.pass(33);
    assert!(
        scene.states().contains(&"Terminating:Wait".to_owned()),
        "{:?}",
        scene.states()
    );
    assert!(scene.activities().iter().any(|(status, _)| status == "Cancelled"));
    scene.pass(33);
    assert_eq!(scene.ec2(&second), "terminated");
    assert!(!scene.ids().contains(&second));
}

#[test]
fn what_ends_by_itself_is_replaced_and_its_last_words_are_told() {
    let mut scene = Scene::new();
    scene.group(1, 5, 1, json!({}));
    scene.pass(1);
    let id = scene.ids()[0].clone();
    let ended = SeenInstance {
        run: 1,
        phase: SeenPhase::Stopped {
            why: "exit status 1: out of luck".to_owned(),
        },
    };
    scene
        .caller
        .observed
        .seen
        .lock()
        .unwrap()
        .insert(id.clone(), ended);
    scene.pass(4);
    assert_eq!(scene.states(), ["InService"]);
    assert_ne!(scene.ids()[0], id);
    assert_eq!(scene.ec2(&id), "terminated");
    let causes: Vec<String> = scene.activities().into_iter().map(|(_, cause)| cause).collect();
    assert!(
        causes.iter().any(|cause| cause.contains("out of luck")),
        "{causes:?}"
    );
}

#[test]
fn launches_that_fail_are_told_and_tried_again_less_and_less_often() {
    let mut scene = Scene::new();
    scene.launcher_works = false;
    scene.group(1, 5, 1, json!({}));
    let mut launched = std::collections::BTreeSet::new();
    for _ in 0..100 {
        for id in scene.ids() {
            let failed = SeenInstance {
                run: 1,
                phase: SeenPhase::Failed {
                    why: "bind: address in use".to_owned(),
                },
            };
            let mut seen = scene.caller.observed.seen.lock().unwrap();
            if launched.insert(id.clone()) {
                seen.insert(id, failed);
            } else {
                seen.remove(&id);
            }
        }
        scene.pass(1);
    }
    assert!((4..=9).contains(&launched.len()), "{} launches", launched.len());
    let (status, _) = scene.activities()[0].clone();
    assert_eq!(status, "Failed");
    let answer = scene.ok("DescribeScalingActivities", named(json!({"MaxRecords": 1})));
    assert!(
        answer["Activities"][0]["StatusMessage"]
            .as_str()
            .unwrap()
            .contains("bind: address in use")
    );
    assert!(answer["NextToken"].is_string());
}

#[test]
fn balancers_opinions_count_after_the_grace_period_where_they_are_asked() {
    let mut scene = Scene::new();
    let arn = scene.target_group();
    let more = json!({"TargetGroupARNs": [arn], "HealthCheckType": "ELB", "HealthCheckGracePeriod": 10});
    scene.group(2, 5, 2, more);
    scene.pass(2);
    let id = scene.ids()[0].clone();
    scene
        .caller
        .observed
        .health
        .lock()
        .unwrap()
        .insert(id.clone(), HealthState::Unhealthy);
    scene.pass(5);
    assert!(scene.ids().contains(&id), "it is within its grace period");
    scene.pass(10);
    assert!(!scene.ids().contains(&id));
    assert_eq!(scene.states(), ["InService", "InService"]);
    assert!(
        scene
            .activities()
            .iter()
            .any(|(_, cause)| cause.contains("an ELB system health check failure"))
    );
}

#[test]
fn warm_pools_wait_and_start_faster() {
    let mut scene = Scene::new();
    scene.group(1, 3, 1, json!({}));
    scene.pass(1);
    scene.ok(
        "PutWarmPool",
        named(json!({"PoolState": "Running", "InstanceReusePolicy": {"ReuseOnScaleIn": true}})),
    );
    scene.pass(2);
    let pool = scene.ok("DescribeWarmPool", named(json!({})));
    let states: Vec<&str> = pool["Instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|instance| instance["LifecycleState"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["Warmed:Running"; 2]);
    assert_eq!(scene.described()["WarmPoolSize"], 2);
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 3})));
    assert_eq!(scene.states(), ["InService"; 3], "what is paused goes on at once");
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 1})));
    scene.pass(2);
    assert_eq!(scene.described()["WarmPoolSize"], 2, "they return");
    assert_eq!(scene.fails("DeleteWarmPool", named(json!({}))).0, "ResourceInUse");
    scene.ok("DeleteWarmPool", named(json!({"ForceDelete": true})));
    scene.pass(3);
    assert!(scene.described().get("WarmPoolConfiguration").is_none());
}

#[test]
fn stopped_warm_instances_are_started_anew() {
    let mut scene = Scene::new();
    scene.group(0, 1, 0, json!({}));
    scene.ok("PutWarmPool", named(json!({"MaxGroupPreparedCapacity": 1})));
    scene.pass(3);
    let pool = scene.ok("DescribeWarmPool", named(json!({})));
    assert_eq!(pool["Instances"][0]["LifecycleState"], "Warmed:Stopped");
    let id = pool["Instances"][0]["InstanceId"].as_str().unwrap().to_owned();
    assert_eq!(scene.ec2(&id), "stopped");
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 1})));
    assert_eq!(scene.states(), ["Pending"]);
    scene.pass(2);
    assert_eq!(
        (scene.states(), scene.ids()),
        (vec!["InService".to_owned()], vec![id])
    );
}

#[test]
fn suspended_processes_do_nothing() {
    let mut scene = Scene::new();
    scene.group(0, 5, 1, json!({}));
    scene.pass(1);
    scene.ok(
        "SuspendProcesses",
        named(json!({"ScalingProcesses": ["Launch", "Terminate"]})),
    );
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 3})));
    scene.pass(2);
    assert_eq!(scene.states(), ["InService"]);
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 0})));
    scene.pass(2);
    assert_eq!(scene.states(), ["InService"]);
    scene.ok("ResumeProcesses", named(json!({})));
    scene.pass(2);
    assert_eq!(scene.states(), [""; 0]);
}

#[test]
fn a_deleted_group_goes_with_its_instances() {
    let mut scene = Scene::new();
    scene.group(1, 5, 2, json!({}));
    scene.pass(1);
    assert_eq!(
        scene.fails("DeleteAutoScalingGroup", named(json!({}))).0,
        "ResourceInUse"
    );
    let ids = scene.ids();
    scene.ok("DeleteAutoScalingGroup", named(json!({"ForceDelete": true})));
    assert_eq!(scene.described()["Status"], "Delete in progress");
    scene.pass(3);
    assert_eq!(scene.described(), json!(null));
    assert!(ids.iter().all(|id| scene.ec2(id) == "terminated"));
    assert!(scene.caller.state.region(REGION).activities.is_empty());
}

#[test]
fn topics_are_told_of_what_has_come_to_be() {
    let mut scene = Scene::new();
    scene.group(0, 5, 0, json!({}));
    let topic = "arn:aws:sns:local-1:123456789012:t";
    let kinds = [
        "autoscaling:EC2_INSTANCE_LAUNCH",
        "autoscaling:EC2_INSTANCE_TERMINATE",
    ];
    scene.ok(
        "PutNotificationConfiguration",
        named(json!({"TopicARN": topic, "NotificationTypes": kinds})),
    );
    let hook = json!({"LifecycleHookName": "h", "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
        "NotificationTargetARN": topic, "NotificationMetadata": "m", "HeartbeatTimeout": 30, "DefaultResult": "CONTINUE"});
    scene.ok("PutLifecycleHook", named(hook));
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 1})));
    scene.pass(40);
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 0})));
    scene.pass(5);
    let told: Vec<Value> = scene
        .told
        .lock()
        .unwrap()
        .iter()
        .map(|(to, message)| {
            assert_eq!(to, topic);
            serde_json::from_str(message).unwrap()
        })
        .collect();
    let events: Vec<&Value> = told.iter().map(|message| &message["Event"]).collect();
    assert_eq!(
        events,
        [
            "autoscaling:TEST_NOTIFICATION",
            "",
            "autoscaling:EC2_INSTANCE_LAUNCH",
            "autoscaling:EC2_INSTANCE_TERMINATE"
        ]
        .map(|event| if event.is_empty() {
            json!(null)
        } else {
            json!(event)
        })
        .iter()
        .collect::<Vec<_>>()
    );
    assert_eq!(told[1]["LifecycleHookName"], "h");
    assert_eq!(told[1]["NotificationMetadata"], "m");
    assert!(told[1]["LifecycleActionToken"].is_string());
    assert!(told[2]["EC2InstanceId"].as_str().unwrap().starts_with("i-"));
}
