//! Replacements that are launched before the old instance leaves.

use super::{IMAGE, Scene, named};
use crate::testing::{REGION, text};
use core::time::Duration;
use forebay_model::HealthState;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Scene {
    /// How many instances are in service in each zone.
    fn zones(&mut self) -> BTreeMap<String, u32> {
        let mut zones = BTreeMap::new();
        for instance in self.described()["Instances"].as_array().unwrap() {
            if instance["LifecycleState"] == "InService" {
                *zones.entry(text(&instance["AvailabilityZone"])).or_default() += 1;
            }
        }
        zones
    }

    fn sick(&mut self, id: &str) {
        let mut health = self.caller.observed.health.lock().unwrap();
        health.insert(id.to_owned(), HealthState::Unhealthy);
    }

    /// Announces that an instance will be interrupted in this many seconds.
    fn notice(&mut self, id: &str, seconds: u64) {
        let at = self.caller.now + Duration::from_secs(seconds);
        let region = self.caller.state.region_mut(REGION);
        let mut instance = (*region.instances[id]).clone();
        instance.interrupted_at = Some(at);
        region.instances.insert(id.to_owned(), Arc::new(instance));
        self.caller.state.grow();
    }

    /// How few instances were in service within this time, and how many there were at most.
    fn watched(&mut self, seconds: u32) -> (usize, usize) {
        let (mut least, mut most) = (usize::MAX, 0);
        for _ in 0..seconds {
            let states = self.states();
            let serving = states.iter().filter(|state| *state == "InService").count();
            (least, most) = (least.min(serving), most.max(states.len()));
            self.pass(1);
        }
        (least, most)
    }

    fn causes(&mut self) -> Vec<String> {
        self.activities().into_iter().map(|(_, cause)| cause).collect()
    }
}

fn zone(letter: char) -> String {
    format!("{REGION}{letter}")
}

/// Creates a group of four in one zone, and then adds a second zone.
fn uneven(scene: &mut Scene) {
    let input = named(
        json!({"LaunchConfigurationName": "lc", "MinSize": 0, "MaxSize": 4, "DesiredCapacity": 4,
        "AvailabilityZones": [zone('a')]}),
    );
    scene.ok("CreateAutoScalingGroup", input);
    scene.pass(2);
    let update = named(json!({"AvailabilityZones": [zone('a'), zone('b')]}));
    scene.ok("UpdateAutoScalingGroup", update);
}

/// In a region with more than three zones, groups use all that they name, and zones in use cannot be removed.
#[test]
fn groups_spread_over_as_many_zones_as_there_are() {
    let mut scene = Scene::new();
    scene.caller.state = scene.caller.state.with_zones(5).unwrap();
    let all: Vec<String> = ('a'..='e').map(zone).collect();
    let input = named(
        json!({"LaunchConfigurationName": "lc", "MinSize": 0, "MaxSize": 5, "DesiredCapacity": 5,
        "AvailabilityZones": all}),
    );
    scene.ok("CreateAutoScalingGroup", input);
    scene.pass(2);
    assert_eq!(scene.zones(), all.iter().map(|zone| (zone.clone(), 1)).collect());
    let told = scene.caller.state.with_zones(4).unwrap_err().to_string();
    assert!(
        told.contains("local-1e has Auto Scaling group g, instance i-"),
        "{told}"
    );
    let beyond = json!({"AutoScalingGroupName": "h", "LaunchConfigurationName": "lc", "MinSize": 0, "MaxSize": 5,
        "AvailabilityZones": [zone('f')]});
    assert!(
        scene
            .fails("CreateAutoScalingGroup", beyond)
            .1
            .contains("local-1f")
    );
}

#[test]
fn zones_are_made_even_and_nothing_is_missing_meanwhile() {
    let mut scene = Scene::new();
    uneven(&mut scene);
    // There may be one more than the maximum.
    let (least, most) = scene.watched(40);
    assert_eq!((least, most), (4, 5));
    let even = BTreeMap::from([(zone('a'), 2), (zone('b'), 2)]);
    assert_eq!(scene.zones(), even);
    let causes = scene.causes();
    let wanted = format!("to balance instances in zone {} with other zones", zone('b'));
    assert_eq!(
        causes.iter().filter(|cause| cause.contains(&wanted)).count(),
        2,
        "{causes:?}"
    );
    let before = scene.ids();
    scene.pass(30);
    assert_eq!(scene.ids(), before, "even zones are left alone");
}

#[test]
fn zones_stay_uneven_while_the_process_is_suspended() {
    let mut scene = Scene::new();
    let input = named(
        json!({"LaunchConfigurationName": "lc", "MinSize": 0, "MaxSize": 4, "DesiredCapacity": 4,
        "AvailabilityZones": [zone('a')]}),
    );
    scene.ok("CreateAutoScalingGroup", input);
    scene.pass(2);
    let process = named(json!({"ScalingProcesses": ["AZRebalance"]}));
    scene.ok("SuspendProcesses", process.clone());
    let update = named(json!({"AvailabilityZones": [zone('a'), zone('b')]}));
    scene.ok("UpdateAutoScalingGroup", update);
    scene.pass(30);
    assert_eq!(scene.zones(), BTreeMap::from([(zone('a'), 4)]));
    scene.ok("ResumeProcesses", process);
    scene.pass(2);
    assert_eq!(scene.zones().len(), 2);
}

#[test]
fn instances_that_are_too_old_are_replaced_one_at_a_time() {
    let day = 86_400;
    for (policy, bounds) in [
        (json!({}), (1, 3)),
        (
            json!({"MinHealthyPercentage": 100, "MaxHealthyPercentage": 150}),
            (2, 3),
        ),
    ] {
        let mut scene = Scene::new();
        let more = json!({"MaxInstanceLifetime": day, "InstanceMaintenancePolicy": policy});
        scene.group(0, 5, 2, more);
        scene.pass(2);
        let before = scene.ids();
        scene.caller.now = scene.caller.now + Duration::from_secs(day - 20);
        scene.pass(2);
        assert_eq!(scene.ids(), before);
        let (least, most) = scene.watched(40);
        assert_eq!((least, most), bounds);
        let after = scene.ids();
        assert!(
            after.len() == 2 && after.iter().all(|id| !before.contains(id)),
            "{after:?}"
        );
        let causes = scene.causes();
        let wanted = "in response to an instance exceeding the maximum instance lifetime";
        assert!(causes.iter().any(|cause| cause.contains(wanted)), "{causes:?}");
        assert_eq!(scene.states().len(), 2);
    }
}

#[test]
fn unhealthy_instances_go_after_their_replacements_have_come_if_the_policy_says_so() {
    for (policy, wanted) in [
        (
            json!({"MinHealthyPercentage": 90, "MaxHealthyPercentage": 120}),
            (1, 3),
        ),
        (
            json!({"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200}),
            (2, 3),
        ),
    ] {
        let mut scene = Scene::new();
        let arn = scene.target_group();
        let more = json!({"TargetGroupARNs": [arn], "HealthCheckType": "ELB", "HealthCheckGracePeriod": 0,
            "InstanceMaintenancePolicy": policy});
        scene.group(0, 5, 2, more);
        scene.pass(3);
        let id = scene.ids()[0].clone();
        scene.sick(&id);
        assert_eq!(scene.watched(12), wanted, "{policy}");
        assert!(!scene.ids().contains(&id));
        assert_eq!(scene.states(), ["InService", "InService"]);
        let causes = scene.causes();
        let wanted = "taken out of service in response to an ELB system health check failure";
        assert!(causes.iter().any(|cause| cause.contains(wanted)), "{causes:?}");
    }
}

/// A group of two Spot Instances.
fn spot(scene: &mut Scene, rebalances: bool) -> Vec<String> {
    let configuration = json!({"LaunchConfigurationName": "spot", "ImageId": IMAGE, "InstanceType": "m5.large",
        "SpotPrice": "1"});
    scene.ok("CreateLaunchConfiguration", configuration);
    let more: Value = json!({"LaunchConfigurationName": "spot", "CapacityRebalance": rebalances});
    scene.group(0, 2, 2, more);
    scene.pass(2);
    scene.ids()
}

#[test]
fn spot_instances_are_replaced_when_they_are_about_to_be_taken_away() {
    let mut scene = Scene::new();
    let ids = spot(&mut scene, true);
    scene.notice(&ids[0], 120);
    assert_eq!(scene.watched(20), (2, 3));
    assert!(!scene.ids().contains(&ids[0]));
    assert_eq!(scene.states(), ["InService", "InService"]);
    let causes = scene.causes();
    let wanted = "launched in response to an EC2 Spot Instance interruption notice";
    assert!(causes.iter().any(|cause| cause.contains(wanted)), "{causes:?}");
}

#[test]
fn spot_instances_are_taken_away_when_their_time_has_come() {
    let mut scene = Scene::new();
    let ids = spot(&mut scene, false);
    scene.notice(&ids[0], 120);
    scene.pass(118);
    assert_eq!(
        (scene.ids(), scene.ec2(&ids[0])),
        (ids.clone(), "running".to_owned())
    );
    scene.pass(5);
    assert_eq!(scene.ec2(&ids[0]), "terminated");
    let causes = scene.causes();
    assert!(
        causes
            .iter()
            .any(|cause| cause.contains("Spot Instance was interrupted")),
        "{causes:?}"
    );
    assert_eq!(scene.states(), ["InService", "InService"]);
}
