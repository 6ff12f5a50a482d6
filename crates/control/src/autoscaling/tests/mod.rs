//! Groups in virtual time, with a launcher and a data plane that do what a test says.
//!
//! Read `calls`, `lives` (instances come and go), `policies`, `mixed`, `weights`, `replacing`, `refreshes`, `predictive`,
//! `planning`, `backlogs`, `immediate`, `dialect`, and `walk` (random sequences of events).

mod backlogs;
mod calls;
mod dialect;
mod immediate;
mod lives;
mod mixed;
mod planning;
mod policies;
mod predictive;
mod refreshes;
mod replacing;

mod walk;
mod weights;

use crate::api::context::Tx;
use crate::autoscaling::due::{due, settled_where};
use crate::autoscaling::needs::needs_settling;
use crate::autoscaling::planning::{PlannedCapacity, carry_out};
use crate::autoscaling::records::Group;
use crate::fleet::{Image, SeenInstance, SeenPhase, WantedPhase};
use crate::testing::{Caller, REGION, text};
use crate::{ActionError, Actions, AlarmAction, Notification, Ports, State, apply, tick};
use core::time::Duration;
use forebay_awswire::{ApiError, Service};
use forebay_model::HealthState;
use forebay_units::Wall;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Mutex;

const IMAGE: &str = "ami-0123456789abcdef0";

struct Scene {
    caller: Caller,
    /// Whether instances start and end as they should.
    launcher_works: bool,
    /// Whether targets on running instances pass their health checks.
    targets_pass: bool,
    /// The notifications that topics got.
    told: Told,
}

/// Topics and messages.
#[derive(Default)]
struct Told(Mutex<Vec<(String, String)>>);

impl std::ops::Deref for Told {
    type Target = Mutex<Vec<(String, String)>>;

    fn deref(&self) -> &Mutex<Vec<(String, String)>> {
        &self.0
    }
}

impl Actions for Told {
    fn run(&self, _action: &AlarmAction) -> Result<(), ActionError> {
        Ok(())
    }

    fn tell(&self, topic: &str, notification: &Notification) -> Result<(), ActionError> {
        let told = (topic.to_owned(), notification.message.clone());
        self.lock().unwrap().push(told);
        Ok(())
    }
}

impl Scene {
    /// Carries out a planner's order for the group.
    fn ordered(&mut self, desired: u32, cause: &str) {
        let order = PlannedCapacity {
            region: REGION.to_owned(),
            group: "g".to_owned(),
            desired,
            cause: cause.to_owned(),
        };
        let caller = &mut self.caller;
        if let Some(next) = carry_out(&caller.state, &[order], &caller.observed, caller.now) {
            caller.state = next;
        }
    }

    /// A region with an image that can be booted, and a launch configuration `lc` of it.
    fn new() -> Scene {
        let caller = Caller::new();
        caller.observed.images.lock().unwrap().push(Image {
            id: IMAGE.to_owned(),
            name: "app".to_owned(),
            description: String::new(),
            created: Wall(0),
        });
        let mut scene = Scene {
            caller,
            launcher_works: true,
            targets_pass: true,
            told: Told::default(),
        };
        scene.ok(
            "CreateLaunchConfiguration",
            json!({"LaunchConfigurationName": "lc", "ImageId": IMAGE, "InstanceType": "m5.large"}),
        );
        scene
    }

    fn call(&mut self, operation: &str, input: Value) -> Result<Value, ApiError> {
        self.caller.call_of(Service::AutoScaling, operation, input)
    }

    fn ok(&mut self, operation: &str, input: Value) -> Value {
        self.call(operation, input)
            .unwrap_or_else(|problem| panic!("{operation}: {problem}"))
    }

    /// The code and the message of a call that must fail.
    fn fails(&mut self, operation: &str, input: Value) -> (String, String) {
        let problem = self.call(operation, input).expect_err(operation);
        (problem.code, problem.message)
    }

    /// Creates a group `g` with these bounds in three zones; `more` is added to the call.
    fn group(&mut self, min: u32, max: u32, desired: u32, more: Value) {
        let mut input = json!({
            "AutoScalingGroupName": "g", "LaunchConfigurationName": "lc", "MinSize": min, "MaxSize": max,
            "DesiredCapacity": desired, "VPCZoneIdentifier": self.caller.subnets().join(","),
        });
        for (name, value) in more.as_object().unwrap() {
            input[name] = value.clone();
        }
        self.ok("CreateAutoScalingGroup", input);
    }

    /// Creates a target group of instances behind a listener. Returns its ARN.
    fn target_group(&mut self) -> String {
        let input = json!({"Name": "t", "Protocol": "HTTP", "Port": 80, "VpcId": self.caller.vpc()});
        let made = self.caller.ok("CreateTargetGroup", input);
        let arn = text(&made["TargetGroups"][0]["TargetGroupArn"]);
        let balancer = self.caller.balancer("web");
        self.caller.listener(&balancer, 80, &arn);
        arn
    }

    /// Updates what the launcher and the data plane have seen.
    fn observe(&mut self) {
        let fleet = self.caller.state.fleet();
        let mut seen = self.caller.observed.seen.lock().unwrap();
        if self.launcher_works {
            let wanted: BTreeSet<&str> = fleet
                .iter()
                .filter(|instance| instance.phase != WantedPhase::Gone)
                .map(|instance| &*instance.id)
                .collect();
            seen.retain(|id, _| wanted.contains(&**id));
            for instance in &fleet {
                let phase = match instance.phase {
                    WantedPhase::Running => SeenPhase::Running,
                    WantedPhase::Paused => SeenPhase::Paused,
                    WantedPhase::Stopped => SeenPhase::Stopped { why: String::new() },
                    WantedPhase::Gone => continue,
                };
                let known = seen.get(&instance.id);
                // An instance that has ended stays ended until it is started again.
                let stays = known.is_some_and(|known| {
                    known.run == instance.run
                        && matches!(known.phase, SeenPhase::Stopped { .. } | SeenPhase::Failed { .. })
                });
                if !stays {
                    let run = instance.run;
                    seen.insert(instance.id.clone(), SeenInstance { run, phase });
                }
            }
        }
        drop(seen);
        let mut health = self.caller.observed.health.lock().unwrap();
        for target in self.caller.state.region(REGION).targets.values() {
            let state = if self.targets_pass {
                HealthState::Healthy
            } else {
                HealthState::Initial
            };
            health.entry(target.id.clone()).or_insert(state);
        }
        drop(health);
        let mut in_flight = self.caller.observed.in_flight.lock().unwrap();
        for target in self.caller.state.region(REGION).targets.values() {
            in_flight.entry(target.id.clone()).or_insert(0);
        }
    }

    /// Advances time. What is due is done each second.
    fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds {
            let before = self.caller.now;
            self.caller.now = before + Duration::from_secs(1);
            self.observe();
            let ports = Ports {
                observations: &self.caller.observed,
                datapoints: &self.caller.datapoints,
            };
            let now = self.caller.now;
            self.settles_all_that_needs_it();
            let commands = tick(&self.caller.state, &ports, before, now);
            let next = apply(&self.caller.state, &commands, &ports, &self.told, now);
            self.caller.state = next;
        }
    }

    /// Checks that groups that do not need settling would not change if they were settled.
    fn settles_all_that_needs_it(&self) {
        let (state, now) = (&self.caller.state, self.caller.now);
        let ports = Ports {
            observations: &self.caller.observed,
            datapoints: &self.caller.datapoints,
        };
        let by = |needs: fn(&Tx<'_>, &Group) -> bool| settled_where(state, REGION, &ports, now, needs);
        let (asked, all) = (by(|tx, group| needs_settling(tx, group)), by(|_, _| true));
        let (asked, all) = (asked.as_ref().unwrap_or(state), all.as_ref().unwrap_or(state));
        let left = State::rows_changed(asked, all);
        assert!(left.is_empty(), "something is not settled: {left:?}");
        let due = due(state, &ports, now);
        assert_eq!(due.is_empty(), all == state);
    }

    fn described(&mut self) -> Value {
        let answer = self.ok(
            "DescribeAutoScalingGroups",
            json!({"AutoScalingGroupNames": ["g"]}),
        );
        answer["AutoScalingGroups"][0].clone()
    }

    /// The lifecycle states of the group's instances, sorted.
    fn states(&mut self) -> Vec<String> {
        let mut states: Vec<String> = self.described()["Instances"]
            .as_array()
            .unwrap()
            .iter()
            .map(|instance| text(&instance["LifecycleState"]))
            .collect();
        states.sort();
        states
    }

    fn ids(&mut self) -> Vec<String> {
        let group = self.described();
        let instances = group["Instances"].as_array().unwrap().iter();
        instances.map(|instance| text(&instance["InstanceId"])).collect()
    }

    fn desired(&mut self) -> u64 {
        self.described()["DesiredCapacity"].as_u64().unwrap()
    }

    /// Status and cause of the group's activities, newest first.
    fn activities(&mut self) -> Vec<(String, String)> {
        let answer = self.ok("DescribeScalingActivities", json!({"AutoScalingGroupName": "g"}));
        let activities = answer["Activities"].as_array().unwrap().iter();
        activities
            .map(|activity| (text(&activity["StatusCode"]), text(&activity["Cause"])))
            .collect()
    }

    /// The EC2 state of an instance.
    fn ec2(&mut self, id: &str) -> String {
        let region = self.caller.state.region(REGION);
        region.instances[id].state.clone()
    }

    /// The targets of a group: their ids, and whether they are draining.
    fn targets(&mut self) -> Vec<(String, bool)> {
        let region = self.caller.state.region(REGION);
        let targets = region.targets.values();
        targets
            .map(|target| (target.id.clone(), target.deregistered_at.is_some()))
            .collect()
    }
}

/// The input for creating a group with these tags.
fn tagged(tags: &[(&str, &str)]) -> Value {
    let tags: Vec<Value> = tags
        .iter()
        .map(|(key, value)| json!({"Key": key, "Value": value, "PropagateAtLaunch": false}))
        .collect();
    json!({"Tags": tags})
}

fn named(more: Value) -> Value {
    let mut input = json!({"AutoScalingGroupName": "g"});
    for (name, value) in more.as_object().unwrap() {
        input[name] = value.clone();
    }
    input
}
