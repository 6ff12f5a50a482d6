//! All calls, and what they refuse.

use super::{IMAGE, Scene, named};
use crate::testing::text;
use core::time::Duration;
use forebay_awswire::Service;
use serde_json::{Value, json};

fn names(answer: &Value, list: &str, member: &str) -> Vec<String> {
    let items = answer[list].as_array().unwrap().iter();
    items.map(|item| text(&item[member])).collect()
}

#[test]
fn kinds_are_listed() {
    let mut scene = Scene::new();
    for (operation, list) in [
        ("DescribeAdjustmentTypes", "AdjustmentTypes"),
        (
            "DescribeAutoScalingNotificationTypes",
            "AutoScalingNotificationTypes",
        ),
        ("DescribeLifecycleHookTypes", "LifecycleHookTypes"),
        ("DescribeMetricCollectionTypes", "Metrics"),
        ("DescribeScalingProcessTypes", "Processes"),
        ("DescribeTerminationPolicyTypes", "TerminationPolicyTypes"),
    ] {
        let answer = scene.ok(operation, json!({}));
        assert!(!answer[list].as_array().unwrap().is_empty(), "{operation}");
    }
    assert_eq!(
        scene.ok("DescribeAccountLimits", json!({}))["NumberOfLaunchConfigurations"],
        1
    );
}

#[test]
fn launch_configurations_live_as_long_as_nobody_uses_them() {
    let mut scene = Scene::new();
    let described = scene.ok("DescribeLaunchConfigurations", json!({}));
    assert_eq!(
        names(&described, "LaunchConfigurations", "LaunchConfigurationName"),
        ["lc"]
    );
    let again = json!({"LaunchConfigurationName": "lc", "ImageId": IMAGE, "InstanceType": "m5.large"});
    assert_eq!(scene.fails("CreateLaunchConfiguration", again).0, "AlreadyExists");
    let bare = json!({"LaunchConfigurationName": "bare"});
    assert_eq!(
        scene.fails("CreateLaunchConfiguration", bare).0,
        "ValidationError"
    );
    scene.group(0, 1, 0, json!({}));
    let lc = json!({"LaunchConfigurationName": "lc"});
    assert_eq!(
        scene.fails("DeleteLaunchConfiguration", lc.clone()).0,
        "ResourceInUse"
    );
    scene.ok("DeleteAutoScalingGroup", named(json!({})));
    scene.ok("DeleteLaunchConfiguration", lc.clone());
    assert_eq!(scene.fails("DeleteLaunchConfiguration", lc).0, "ValidationError");
}

#[test]
fn groups_are_refused_that_cannot_be() {
    let mut scene = Scene::new();
    scene.group(0, 1, 0, json!({}));
    let base = json!({"AutoScalingGroupName": "h", "LaunchConfigurationName": "lc", "MinSize": 1, "MaxSize": 3,
        "AvailabilityZones": ["local-1a"]});
    let with = |name: &str, value: Value| {
        let mut input = base.clone();
        input[name] = value;
        input
    };
    for (input, told) in [
        (
            with("LaunchConfigurationName", json!("none")),
            "Launch configuration none not found",
        ),
        (with("MinSize", json!(4)), "Max bound, 3, must be greater"),
        (
            with("DesiredCapacity", json!(4)),
            "Desired capacity:4 must be between",
        ),
        (
            with("AvailabilityZones", json!(["moon-1a"])),
            "Invalid Availability Zone: moon-1a",
        ),
        (
            with("VPCZoneIdentifier", json!("subnet-0")),
            "'subnet-0' does not exist",
        ),
        (with("HealthCheckType", json!("GUESS")), "Health check type GUESS"),
        (
            with("TerminationPolicies", json!(["Guess"])),
            "Termination policy Guess",
        ),
        (
            with("TargetGroupARNs", json!(["arn:x"])),
            "Target Groups may not be valid",
        ),
        (with("MaxInstanceLifetime", json!(60)), "at least 86400"),
        (
            with("LaunchTemplate", json!({"LaunchTemplateName": "t"})),
            "must contain either",
        ),
        (with("InstanceId", json!("i-1")), "must contain either"),
    ] {
        let (code, message) = scene.fails("CreateAutoScalingGroup", input);
        assert_eq!(code, "ValidationError", "{message}");
        assert!(message.contains(told), "{message}");
    }
    let twice =
        json!({"AutoScalingGroupName": "g", "LaunchConfigurationName": "lc", "MinSize": 1, "MaxSize": 3});
    assert_eq!(scene.fails("CreateAutoScalingGroup", twice).0, "AlreadyExists");
    assert!(
        scene
            .fails("UpdateAutoScalingGroup", json!({"AutoScalingGroupName": "h"}))
            .1
            .contains("not found")
    );
}

#[test]
fn sizes_change_and_are_kept_within_their_bounds() {
    let mut scene = Scene::new();
    scene.group(1, 5, 2, json!({}));
    scene.ok("UpdateAutoScalingGroup", named(json!({"MinSize": 3})));
    assert_eq!(scene.desired(), 3);
    scene.ok(
        "UpdateAutoScalingGroup",
        named(json!({"MinSize": 0, "MaxSize": 1, "HealthCheckType": "EC2,ELB"})),
    );
    assert_eq!(scene.desired(), 1);
    let (_, message) = scene.fails("SetDesiredCapacity", named(json!({"DesiredCapacity": 2})));
    assert!(message.contains("above max value 1"), "{message}");
    scene.pass(2);
    let honoured = named(json!({"DesiredCapacity": 0, "HonorCooldown": true}));
    assert_eq!(
        scene.fails("SetDesiredCapacity", honoured).0,
        "ScalingActivityInProgress"
    );
}

#[test]
fn instances_are_attached_detached_set_aside_protected_and_terminated() {
    let mut scene = Scene::new();
    let arn = scene.target_group();
    scene.group(0, 5, 1, json!({"TargetGroupARNs": [arn]}));
    scene.pass(2);
    let own = scene.ids()[0].clone();
    let run =
        json!({"ImageId": "ami-none", "MinCount": 1, "MaxCount": 1, "SubnetId": scene.caller.subnets()[0]});
    let launched = scene.caller.call_of(Service::Ec2, "RunInstances", run).unwrap();
    let other = text(&launched["Instances"][0]["InstanceId"]);
    scene.ok("AttachInstances", named(json!({"InstanceIds": [other]})));
    assert_eq!((scene.desired(), scene.states().len()), (2, 2));
    assert_eq!(
        scene
            .fails("AttachInstances", named(json!({"InstanceIds": [other]})))
            .0,
        "ValidationError"
    );
    let all = scene.ok("DescribeAutoScalingInstances", json!({}));
    assert_eq!(all["AutoScalingInstances"].as_array().unwrap().len(), 2);
    scene.pass(2);

    let aside = named(json!({"InstanceIds": [other], "ShouldDecrementDesiredCapacity": true}));
    let answer = scene.ok("EnterStandby", aside);
    assert_eq!(answer["Activities"][0]["StatusCode"], "InProgress");
    scene.pass(2);
    assert_eq!(
        (scene.desired(), scene.states()),
        (1, vec!["InService".to_owned(), "Standby".to_owned()])
    );
    assert_eq!(scene.targets().len(), 1);
    scene.ok("ExitStandby", named(json!({"InstanceIds": [other]})));
    scene.pass(2);
    assert_eq!((scene.desired(), scene.targets().len()), (2, 2));

    scene.ok(
        "SetInstanceProtection",
        named(json!({"InstanceIds": [own], "ProtectedFromScaleIn": true})),
    );
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 0})));
    scene.pass(3);
    assert_eq!(scene.ids(), std::slice::from_ref(&own), "the protected one stays");
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 1})));

    let detach = named(json!({"InstanceIds": [own], "ShouldDecrementDesiredCapacity": false}));
    scene.ok("DetachInstances", detach);
    scene.pass(3);
    assert_eq!(scene.ec2(&own), "running");
    let second = scene.ids()[0].clone();
    assert_ne!(second, own, "another was launched");

    scene.ok(
        "SetInstanceHealth",
        json!({"InstanceId": second, "HealthStatus": "Unhealthy"}),
    );
    scene.pass(3);
    let third = scene.ids()[0].clone();
    assert_ne!(third, second);
    let away = json!({"InstanceId": third, "ShouldDecrementDesiredCapacity": true});
    let answer = scene.ok("TerminateInstanceInAutoScalingGroup", away.clone());
    assert!(
        answer["Activity"]["Cause"]
            .as_str()
            .unwrap()
            .contains("in response to a user request")
    );
    scene.pass(3);
    assert_eq!((scene.desired(), scene.states().len()), (0, 0));
    assert_eq!(
        scene.fails("TerminateInstanceInAutoScalingGroup", away).0,
        "ValidationError"
    );
}

#[test]
fn traffic_sources_come_and_go() {
    let mut scene = Scene::new();
    let arn = scene.target_group();
    scene.group(1, 5, 1, json!({}));
    scene.pass(2);
    let both = json!({"TargetGroupARNs": [arn]});
    scene.ok("AttachLoadBalancerTargetGroups", named(both.clone()));
    assert_eq!(scene.targets().len(), 1);
    let shown = scene.ok("DescribeLoadBalancerTargetGroups", named(json!({})));
    assert_eq!(
        shown["LoadBalancerTargetGroups"][0]["LoadBalancerTargetGroupARN"],
        arn.as_str()
    );
    scene.ok("DetachLoadBalancerTargetGroups", named(both.clone()));
    scene.pass(2);
    assert_eq!(scene.targets(), []);
    assert_eq!(
        scene.fails("DetachLoadBalancerTargetGroups", named(both)).0,
        "ValidationError"
    );
    let sources = json!({"TrafficSources": [{"Identifier": arn, "Type": "elbv2"}, {"Identifier": "old", "Type": "elb"}]});
    scene.ok("AttachTrafficSources", named(sources.clone()));
    let shown = scene.ok(
        "DescribeTrafficSources",
        named(json!({"TrafficSourceType": "elbv2"})),
    );
    assert_eq!(shown["TrafficSources"].as_array().unwrap().len(), 1);
    let shown = scene.ok("DescribeLoadBalancers", named(json!({})));
    assert_eq!(names(&shown, "LoadBalancers", "LoadBalancerName"), ["old"]);
    scene.ok("DetachTrafficSources", named(sources));
    let classic = json!({"LoadBalancerNames": ["older"]});
    scene.ok("AttachLoadBalancers", named(classic.clone()));
    scene.ok("DetachLoadBalancers", named(classic));
    assert_eq!(scene.described()["LoadBalancerNames"], json!([]));
}

#[test]
fn scheduled_actions_run_at_their_times() {
    let mut scene = Scene::new();
    scene.group(0, 5, 0, json!({}));
    let now = scene.caller.now.seconds();
    let once = json!({"ScheduledActionName": "once", "StartTime": now + 10, "DesiredCapacity": 2});
    scene.ok("PutScheduledUpdateGroupAction", named(once));
    // 1,700,000,000 is 22:13:20 on a Tuesday: the next quarter of an hour is 22:15.
    let again = json!({"ScheduledUpdateGroupActions": [
        {"ScheduledActionName": "again", "Recurrence": "*/15 * * * *", "MinSize": 3, "MaxSize": 4},
        {"ScheduledActionName": "never", "Recurrence": "61 * * * *", "MinSize": 3},
    ]});
    let answer = scene.ok("BatchPutScheduledUpdateGroupAction", named(again));
    assert_eq!(
        names(
            &answer,
            "FailedScheduledUpdateGroupActions",
            "ScheduledActionName"
        ),
        ["never"]
    );
    let shown = scene.ok("DescribeScheduledActions", named(json!({})));
    assert_eq!(
        names(&shown, "ScheduledUpdateGroupActions", "ScheduledActionName"),
        ["again", "once"]
    );
    scene.pass(9);
    assert_eq!(scene.desired(), 0);
    scene.pass(2);
    assert_eq!(scene.desired(), 2);
    scene.pass(90);
    assert_eq!(
        (scene.desired(), scene.described()["MaxSize"].clone()),
        (3, json!(4))
    );
    let (_, cause) = scene.activities()[0].clone();
    assert!(cause.contains("a scheduled action update"), "{cause}");
    let shown = scene.ok("DescribeScheduledActions", named(json!({})));
    assert_eq!(
        names(&shown, "ScheduledUpdateGroupActions", "ScheduledActionName"),
        ["again"]
    );
    let answer = scene.ok(
        "BatchDeleteScheduledAction",
        named(json!({"ScheduledActionNames": ["none"]})),
    );
    assert_eq!(
        answer["FailedScheduledActions"][0]["ErrorCode"],
        "ValidationError"
    );
    scene.ok(
        "DeleteScheduledAction",
        named(json!({"ScheduledActionName": "again"})),
    );
    let past = json!({"ScheduledActionName": "past", "StartTime": now, "DesiredCapacity": 2});
    assert!(
        scene
            .fails("PutScheduledUpdateGroupAction", named(past))
            .1
            .contains("in the past")
    );
}

#[test]
fn tags_metrics_notifications_and_hooks_are_kept() {
    let mut scene = Scene::new();
    let tag = json!({"ResourceId": "g", "ResourceType": "auto-scaling-group", "Key": "team", "Value": "web", "PropagateAtLaunch": true});
    scene.group(1, 5, 1, json!({"Tags": [tag]}));
    scene.pass(1);
    let id = scene.ids()[0].clone();
    let tags = &scene.caller.state.region(crate::testing::REGION).tags[&id];
    assert_eq!(
        (&*tags["team"], &*tags["aws:autoscaling:groupName"]),
        ("web", "g")
    );
    let mut other = tag.clone();
    other["Value"] = json!("api");
    scene.ok("CreateOrUpdateTags", json!({"Tags": [other]}));
    let filter = json!({"Filters": [{"Name": "value", "Values": ["api"]}]});
    assert_eq!(
        names(&scene.ok("DescribeTags", filter.clone()), "Tags", "Key"),
        ["team"]
    );
    let by_tag = json!({"Filters": [{"Name": "tag:team", "Values": ["api"]}]});
    assert_eq!(
        names(
            &scene.ok("DescribeAutoScalingGroups", by_tag),
            "AutoScalingGroups",
            "AutoScalingGroupName"
        ),
        ["g"]
    );
    scene.ok(
        "DeleteTags",
        json!({"Tags": [{"ResourceId": "g", "Key": "team"}]}),
    );
    assert_eq!(scene.ok("DescribeTags", filter)["Tags"], json!([]));

    scene.ok(
        "EnableMetricsCollection",
        named(json!({"Metrics": ["GroupMinSize"], "Granularity": "1Minute"})),
    );
    assert_eq!(scene.described()["EnabledMetrics"][0]["Metric"], "GroupMinSize");
    scene.ok("DisableMetricsCollection", named(json!({})));
    assert_eq!(scene.described()["EnabledMetrics"], json!([]));

    let topic = "arn:aws:sns:local-1:123456789012:t";
    let kinds = json!({"TopicARN": topic, "NotificationTypes": ["autoscaling:EC2_INSTANCE_LAUNCH"]});
    scene.ok("PutNotificationConfiguration", named(kinds));
    let shown = scene.ok("DescribeNotificationConfigurations", json!({}));
    assert_eq!(names(&shown, "NotificationConfigurations", "TopicARN"), [topic]);
    scene.ok(
        "DeleteNotificationConfiguration",
        named(json!({"TopicARN": topic})),
    );

    let hook = json!({"LifecycleHookName": "h", "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING"});
    scene.ok("PutLifecycleHook", named(hook));
    let shown = scene.ok("DescribeLifecycleHooks", named(json!({})));
    assert_eq!(shown["LifecycleHooks"][0]["GlobalTimeout"], 172_800);
    scene.ok("DeleteLifecycleHook", named(json!({"LifecycleHookName": "h"})));
    assert_eq!(
        scene
            .fails("DeleteLifecycleHook", named(json!({"LifecycleHookName": "h"})))
            .0,
        "ValidationError"
    );
}

#[test]
fn a_group_can_be_made_of_an_instance_and_pages_go_on() {
    let mut scene = Scene::new();
    let run = json!({"ImageId": "ami-none", "InstanceType": "c5.large", "MinCount": 1, "MaxCount": 1});
    let launched = scene.caller.call_of(Service::Ec2, "RunInstances", run).unwrap();
    let id = text(&launched["Instances"][0]["InstanceId"]);
    let input = json!({"AutoScalingGroupName": "of-instance", "InstanceId": id, "MinSize": 0, "MaxSize": 1});
    scene.ok("CreateAutoScalingGroup", input);
    scene.group(0, 1, 0, json!({}));
    let first = scene.ok("DescribeAutoScalingGroups", json!({"MaxRecords": 1}));
    assert_eq!(first["AutoScalingGroups"][0]["AutoScalingGroupName"], "g");
    let second = scene.ok(
        "DescribeAutoScalingGroups",
        json!({"MaxRecords": 1, "NextToken": first["NextToken"]}),
    );
    assert_eq!(
        second["AutoScalingGroups"][0]["LaunchConfigurationName"],
        "of-instance"
    );
    assert!(second.get("NextToken").is_none());
    let wrong = json!({"NextToken": "?"});
    assert_eq!(
        scene.fails("DescribeAutoScalingGroups", wrong).0,
        "InvalidNextToken"
    );
    scene.caller.now = scene.caller.now + Duration::from_secs(1);
}

#[test]
fn user_data_is_refused_where_anybody_may_call() {
    let mut scene = Scene::new();
    *scene.caller.observed.refuses_user_data.lock().unwrap() =
        Some("user data is refused: --no-auth".to_owned());
    let with_data = json!({"LaunchConfigurationName": "data", "ImageId": IMAGE, "InstanceType": "m5.large", "UserData": "IyEvYmluL3No"});
    scene.ok("CreateLaunchConfiguration", with_data);
    scene.group(1, 1, 1, json!({"LaunchConfigurationName": "data"}));
    let answer = scene.ok("DescribeScalingActivities", named(json!({})));
    let activity = &answer["Activities"][0];
    assert_eq!(activity["StatusCode"], "Failed");
    assert!(activity["StatusMessage"].as_str().unwrap().contains("--no-auth"));
}
