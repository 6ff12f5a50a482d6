//! Groups that are sized by the backlog of their workers' queue.

use super::*;
use crate::autoscaling::backlogs::{BacklogGroup, FirstReceive, backlog_groups, record_first_receives};
use crate::autoscaling::planning::planned_groups;

fn on(more: &[(&str, &str)]) -> Value {
    let mut tags = vec![("forebay:backlog-queue", "jobs")];
    tags.extend(more);
    tagged(&tags)
}

impl Scene {
    fn found(&self) -> Vec<BacklogGroup> {
        backlog_groups(&self.caller.state, &[], self.caller.now)
    }

    fn order(&mut self, desired: u32) {
        self.ordered(desired, "the backlog had it");
    }
}

#[test]
fn a_group_names_its_queue_and_its_orders_are_carried_out() {
    let mut scene = Scene::new();
    scene.group(
        0,
        5,
        0,
        on(&[("forebay:backlog-latency", "100"), ("forebay:planner", "on")]),
    );
    let group = scene.found().remove(0);
    assert!(
        group.queue_arn.starts_with(&format!("arn:aws:sqs:{REGION}:")) && group.queue_arn.ends_with(":jobs")
    );
    assert_eq!(group.settings.latency, Duration::from_secs(100));
    // It is not sized by requests as well.
    assert!(planned_groups(&scene.caller.state, &[], scene.caller.now).is_empty());
    scene.order(2);
    assert_eq!(
        (scene.desired(), scene.states()),
        (2, vec!["Pending".to_owned(); 2])
    );
    let (_, cause) = scene.activities().remove(0);
    assert!(
        cause.contains("the backlog had it, changing the desired capacity from 0 to 2."),
        "{cause}"
    );
    scene.pass(4);
    let workers = scene.found()[0].workers(scene.caller.now, |_| false);
    assert_eq!((workers.fleet.ready, workers.fleet.pending.len()), (2, 0));
    assert!(
        workers
            .fleet
            .start_up
            .is_some_and(|time| time <= Duration::from_secs(4))
    );
    scene.order(9);
    assert_eq!(scene.desired(), 5);
}

#[test]
fn a_start_up_ends_with_the_first_receive() {
    let mut scene = Scene::new();
    scene.group(0, 5, 2, on(&[("forebay:backlog-start-up-seconds", "20")]));
    scene.pass(4);
    let (ids, now) = (scene.ids(), scene.caller.now);
    // Until a first receive was seen, the configured start-up time applies if it is longer than the measured one of
    // processes.
    let group = scene.found().remove(0);
    assert_eq!(group.workers(now, |_| false).fleet.start_up, None);
    assert_eq!(group.settings.start_up, Duration::from_secs(20));
    // Instances first ask seven seconds after their start, and one has not asked yet.
    let late = Duration::from_secs(7);
    let receive = FirstReceive {
        region: REGION.to_owned(),
        group: "g".to_owned(),
        instance: ids[0].clone(),
        late,
    };
    let caller = &mut scene.caller;
    let known = record_first_receives(&caller.state, &[receive], &caller.observed, now);
    caller.state = known.unwrap();
    let group = scene.found().remove(0);
    let fleet = group.workers(now, |id| id == ids[0]).fleet;
    assert_eq!((fleet.ready, fleet.pending.len()), (1, 1));
    let start_up = fleet.start_up.unwrap();
    assert!(
        start_up >= late && start_up <= late + Duration::from_secs(4),
        "{start_up:?}"
    );
    assert!(fleet.pending[0] <= start_up);
    // After twice that and a second, it counts as ready.
    let fleet = group.workers(now + Duration::from_secs(15), |_| false).fleet;
    assert_eq!((fleet.ready, fleet.pending.len()), (2, 0));
}

#[test]
fn who_is_protected_and_who_may_finish_is_known() {
    let mut scene = Scene::new();
    scene.group(0, 5, 2, on(&[]));
    scene.pass(4);
    let ids = scene.ids();
    let protect = json!({"AutoScalingGroupName": "g", "InstanceIds": [ids[0]], "ProtectedFromScaleIn": true});
    scene.ok("SetInstanceProtection", protect);
    let workers = scene.found()[0].workers(scene.caller.now, |_| false);
    assert_eq!((workers.protected, workers.may_finish), (1, false));
    let hook = json!({
        "AutoScalingGroupName": "g", "LifecycleHookName": "finish", "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
    });
    scene.ok("PutLifecycleHook", hook);
    assert!(scene.found()[0].workers(scene.caller.now, |_| false).may_finish);
    // An instance that protects itself while it works stays; the other leaves.
    scene.order(1);
    scene.pass(4);
    assert_eq!(scene.desired(), 1);
    assert_eq!(scene.ids().first(), ids.first());
}

#[test]
fn a_dry_run_and_a_suspended_process_order_nothing() {
    let mut scene = Scene::new();
    scene.group(0, 5, 0, on(&[("forebay:backlog-mode", "dry-run")]));
    assert!(scene.found()[0].is_dry_run);
    scene.order(2);
    assert_eq!(scene.desired(), 0);
    let mut scene = Scene::new();
    scene.group(0, 5, 0, on(&[]));
    let suspend = json!({"AutoScalingGroupName": "g", "ScalingProcesses": ["AlarmNotification"]});
    scene.ok("SuspendProcesses", suspend);
    assert!(scene.found()[0].is_dry_run);
}

#[test]
fn tags_that_say_nothing_are_refused() {
    let mut scene = Scene::new();
    scene.group(0, 1, 0, json!({}));
    for (key, value, text) in [
        ("forebay:backlog-queue", "http://x/y", "must be a queue's name"),
        (
            "forebay:backlog-latency",
            "5m",
            "must be a number of seconds from 0.1",
        ),
        (
            "forebay:backlog-latncy",
            "5",
            "did you mean 'forebay:backlog-latency'?",
        ),
    ] {
        let tag = json!({"Tags": [{"ResourceId": "g", "ResourceType": "auto-scaling-group", "Key": key, "Value": value}]});
        let (code, message) = scene.fails("CreateOrUpdateTags", tag);
        assert!(code == "ValidationError" && message.contains(text), "{message}");
    }
}
