//! Mixed instances policies: which shapes are launched, by price, capacity and weight.

use super::{IMAGE, Scene, named};
use crate::fleet::Shape;
use crate::testing::{REGION, text};
use forebay_awswire::Service;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A shape with these processors and GiB, on-demand and Spot prices, and unlimited capacity.
fn shape(name: &str, vcpus: u32, memory_gib: u32, on_demand: f64, spot: f64) -> Shape {
    Shape {
        name: name.to_owned(),
        vcpus,
        memory_mib: memory_gib * 1024,
        architecture: "x86_64".to_owned(),
        on_demand_price: on_demand,
        spot_price: Some(spot),
        on_demand_capacity: BTreeMap::new(),
        spot_capacity: BTreeMap::new(),
        interruption_rate: 0.0,
    }
}

/// Capacity in the one zone of these tests.
fn room(count: u32) -> BTreeMap<String, u32> {
    BTreeMap::from([(format!("{REGION}a"), count)])
}

impl Scene {
    /// A region in which these shapes are declared, with a launch template `shop` that names none of them.
    fn with_shapes(shapes: Vec<Shape>) -> Scene {
        let mut scene = Scene::new();
        scene.declare(shapes);
        let data = json!({"LaunchTemplateName": "shop", "LaunchTemplateData": {"ImageId": IMAGE}});
        scene
            .caller
            .call_of(Service::Ec2, "CreateLaunchTemplate", data)
            .unwrap();
        scene
    }

    fn declare(&self, shapes: Vec<Shape>) {
        *self.caller.observed.shapes.lock().unwrap() = shapes;
    }

    /// Creates a group `g` in one zone with these overrides and this distribution.
    fn mixed(&mut self, desired: u32, overrides: Value, distribution: Value, more: Value) {
        let policy = json!({
            "LaunchTemplate": {"LaunchTemplateSpecification": {"LaunchTemplateName": "shop"}, "Overrides": overrides},
            "InstancesDistribution": distribution,
        });
        let mut input = named(
            json!({"MinSize": 0, "MaxSize": 100_000, "DesiredCapacity": desired,
            "AvailabilityZones": [format!("{REGION}a")], "MixedInstancesPolicy": policy}),
        );
        for (name, value) in more.as_object().unwrap() {
            input[name] = value.clone();
        }
        self.ok("CreateAutoScalingGroup", input);
        self.pass(2);
    }

    /// How many instances there are of each shape; Spot Instances have `spot` before the name.
    fn shapes(&mut self) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for id in self.ids() {
            let instance = self.caller.state.region(REGION).instances[&id].clone();
            let kind = if instance.is_spot { "spot " } else { "" };
            *counts
                .entry(format!("{kind}{}", instance.instance_type))
                .or_default() += 1;
        }
        counts
    }

    /// The status message of the newest activity.
    fn failure(&mut self) -> String {
        let answer = self.ok("DescribeScalingActivities", named(json!({})));
        let newest = &answer["Activities"][0];
        assert_eq!(newest["StatusCode"], "Failed", "{newest}");
        text(&newest["StatusMessage"])
    }
}

fn counts(wanted: &[(&str, u32)]) -> BTreeMap<String, u32> {
    wanted
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

fn types(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"InstanceType": name})).collect()
}

/// Three shapes with the same price per processor.
fn three() -> Vec<Shape> {
    vec![
        shape("c6i.large", 2, 4, 2.0, 1.0),
        shape("c6i.xlarge", 4, 8, 4.0, 1.5),
        shape("c6i.2xlarge", 8, 16, 8.0, 4.0),
    ]
}

#[test]
fn weights_overshoot_by_less_than_the_largest() {
    let mut scene = Scene::with_shapes(three());
    let overrides = json!([
        {"InstanceType": "c6i.2xlarge", "WeightedCapacity": "4"},
        {"InstanceType": "c6i.large", "WeightedCapacity": "1"},
    ]);
    scene.mixed(10, overrides, json!({}), json!({}));
    assert_eq!(scene.shapes(), counts(&[("c6i.2xlarge", 3)]), "12 of 10");
    let group = scene.described();
    assert_eq!(group["Instances"][0]["WeightedCapacity"], "4");
    // An instance that would leave too little capacity stays.
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 9})));
    scene.pass(3);
    assert_eq!(scene.shapes(), counts(&[("c6i.2xlarge", 3)]));
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 8})));
    scene.pass(3);
    assert_eq!(scene.shapes(), counts(&[("c6i.2xlarge", 2)]));
}

#[test]
fn the_base_is_on_demand_and_so_is_a_share_of_the_rest() {
    let mut scene = Scene::with_shapes(three());
    let distribution = json!({"OnDemandBaseCapacity": 2, "OnDemandPercentageAboveBaseCapacity": 25});
    scene.mixed(10, types(&["c6i.large"]), distribution, json!({}));
    let wanted = counts(&[("c6i.large", 4), ("spot c6i.large", 6)]);
    assert_eq!(scene.shapes(), wanted);
}

#[test]
fn capacity_optimized_takes_the_deepest_pool() {
    let mut shapes = three();
    for (shape, count) in shapes.iter_mut().zip([2, 9, 5]) {
        shape.spot_capacity = room(count);
    }
    let mut scene = Scene::with_shapes(shapes);
    let distribution =
        json!({"OnDemandPercentageAboveBaseCapacity": 0, "SpotAllocationStrategy": "capacity-optimized"});
    let names = types(&["c6i.large", "c6i.xlarge", "c6i.2xlarge"]);
    scene.mixed(4, names, distribution, json!({}));
    assert_eq!(scene.shapes(), counts(&[("spot c6i.xlarge", 4)]));
    // Five are left of each: then they alternate.
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 10})));
    scene.pass(2);
    let wanted = counts(&[("spot c6i.xlarge", 7), ("spot c6i.2xlarge", 3)]);
    assert_eq!(scene.shapes(), wanted);
}

#[test]
fn price_capacity_optimized_takes_the_cheapest_of_the_deep_pools() {
    let mut shapes = three();
    for (shape, count) in shapes.iter_mut().zip([3, 20, 16]) {
        shape.spot_capacity = room(count);
    }
    let mut scene = Scene::with_shapes(shapes);
    let distribution = json!({"OnDemandPercentageAboveBaseCapacity": 0, "SpotAllocationStrategy": "price-capacity-optimized"});
    let names = types(&["c6i.large", "c6i.xlarge", "c6i.2xlarge"]);
    scene.mixed(2, names, distribution, json!({}));
    // The cheapest of all has little capacity.
    assert_eq!(scene.shapes(), counts(&[("spot c6i.xlarge", 2)]));
}

#[test]
fn lowest_price_spreads_over_the_cheapest_pools_and_goes_on_where_there_is_room() {
    let mut shapes = three();
    shapes[0].spot_capacity = room(3);
    let mut scene = Scene::with_shapes(shapes);
    let distribution = json!({"OnDemandPercentageAboveBaseCapacity": 0, "SpotInstancePools": 2});
    let names = types(&["c6i.2xlarge", "c6i.xlarge", "c6i.large"]);
    scene.mixed(4, names, distribution, json!({}));
    let wanted = counts(&[("spot c6i.large", 2), ("spot c6i.xlarge", 2)]);
    assert_eq!(scene.shapes(), wanted);
    // A pool is full: the next cheapest takes over.
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 9})));
    scene.pass(2);
    let wanted = counts(&[
        ("spot c6i.large", 3),
        ("spot c6i.xlarge", 3),
        ("spot c6i.2xlarge", 3),
    ]);
    assert_eq!(scene.shapes(), wanted);
}

#[test]
fn attributes_choose_among_declared_shapes() {
    let mut scene = Scene::with_shapes(vec![
        shape("c6i.large", 2, 1, 1.0, 1.0),
        shape("m6i.large", 2, 8, 2.4, 1.0),
        shape("m6i.xlarge", 4, 16, 2.2, 1.0),
        shape("m6i.2xlarge", 8, 32, 2.0, 1.0),
    ]);
    let needs =
        json!([{"InstanceRequirements": {"VCpuCount": {"Min": 2, "Max": 4}, "MemoryMiB": {"Min": 2048}}}]);
    scene.mixed(3, needs, json!({}), json!({}));
    // The cheapest of those with 2 to 4 vCPUs and at least 2 GiB.
    assert_eq!(scene.shapes(), counts(&[("m6i.xlarge", 3)]));
    let policy = &scene.described()["MixedInstancesPolicy"];
    assert_eq!(
        policy["InstancesDistribution"]["OnDemandAllocationStrategy"],
        "lowest-price"
    );
    // A shape that is declared later is considered at the next launch.
    scene.declare(vec![shape("m7i.large", 2, 8, 2.1, 1.0)]);
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 4})));
    scene.pass(2);
    let wanted = counts(&[("m6i.xlarge", 3), ("m7i.large", 1)]);
    assert_eq!(scene.shapes(), wanted);
}

#[test]
fn capacity_may_be_counted_in_processors_or_memory() {
    let needs = json!([{"InstanceRequirements": {"VCpuCount": {"Min": 4}, "MemoryMiB": {"Min": 2048}}}]);
    for (kind, desired, wanted) in [("vcpu", 10, 3), ("memory-mib", 16_385, 3)] {
        let mut scene = Scene::with_shapes(vec![shape("m6i.xlarge", 4, 8, 2.0, 1.0)]);
        let more = json!({ "DesiredCapacityType": kind });
        scene.mixed(desired, needs.clone(), json!({}), more);
        assert_eq!(scene.shapes(), counts(&[("m6i.xlarge", wanted)]), "{kind}");
    }
}

#[test]
fn orders_of_priority_need_names() {
    let mut scene = Scene::with_shapes(three());
    let needs = json!([{"InstanceRequirements": {"VCpuCount": {"Min": 2}, "MemoryMiB": {"Min": 2048}}}]);
    let policy = json!({
        "LaunchTemplate": {"LaunchTemplateSpecification": {"LaunchTemplateName": "shop"}, "Overrides": needs},
        "InstancesDistribution": {"OnDemandAllocationStrategy": "prioritized"},
    });
    let input = named(
        json!({"MinSize": 0, "MaxSize": 1, "AvailabilityZones": [format!("{REGION}a")],
        "MixedInstancesPolicy": policy}),
    );
    assert_eq!(scene.fails("CreateAutoScalingGroup", input).0, "ValidationError");
}

#[test]
fn shapes_that_are_not_declared_are_told() {
    let mut scene = Scene::with_shapes(three());
    scene.mixed(1, types(&["c7i.large"]), json!({}), json!({}));
    let why = scene.failure();
    let wanted =
        "The instance type c7i.large is not declared; declared are c6i.large, c6i.xlarge, c6i.2xlarge.";
    assert!(why.contains(wanted), "{why}");
    let mut shapes = three();
    shapes.push(shape("c7i.large", 2, 4, 2.0, 1.0));
    scene.declare(shapes);
    scene.pass(10);
    assert_eq!(scene.shapes(), counts(&[("c7i.large", 1)]));
}

#[test]
fn full_pools_are_told_and_tried_again() {
    let mut shapes = three();
    shapes[0].on_demand_capacity = room(1);
    let mut scene = Scene::with_shapes(shapes.clone());
    scene.mixed(2, types(&["c6i.large"]), json!({}), json!({}));
    assert_eq!(scene.shapes(), counts(&[("c6i.large", 1)]));
    let why = scene.failure();
    let wanted = format!("There is no capacity left for c6i.large in zone {REGION}a.");
    assert!(why.contains(&wanted), "{why}");
    shapes[0].on_demand_capacity = room(2);
    scene.declare(shapes);
    scene.pass(10);
    assert_eq!(scene.shapes(), counts(&[("c6i.large", 2)]));
}

#[test]
fn without_declared_shapes_names_are_taken_as_they_are() {
    let mut scene = Scene::with_shapes(Vec::new());
    let distribution = json!({"OnDemandBaseCapacity": 1, "OnDemandPercentageAboveBaseCapacity": 0});
    scene.mixed(2, types(&["x9.tremendous"]), distribution, json!({}));
    let wanted = counts(&[("x9.tremendous", 1), ("spot x9.tremendous", 1)]);
    assert_eq!(scene.shapes(), wanted);
}

#[test]
fn an_override_may_have_its_own_image_and_template() {
    let mut scene = Scene::with_shapes(three());
    let data =
        json!({"LaunchTemplateName": "other", "LaunchTemplateData": {"ImageId": IMAGE, "KeyName": "other"}});
    scene
        .caller
        .call_of(Service::Ec2, "CreateLaunchTemplate", data)
        .unwrap();
    let overrides = json!([{"InstanceType": "c6i.large", "ImageId": "ami-0fedcba9876543210",
        "LaunchTemplateSpecification": {"LaunchTemplateName": "other"}}]);
    scene.mixed(1, overrides, json!({}), json!({}));
    let instance = scene.described()["Instances"][0].clone();
    assert_eq!(instance["ImageId"], "ami-0fedcba9876543210");
    assert_eq!(instance["LaunchTemplate"]["LaunchTemplateName"], "other");
}

#[test]
fn what_the_strategy_would_not_have_goes_first() {
    let mut shapes = three();
    shapes[0].spot_capacity = room(1);
    let mut scene = Scene::with_shapes(shapes.clone());
    let distribution = json!({"OnDemandPercentageAboveBaseCapacity": 0, "SpotInstancePools": 1});
    let names = types(&["c6i.large", "c6i.xlarge"]);
    scene.mixed(
        3,
        names,
        distribution,
        json!({"TerminationPolicies": ["AllocationStrategy"]}),
    );
    let wanted = counts(&[("spot c6i.large", 1), ("spot c6i.xlarge", 2)]);
    assert_eq!(scene.shapes(), wanted);
    // The cheapest has capacity now: the others are surplus.
    shapes[0].spot_capacity = room(9);
    scene.declare(shapes);
    scene.ok("SetDesiredCapacity", named(json!({"DesiredCapacity": 1})));
    scene.pass(3);
    assert_eq!(scene.shapes(), counts(&[("spot c6i.large", 1)]));
}

#[test]
fn zones_stay_even_if_the_group_says_so() {
    let mut shapes = three();
    shapes[0].on_demand_capacity = room(9);
    let zones = json!({"AvailabilityZones": [format!("{REGION}a"), format!("{REGION}b")]});
    let mut scene = Scene::with_shapes(shapes.clone());
    scene.mixed(4, types(&["c6i.large"]), json!({}), zones.clone());
    assert_eq!(scene.ids().len(), 4, "one zone takes what the other cannot");
    let mut scene = Scene::with_shapes(shapes);
    let mut more = zones;
    more["AvailabilityZoneDistribution"] = json!({"CapacityDistributionStrategy": "balanced-only"});
    scene.mixed(4, types(&["c6i.large"]), json!({}), more);
    assert_eq!(scene.ids().len(), 1);
}
