//! What moto's test suites expect and AWS does not do: only under the moto dialect.

use super::{Scene, named};
use crate::state::Dialect;
use forebay_awswire::Service;
use serde_json::{Value, json};
use std::collections::BTreeMap;

impl Scene {
    fn moto() -> Scene {
        let mut scene = Scene::new();
        scene.caller.state = scene.caller.state.configured(Dialect::Moto, BTreeMap::new());
        scene
    }

    fn ec2_call(&mut self, operation: &str, input: Value) -> Value {
        self.caller
            .call_of(Service::Ec2, operation, input)
            .unwrap_or_else(|problem| panic!("{operation}: {problem}"))
    }
}

#[test]
fn an_update_may_leave_the_bounds() {
    let update = named(json!({"DesiredCapacity": 3}));
    let mut scene = Scene::new();
    scene.group(2, 2, 2, json!({}));
    assert_eq!(
        scene.fails("UpdateAutoScalingGroup", update.clone()).0,
        "ValidationError"
    );
    let mut scene = Scene::moto();
    scene.group(2, 2, 2, json!({}));
    scene.ok("UpdateAutoScalingGroup", update);
    assert_eq!((scene.desired(), scene.ids().len()), (3, 3));
}

#[test]
fn groups_with_instances_that_calls_may_not_terminate_stay() {
    let mut scene = Scene::moto();
    scene.group(1, 1, 1, json!({}));
    scene.pass(1);
    let id = scene.ids()[0].clone();
    let attribute = json!({"InstanceId": id, "DisableApiTermination": {"Value": true}});
    scene.ec2_call("ModifyInstanceAttribute", attribute);
    let delete = named(json!({"ForceDelete": true}));
    assert_eq!(
        scene.fails("DeleteAutoScalingGroup", delete.clone()).0,
        "OperationNotPermitted"
    );
    // On AWS the group terminates them all the same.
    scene.caller.state = scene.caller.state.configured(Dialect::Aws, BTreeMap::new());
    scene.ok("DeleteAutoScalingGroup", delete);
    scene.pass(3);
    assert_eq!(scene.ec2(&id), "terminated");
}

#[test]
fn warm_pools_stay_empty_and_are_shown_as_put() {
    let mut scene = Scene::moto();
    scene.group(0, 2, 0, json!({}));
    scene.ok("PutWarmPool", named(json!({"MinSize": 2})));
    scene.pass(2);
    let pool = scene.ok("DescribeWarmPool", named(json!({})));
    let configuration = json!({"MinSize": 2, "PoolState": "Stopped"});
    assert_eq!(
        pool,
        json!({"Instances": [], "WarmPoolConfiguration": configuration})
    );
    scene.ok("DeleteWarmPool", named(json!({})));
    let pool = scene.ok("DescribeWarmPool", named(json!({})));
    assert_eq!(pool, json!({"Instances": []}));
}

#[test]
fn instances_have_the_volumes_that_they_would_have() {
    let launch = json!({"ImageId": "ami-1", "InstanceType": "m5.large", "MinCount": 1, "MaxCount": 1,
        "BlockDeviceMappings": [{"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3"}}]});
    for (mut scene, wanted) in [
        (Scene::moto(), json!([["gp2", 8], ["gp3", 20]])),
        (Scene::new(), json!([])),
    ] {
        scene.ec2_call("RunInstances", launch.clone());
        let answer = scene.ec2_call("DescribeVolumes", json!({}));
        let volumes = answer["Volumes"].as_array().unwrap().iter();
        let shown: Vec<Value> = volumes
            .map(|volume| json!([volume["VolumeType"], volume["Size"]]))
            .collect();
        assert_eq!(json!(shown), wanted);
    }
}

#[test]
fn what_a_call_to_ec2_has_ended_is_replaced_at_once() {
    let mut scene = Scene::new();
    scene.group(1, 1, 1, json!({}));
    scene.pass(1);
    let id = scene.ids()[0].clone();
    scene.ec2_call("TerminateInstances", json!({"InstanceIds": [id]}));
    let ids = scene.ids();
    assert_eq!(
        (ids.len(), scene.states()),
        (2, vec!["Pending".to_owned(), "Terminating:Proceed".to_owned()])
    );
    scene.pass(2);
    assert!(!scene.ids().contains(&id));
}
