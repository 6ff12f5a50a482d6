//! Instance refreshes in virtual time.

use super::{IMAGE, Scene, named};
use crate::fleet::{SeenInstance, SeenPhase};
use crate::testing::{REGION, text};
use forebay_awswire::Service;
use serde_json::{Value, json};

impl Scene {
    /// Creates a group `g` of `count` instances from the first of two versions of the launch template `shop`.
    fn templated(&mut self, count: u32, more: Value) {
        let data = json!({"ImageId": IMAGE, "InstanceType": "m5.large"});
        let input = json!({"LaunchTemplateName": "shop", "LaunchTemplateData": data});
        self.caller
            .call_of(Service::Ec2, "CreateLaunchTemplate", input.clone())
            .unwrap();
        self.caller
            .call_of(Service::Ec2, "CreateLaunchTemplateVersion", input)
            .unwrap();
        let mut input = named(json!({"MinSize": 0, "MaxSize": 20, "DesiredCapacity": count,
            "VPCZoneIdentifier": self.caller.subnets().join(","), "LaunchTemplate": version("1")}));
        for (name, value) in more.as_object().unwrap() {
            input[name] = value.clone();
        }
        self.ok("CreateAutoScalingGroup", input);
        self.pass(3);
        assert_eq!(self.versions(), vec!["1"; count as usize]);
    }

    /// The launch template versions of the group's instances, sorted, without instances that are leaving.
    fn versions(&mut self) -> Vec<String> {
        let group = self.described();
        let instances = group["Instances"].as_array().unwrap().iter();
        let stay = instances.filter(|instance| !text(&instance["LifecycleState"]).starts_with("Terminating"));
        let mut versions: Vec<String> = stay
            .map(|instance| text(&instance["LaunchTemplate"]["Version"]))
            .collect();
        versions.sort();
        versions
    }

    /// Starts a refresh to the second version.
    fn refresh(&mut self, preferences: Value) -> String {
        let input = named(
            json!({"DesiredConfiguration": {"LaunchTemplate": version("2")}, "Preferences": preferences}),
        );
        text(&self.ok("StartInstanceRefresh", input)["InstanceRefreshId"])
    }

    /// The newest refresh.
    fn newest(&mut self) -> Value {
        self.ok("DescribeInstanceRefreshes", named(json!({})))["InstanceRefreshes"][0].clone()
    }

    fn status(&mut self) -> String {
        text(&self.newest()["Status"])
    }

    /// Advances time until the refresh has a status. Returns how few instances were in service meanwhile, and how many
    /// there were at most.
    fn until(&mut self, status: &str) -> (usize, usize) {
        let (mut least, mut most) = (usize::MAX, 0);
        for _ in 0..2_000 {
            let states = self.states();
            let serving = states.iter().filter(|state| *state == "InService").count();
            let counted = states
                .iter()
                .filter(|state| !state.starts_with("Terminating"))
                .count();
            (least, most) = (least.min(serving), most.max(counted));
            if self.status() == status {
                return (least, most);
            }
            self.pass(1);
        }
        panic!("it never was {status}: {}", self.newest());
    }

    fn alarm(&mut self) {
        let alarm = json!({"AlarmName": "slow", "MetricName": "m", "Namespace": "n", "Period": 60,
            "EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold", "Statistic": "Sum"});
        self.caller
            .call_of(Service::CloudWatch, "PutMetricAlarm", alarm)
            .unwrap();
    }

    fn ring(&mut self) {
        let input = json!({"AlarmName": "slow", "StateValue": "ALARM", "StateReason": "test"});
        self.caller
            .call_of(Service::CloudWatch, "SetAlarmState", input)
            .unwrap();
    }
}

fn version(number: &str) -> Value {
    json!({"LaunchTemplateName": "shop", "Version": number})
}

fn of_version(number: &str, count: usize) -> Vec<String> {
    vec![number.to_owned(); count]
}

#[test]
fn instances_are_replaced_one_after_the_other() {
    let mut scene = Scene::new();
    scene.templated(4, json!({}));
    let id = scene.refresh(json!({}));
    let shown = scene.newest();
    assert_eq!(shown["InstanceRefreshId"], id.as_str());
    assert_eq!(
        (&shown["Status"], &shown["InstancesToUpdate"]),
        (&json!("InProgress"), &json!(4))
    );
    assert_eq!(shown["Preferences"]["MinHealthyPercentage"], 90);
    assert_eq!(
        scene.fails("StartInstanceRefresh", named(json!({}))).0,
        "InstanceRefreshInProgress"
    );
    let (least, most) = scene.until("Successful");
    assert_eq!((least, most), (3, 4));
    assert_eq!(scene.versions(), of_version("2", 4));
    let shown = scene.newest();
    assert_eq!(
        (&shown["PercentageComplete"], &shown["InstancesToUpdate"]),
        (&json!(100), &json!(0))
    );
    assert!(shown["EndTime"].is_number());
    assert_eq!(scene.described()["LaunchTemplate"]["Version"], "2");
    let causes: Vec<String> = scene.activities().into_iter().map(|(_, cause)| cause).collect();
    for what in ["taken out of service", "launched"] {
        let wanted = format!("an instance was {what} in response to an instance refresh.");
        let count = causes.iter().filter(|cause| cause.contains(&wanted)).count();
        assert_eq!(count, 4, "{causes:?}");
    }
    assert_eq!(
        scene.fails("CancelInstanceRefresh", named(json!({}))).0,
        "ActiveInstanceRefreshNotFound"
    );
}

#[test]
fn new_ones_come_before_old_ones_go_if_there_may_be_more() {
    let mut scene = Scene::new();
    let arn = scene.target_group();
    scene.templated(4, json!({"TargetGroupARNs": [arn]}));
    scene.refresh(json!({"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200}));
    assert_eq!(scene.states().len(), 8, "nothing is scaled in for being ahead");
    let (least, most) = scene.until("Successful");
    assert_eq!((least, most), (4, 8));
    scene.pass(3);
    assert_eq!(scene.versions(), of_version("2", 4));
}

#[test]
fn a_group_that_needs_fewer_meanwhile_gets_fewer_and_more_are_of_the_new_kind() {
    let mut scene = Scene::new();
    scene.templated(4, json!({}));
    scene.refresh(json!({"InstanceWarmup": 600}));
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 6})));
    assert_eq!(scene.versions(), ["1", "1", "1", "2", "2", "2"]);
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 2})));
    scene.pass(3);
    assert_eq!(scene.versions().len(), 2);
}

#[test]
fn a_refresh_that_is_cancelled_leaves_things_as_they_are() {
    let mut scene = Scene::new();
    scene.templated(4, json!({}));
    scene.refresh(json!({}));
    scene.ok("CancelInstanceRefresh", named(json!({})));
    assert_eq!(scene.status(), "Cancelling", "one is on its way");
    scene.until("Cancelled");
    scene.pass(10);
    assert_eq!(scene.versions(), ["1", "1", "1", "2"]);
    assert_eq!(scene.described()["LaunchTemplate"]["Version"], "1");
    scene.refresh(json!({}));
    scene.ok(
        "CancelInstanceRefresh",
        named(json!({"WaitForTransitioningInstances": false})),
    );
    assert_eq!(scene.status(), "Cancelled");
}

#[test]
fn a_refresh_is_rolled_back_to_what_was() {
    let mut scene = Scene::new();
    scene.templated(4, json!({}));
    scene.refresh(json!({"InstanceWarmup": 10}));
    scene.pass(14);
    assert_eq!(scene.versions(), ["1", "1", "2", "2"]);
    scene.ok("RollbackInstanceRefresh", named(json!({})));
    assert_eq!(scene.status(), "RollbackInProgress");
    assert_eq!(
        scene.fails("RollbackInstanceRefresh", named(json!({}))).0,
        "ActiveInstanceRefreshNotFound"
    );
    scene.until("RollbackSuccessful");
    assert_eq!(scene.versions(), of_version("1", 4));
    let shown = scene.newest();
    assert_eq!(
        shown["RollbackDetails"]["RollbackReason"],
        "Rollback due to user request."
    );
    assert_eq!(shown["RollbackDetails"]["PercentageCompleteOnRollback"], 100);
    assert_eq!(scene.described()["LaunchTemplate"]["Version"], "1");
    // Without a desired configuration there is nothing to roll back to.
    scene.ok("StartInstanceRefresh", named(json!({})));
    assert_eq!(
        scene.fails("RollbackInstanceRefresh", named(json!({}))).0,
        "IrreversibleInstanceRefresh"
    );
}

#[test]
fn alarms_fail_a_refresh_or_have_it_go_back() {
    for (rolls_back, ends, wanted) in [
        (false, "Failed", ["1", "1", "1", "2"]),
        (true, "RollbackSuccessful", ["1", "1", "1", "1"]),
    ] {
        let mut scene = Scene::new();
        scene.templated(4, json!({}));
        scene.alarm();
        let preferences = json!({"AlarmSpecification": {"Alarms": ["slow"]}, "AutoRollback": rolls_back, "InstanceWarmup": 60});
        scene.refresh(preferences);
        scene.pass(3);
        scene.ring();
        scene.until(ends);
        scene.pass(3);
        assert_eq!(scene.versions(), wanted, "{ends}");
        assert_eq!(scene.described()["LaunchTemplate"]["Version"], "1");
    }
}

#[test]
fn launches_that_fail_have_it_go_back() {
    let mut scene = Scene::new();
    scene.templated(4, json!({}));
    scene.refresh(json!({"AutoRollback": true}));
    let old: Vec<String> = scene.ids();
    let mut failed = std::collections::BTreeSet::new();
    for _ in 0..300 {
        if scene.status() != "InProgress" {
            break;
        }
        scene.launcher_works = false;
        for id in scene.ids() {
            let is_new = scene.caller.state.region(REGION).members.values().any(|member| {
                member.id == id
                    && matches!(
                        &member.origin,
                        crate::autoscaling::records::Origin::Template(_, _, 2)
                    )
            });
            let why = "no such file".to_owned();
            let phase = SeenPhase::Failed { why };
            let mut seen = scene.caller.observed.seen.lock().unwrap();
            if is_new && failed.insert(id.clone()) {
                seen.insert(id, SeenInstance { run: 1, phase });
            }
        }
        scene.caller.observed.seen.lock().unwrap().retain(|id, _| {
            let instances = &scene.caller.state.region(REGION).instances;
            instances
                .get(id)
                .is_some_and(|instance| instance.state != "shutting-down")
        });
        scene.pass(1);
    }
    assert!(failed.len() >= 6, "{}", failed.len());
    scene.launcher_works = true;
    scene.until("RollbackSuccessful");
    assert_eq!(scene.versions(), of_version("1", 4));
    assert!(scene.ids().iter().filter(|id| old.contains(id)).count() >= 3);
}

#[test]
fn what_matches_may_stay() {
    let mut scene = Scene::new();
    scene.templated(2, json!({}));
    let before = scene.ids();
    let desired = |number: &str| json!({"LaunchTemplate": version(number)});
    let input = |number: &str| {
        named(json!({"DesiredConfiguration": desired(number), "Preferences": {"SkipMatching": true}}))
    };
    scene.ok("StartInstanceRefresh", input("1"));
    assert_eq!(
        (scene.status(), scene.ids()),
        ("Successful".to_owned(), before.clone())
    );
    scene.ok("StartInstanceRefresh", input("2"));
    scene.until("Successful");
    assert!(scene.ids().iter().all(|id| !before.contains(id)));
}

#[test]
fn checkpoints_pause_it_and_it_bakes_at_the_end() {
    let mut scene = Scene::new();
    scene.templated(4, json!({}));
    let preferences = json!({"CheckpointPercentages": [50, 100], "CheckpointDelay": 100, "BakeTime": 50,
        "MinHealthyPercentage": 0});
    scene.refresh(preferences);
    scene.pass(50);
    assert_eq!(scene.versions(), ["1", "1", "2", "2"]);
    let shown = scene.newest();
    assert_eq!(shown["PercentageComplete"], 50);
    assert!(
        text(&shown["StatusReason"]).contains("checkpoint at 50 percent"),
        "{shown}"
    );
    scene.pass(80);
    assert_eq!(
        (scene.status(), scene.versions()),
        ("Baking".to_owned(), of_version("2", 4))
    );
    scene.until("Successful");
}

#[test]
fn instances_that_are_protected_or_stand_by_are_waited_for_or_not() {
    for (protected, standby, done) in [
        ("Wait", "Wait", false),
        ("Refresh", "Terminate", true),
        ("Ignore", "Ignore", true),
    ] {
        let mut scene = Scene::new();
        scene.templated(4, json!({}));
        let ids = scene.ids();
        let protect = named(json!({"InstanceIds": [ids[0]], "ProtectedFromScaleIn": true}));
        scene.ok("SetInstanceProtection", protect);
        let enter = named(json!({"InstanceIds": [ids[1]], "ShouldDecrementDesiredCapacity": true}));
        scene.ok("EnterStandby", enter);
        scene.pass(2);
        scene.refresh(json!({"ScaleInProtectedInstances": protected, "StandbyInstances": standby}));
        scene.pass(100);
        assert_eq!(scene.status() == "Successful", done, "{}", scene.newest());
        let stay = scene.ids();
        let wanted = usize::from(protected != "Refresh");
        assert_eq!(stay.iter().filter(|id| **id == ids[0]).count(), wanted);
        assert_eq!(stay.iter().filter(|id| **id == ids[1]).count(), wanted);
        if !done {
            scene.pass(3_700);
            assert_eq!(scene.status(), "Failed", "after an hour");
        }
    }
}

#[test]
fn a_suspended_process_pauses_it() {
    let mut scene = Scene::new();
    scene.templated(2, json!({}));
    let process = named(json!({"ScalingProcesses": ["InstanceRefresh"]}));
    scene.ok("SuspendProcesses", process.clone());
    scene.refresh(json!({}));
    scene.pass(20);
    assert_eq!(
        (scene.status(), scene.versions()),
        ("Pending".to_owned(), of_version("1", 2))
    );
    scene.ok("ResumeProcesses", process);
    scene.until("Successful");
}

#[test]
fn warm_pools_are_filled_anew() {
    let mut scene = Scene::new();
    scene.templated(1, json!({}));
    scene.ok("PutWarmPool", named(json!({"MaxGroupPreparedCapacity": 3})));
    scene.pass(5);
    let pool = |scene: &mut Scene| {
        let answer = scene.ok("DescribeWarmPool", named(json!({})));
        let instances = answer["Instances"].as_array().unwrap().iter();
        let versions = instances.map(|instance| text(&instance["LaunchTemplate"]["Version"]));
        versions.collect::<Vec<String>>()
    };
    assert_eq!(pool(&mut scene), ["1", "1"]);
    scene.refresh(json!({"MinHealthyPercentage": 0}));
    scene.until("Successful");
    scene.pass(5);
    assert_eq!(pool(&mut scene), ["2", "2"]);
}

#[test]
fn preferences_are_checked_and_taken_from_the_maintenance_policy() {
    let mut scene = Scene::new();
    let policy = json!({"MinHealthyPercentage": 80, "MaxHealthyPercentage": 150});
    scene.templated(1, json!({"InstanceMaintenancePolicy": policy}));
    for wrong in [
        json!({"Preferences": {"MaxHealthyPercentage": 120}}),
        json!({"Preferences": {"MinHealthyPercentage": 50, "MaxHealthyPercentage": 160}}),
        json!({"Preferences": {"CheckpointPercentages": [50, 20]}}),
        json!({"Preferences": {"AutoRollback": true}}),
        json!({"DesiredConfiguration": {}}),
        json!({"Strategy": "ReplaceRootVolume"}),
    ] {
        let (code, _) = scene.fails("StartInstanceRefresh", named(wrong.clone()));
        assert_eq!(code, "ValidationError", "{wrong}");
    }
    scene.refresh(json!({}));
    let shown = scene.newest();
    assert_eq!(shown["Preferences"]["MinHealthyPercentage"], 80);
    assert_eq!(shown["Preferences"]["MaxHealthyPercentage"], 150);
}
