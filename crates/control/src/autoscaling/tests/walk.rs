//! Random walks: whatever happens in whatever order, `needs` never misses a group that would change, and all groups
//! come to rest.

use super::{Scene, named};
use crate::autoscaling::records::{Group, Predicted};
use crate::fleet::{SeenInstance, SeenPhase};
use crate::testing::{Caller, REGION};
use core::time::Duration;
use forebay_model::HealthState;
use forebay_units::Wall;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

/// An event. Numbers choose among what exists.
#[derive(Clone, Debug)]
enum Event {
    Call(&'static str, Value),
    /// A call about an instance of the group.
    CallOf(usize, &'static str, Value),
    /// A hook of an instance is completed.
    Completed(usize, &'static str),
    /// An instance's program ends.
    Ends(usize),
    /// An instance cannot be started.
    Fails(usize),
    /// An alarm sets the desired capacity, without settling.
    Alarm(u32),
    /// A policy forecasts a capacity, and may or may not raise the maximum.
    Predicted(u32, Option<u32>),
    /// Launches are delayed, as after a failed launch.
    Backoff,
    /// A target's health.
    Health(usize, HealthState),
    /// The number of requests in flight.
    Flight(usize, u32),
    /// A Spot Instance gets an interruption notice.
    Noticed(usize),
    /// Whether instances start.
    Launcher(bool),
    Passes(u32),
}

fn calls() -> impl Strategy<Value = Event> {
    let process = prop::sample::select(vec![
        "Launch",
        "Terminate",
        "HealthCheck",
        "ReplaceUnhealthy",
        "AZRebalance",
        "AddToLoadBalancer",
        "ScheduledActions",
        "InstanceRefresh",
    ]);
    let suspend = prop::sample::select(vec!["SuspendProcesses", "ResumeProcesses"]);
    prop_oneof![
        4 => (0..6_u32).prop_map(|count| Event::Call("SetDesiredCapacity", json!({"DesiredCapacity": count}))),
        2 => (suspend, process).prop_map(|(name, process)| Event::Call(name, json!({"ScalingProcesses": [process]}))),
        1 => (0..4_u32, any::<bool>(), prop::sample::select(vec!["Stopped", "Running", "Hibernated"])).prop_map(
            |(min, reuse, state)| Event::Call("PutWarmPool", json!({"MinSize": min, "PoolState": state,
                "MaxGroupPreparedCapacity": 4, "InstanceReusePolicy": {"ReuseOnScaleIn": reuse}}))
        ),
        1 => Just(Event::Call("DeleteWarmPool", json!({"ForceDelete": true}))),
        1 => Just(Event::Call("StartInstanceRefresh", json!({"Preferences": {"InstanceWarmup": 3}}))),
        1 => Just(Event::Call("CancelInstanceRefresh", json!({}))),
        1 => prop::sample::select(vec!["LAUNCHING", "TERMINATING"]).prop_map(|when| Event::Call("PutLifecycleHook",
            json!({"LifecycleHookName": when, "LifecycleTransition": format!("autoscaling:EC2_INSTANCE_{when}"),
                "HeartbeatTimeout": 30}))),
        1 => prop::sample::select(vec!["LAUNCHING", "TERMINATING"])
            .prop_map(|when| Event::Call("DeleteLifecycleHook", json!({"LifecycleHookName": when}))),
        1 => (0..6_u32, 1..60_i64).prop_map(|(desired, after)| Event::Call("PutScheduledUpdateGroupAction",
            json!({"ScheduledActionName": "s", "DesiredCapacity": desired, "after": after}))),
        1 => prop::sample::select(vec![
            json!({"MaxInstanceLifetime": 86_400}),
            json!({"CapacityRebalance": true}),
            json!({"InstanceMaintenancePolicy": {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 150}}),
            json!({"HealthCheckType": "ELB", "HealthCheckGracePeriod": 2}),
            json!({"HealthCheckType": "EC2"}),
        ]).prop_map(|given| Event::Call("UpdateAutoScalingGroup", given)),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let one = 0..8_usize;
    let health = prop::sample::select(vec![
        HealthState::Healthy,
        HealthState::Unhealthy,
        HealthState::Initial,
        HealthState::Unused,
    ]);
    prop_oneof![
        6 => calls(),
        6 => prop_oneof![4 => 1..4_u32, 1 => 4..40_u32].prop_map(Event::Passes),
        1 => (one.clone(), prop::sample::select(vec!["CONTINUE", "ABANDON"])).prop_map(|(place, what)| Event::Completed(place, what)),
        1 => one.clone().prop_map(Event::Ends),
        2 => one.clone().prop_map(Event::Fails),
        3 => (0..6_u32).prop_map(Event::Alarm),
        1 => Just(Event::Backoff),
        1 => (0..9_u32, prop::option::of(0..50_u32)).prop_map(|(capacity, buffer)| Event::Predicted(capacity, buffer)),
        2 => (one.clone(), health).prop_map(|(place, health)| Event::Health(place, health)),
        4 => (one.clone(), 0..2_u32).prop_map(|(place, count)| Event::Flight(place, count)),
        1 => one.clone().prop_map(Event::Noticed),
        1 => any::<bool>().prop_map(Event::Launcher),
        2 => (one, prop::sample::select(vec![
            ("TerminateInstanceInAutoScalingGroup", json!({"ShouldDecrementDesiredCapacity": true})),
            ("TerminateInstanceInAutoScalingGroup", json!({"ShouldDecrementDesiredCapacity": false})),
            ("SetInstanceHealth", json!({"HealthStatus": "Unhealthy", "ShouldRespectGracePeriod": false})),
            ("SetInstanceProtection", json!({"ProtectedFromScaleIn": true})),
            ("EnterStandby", json!({"ShouldDecrementDesiredCapacity": true})),
            ("ExitStandby", json!({})),
            ("DetachInstances", json!({"ShouldDecrementDesiredCapacity": false})),
        ])).prop_map(|(place, (name, input))| Event::CallOf(place, name, input)),
    ]
}

/// The id of one of the region's members, if there are any.
fn member(caller: &Caller, place: usize) -> Option<String> {
    let region = caller.state.region(REGION);
    let ids: Vec<&String> = region.members.values().map(|member| &member.id).collect();
    let id = ids.get(place.checked_rem(ids.len())?)?;
    Some((*id).clone())
}

impl Scene {
    fn change_group(&mut self, change: impl FnOnce(&mut Group, Wall)) {
        let region = self.caller.state.region_mut(REGION);
        if let Some(mut group) = region.scaling_groups.get("g").cloned() {
            change(Arc::make_mut(&mut group), self.caller.now);
            region.scaling_groups.insert("g".to_owned(), group);
        }
    }

    /// Makes an event happen. Calls may be refused.
    fn happens(&mut self, event: Event) {
        let id = |scene: &Scene, place: usize| member(&scene.caller, place);
        match event {
            Event::Call(name, mut given) => {
                if let Some(after) = given["after"].as_i64() {
                    given["StartTime"] = json!(self.caller.now.seconds() + after);
                }
                let _ = self.call(name, named(given));
            }
            Event::CallOf(place, name, given) => {
                let Some(id) = id(self, place) else { return };
                let takes_one = matches!(name, "TerminateInstanceInAutoScalingGroup" | "SetInstanceHealth");
                let mut given = if takes_one { given } else { named(given) };
                if takes_one {
                    given["InstanceId"] = json!(id);
                } else {
                    given["InstanceIds"] = json!([id]);
                }
                let _ = self.call(name, given);
            }
            Event::Completed(place, result) => {
                let Some(id) = id(self, place) else { return };
                for hook in ["LAUNCHING", "TERMINATING"] {
                    let given =
                        json!({"LifecycleHookName": hook, "InstanceId": id, "LifecycleActionResult": result});
                    let _ = self.call("CompleteLifecycleAction", named(given));
                }
            }
            Event::Ends(place) => {
                let Some(id) = id(self, place) else { return };
                if let Some(seen) = self.caller.observed.seen.lock().unwrap().get_mut(&id) {
                    seen.phase = SeenPhase::Stopped { why: String::new() };
                }
            }
            Event::Fails(place) => {
                let Some(id) = id(self, place) else { return };
                let region = self.caller.state.region(REGION);
                let run = region.instances.get(&id).map_or(0, |instance| instance.run);
                let phase = SeenPhase::Failed {
                    why: "no room".to_owned(),
                };
                self.caller
                    .observed
                    .seen
                    .lock()
                    .unwrap()
                    .insert(id, SeenInstance { run, phase });
            }
            Event::Alarm(desired) => self.change_group(|group, _| group.desired = desired),
            Event::Predicted(capacity, max_buffer) => self.change_group(|group, from| {
                let predicted = Predicted {
                    from,
                    capacities: vec![capacity],
                    buffer: 0,
                    max_buffer,
                    problem: None,
                };
                group.predicted.insert("p".to_owned(), predicted);
            }),
            Event::Backoff => {
                self.change_group(|group, now| group.not_before = now + Duration::from_secs(20))
            }
            Event::Health(place, state) => {
                let Some(id) = id(self, place) else { return };
                self.caller.observed.health.lock().unwrap().insert(id, state);
            }
            Event::Flight(place, count) => {
                let Some(id) = id(self, place) else { return };
                self.caller.observed.in_flight.lock().unwrap().insert(id, count);
            }
            Event::Noticed(place) => {
                let Some(id) = id(self, place) else { return };
                let now = self.caller.now;
                let region = self.caller.state.region_mut(REGION);
                let Some(mut instance) = region.instances.get(&id).cloned() else {
                    return;
                };
                Arc::make_mut(&mut instance).interrupted_at = Some(Wall(now.0 + 20_000_000));
                region.instances.insert(id, instance);
            }
            Event::Launcher(works) => self.launcher_works = works,
            Event::Passes(seconds) => self.pass(seconds),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_is_left_unsettled(events in prop::collection::vec(events(), 1..50), spot in any::<bool>()) {
        let mut scene = Scene::new();
        let arn = scene.target_group();
        if spot {
            let configuration = json!({"LaunchConfigurationName": "spot", "ImageId": super::IMAGE,
                "InstanceType": "m5.large", "SpotPrice": "1"});
            scene.ok("CreateLaunchConfiguration", configuration);
        }
        let name = if spot { "spot" } else { "lc" };
        scene.group(0, 6, 2, json!({"TargetGroupARNs": [arn], "LaunchConfigurationName": name}));
        for event in events {
            scene.happens(event);
            scene.settles_all_that_needs_it();
        }
        scene.launcher_works = true;
        scene.caller.observed.in_flight.lock().unwrap().clear();
        scene.ok("ResumeProcesses", named(json!({})));
        scene.ok("DeleteAutoScalingGroup", named(json!({"ForceDelete": true})));
        scene.pass(70);
        prop_assert!(scene.caller.state.region(REGION).members.is_empty());
    }
}
