//! An instance's weight in its group is also its weight at the load balancer.

use super::{IMAGE, Scene};
use forebay_awswire::Service;
use serde_json::json;

#[test]
fn weights_become_the_targets_weights() {
    let mut scene = Scene::new();
    let arn = scene.target_group();
    let template = json!({"LaunchTemplateName": "large", "LaunchTemplateData": {"ImageId": IMAGE}});
    scene
        .caller
        .call_of(Service::Ec2, "CreateLaunchTemplate", template)
        .unwrap();
    let policy = json!({"LaunchTemplate": {
        "LaunchTemplateSpecification": {"LaunchTemplateName": "large"},
        "Overrides": [{"InstanceType": "m5.xlarge", "WeightedCapacity": "4"}],
    }});
    scene.ok(
        "CreateAutoScalingGroup",
        json!({"AutoScalingGroupName": "g", "MixedInstancesPolicy": policy, "MinSize": 0, "MaxSize": 20, "DesiredCapacity": 6,
            "VPCZoneIdentifier": scene.caller.subnets().join(","), "TargetGroupARNs": [arn]}),
    );
    scene.pass(2);
    assert_eq!(scene.states(), ["InService"; 2], "four and four are at least six");
    let blueprint = scene.caller.state.blueprint();
    let weights: Vec<u32> = blueprint.groups[0]
        .targets
        .iter()
        .map(|target| target.weight)
        .collect();
    assert_eq!(weights, [4, 4]);
}
