//! LaunchInstances.

use super::{Scene, named};
use crate::testing::REGION;
use serde_json::{Value, json};

fn launch(token: &str, count: u32, more: Value) -> Value {
    let mut input = named(json!({"ClientToken": token, "RequestedCapacity": count}));
    for (name, value) in more.as_object().unwrap() {
        input[name] = value.clone();
    }
    input
}

#[test]
fn instances_are_launched_where_they_are_wanted_and_once() {
    let mut scene = Scene::new();
    scene.group(0, 5, 1, json!({}));
    let subnet = scene.caller.subnets()[1].clone();
    let zone = scene.caller.state.region(REGION).subnets[&subnet].zone.clone();
    for (token, place) in [
        ("a", json!({"SubnetIds": [subnet]})),
        ("b", json!({"AvailabilityZones": [zone]})),
    ] {
        let input = launch(token, 1, place);
        let answer = scene.ok("LaunchInstances", input.clone());
        assert_eq!(answer["Instances"].as_array().unwrap().len(), 1, "{answer}");
        let launched = &answer["Instances"][0];
        assert_eq!(
            (&launched["SubnetId"], &launched["AvailabilityZone"]),
            (&json!(subnet), &json!(zone))
        );
        assert_eq!(launched["MarketType"], "on-demand");
        assert_eq!(scene.ok("LaunchInstances", input), answer, "it is the same call");
    }
    scene.ok("LaunchInstances", launch("c", 2, json!({})));
    scene.pass(2);
    assert_eq!((scene.desired(), scene.states().len()), (5, 5));
    for (wrong, code) in [
        (launch("a", 1, json!({})), "IdempotentParameterMismatch"),
        (launch("d", 1, json!({})), "ValidationError"),
        (
            launch("d", 1, json!({"SubnetIds": ["subnet-0"]})),
            "ValidationError",
        ),
        (
            launch(
                "d",
                1,
                json!({"SubnetIds": [subnet], "AvailabilityZones": [zone]}),
            ),
            "ValidationError",
        ),
    ] {
        assert_eq!(scene.fails("LaunchInstances", wrong.clone()).0, code, "{wrong}");
    }
}

#[test]
fn what_could_not_be_launched_is_told_and_tried_again_if_that_is_wanted() {
    for (retry, desired) in [("none", 0), ("retry-with-group-configuration", 1)] {
        let mut scene = Scene::new();
        let mut input = named(json!({"LaunchConfigurationName": "lc", "MinSize": 0, "MaxSize": 5}));
        input["AvailabilityZones"] = json!([format!("{REGION}a")]);
        scene.ok("CreateAutoScalingGroup", input);
        let region = scene.caller.state.region_mut(REGION);
        region.launch_configurations.remove("lc");
        scene.caller.state.grow();
        let answer = scene.ok(
            "LaunchInstances",
            launch("a", 1, json!({ "RetryStrategy": retry })),
        );
        assert_eq!(answer["Instances"], json!([]));
        let message = answer["Errors"][0]["ErrorMessage"].as_str().unwrap();
        assert!(message.contains("lc not found"), "{message}");
        assert_eq!(scene.desired(), desired, "{retry}");
    }
}
