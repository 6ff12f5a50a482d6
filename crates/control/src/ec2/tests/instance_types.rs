//! Instance types, with and without declared shapes.

use super::{call, code};
use crate::api::context::{Request, View};
use crate::ec2::instance_types::{describe, describe_offerings, describe_spot_prices, from_requirements};
use crate::fleet::Shape;
use crate::testing::{Caller, REGION, text};
use crate::{Observations, State};
use forebay_awswire::{ApiError, Service, left_out};
use forebay_model::TargetHealth;
use forebay_units::Wall;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A small cloud: one shape in all zones, one expensive shape in a single zone, and one of another architecture without
/// Spot Instances.
struct Declared;

impl Observations for Declared {
    fn target_health(&self, _group_arn: &str, _target_id: &str, _port: u16) -> Option<TargetHealth> {
        None
    }

    fn shapes(&self) -> Vec<Shape> {
        let shape = |name: &str, on_demand_price| Shape {
            name: name.to_owned(),
            vcpus: 2,
            memory_mib: 4096,
            architecture: "x86_64".to_owned(),
            on_demand_price,
            spot_price: Some(on_demand_price / 4.0),
            on_demand_capacity: BTreeMap::new(),
            spot_capacity: BTreeMap::new(),
            interruption_rate: 0.05,
        };
        let only_b = BTreeMap::from([(format!("{REGION}b"), 3)]);
        vec![
            shape("c6i.large", 1.0),
            Shape {
                on_demand_capacity: only_b.clone(),
                spot_capacity: only_b,
                ..shape("x2.metal", 9.0)
            },
            Shape {
                architecture: "arm64".to_owned(),
                spot_price: None,
                ..shape("c6g.large", 1.0)
            },
        ]
    }
}

fn declared(run: fn(&View<'_>) -> Result<Value, ApiError>, operation: &str, input: Value) -> Value {
    let request = Request {
        service: Service::Ec2,
        operation,
        region: REGION,
        account: "123456789012",
        input,
        now: Wall::from_seconds(1_700_000_000),
        caller: "AKID",
        endpoint: "",
        instance: None,
        is_proven: false,
        request_id: "",
    };
    let state = State::new(REGION, "127.64.0.0/10".parse().unwrap());
    let answer = run(&View::new(&request, &Declared, &state)).unwrap();
    assert_eq!(left_out(Service::Ec2, operation, &answer), Vec::<String>::new());
    answer
}

fn column(list: &Value, members: &[&str]) -> Vec<String> {
    let row = |item: &Value| {
        let cells: Vec<String> = members.iter().map(|member| text(&item[*member])).collect();
        cells.join(" ")
    };
    list.as_array().unwrap().iter().map(row).collect()
}

#[test]
fn declared_shapes_are_the_instance_types() {
    let all = declared(describe, "DescribeInstanceTypes", json!({}));
    let types = &all["InstanceTypes"];
    assert_eq!(
        column(types, &["InstanceType"]),
        ["c6g.large", "c6i.large", "x2.metal"]
    );
    assert_eq!(types[0]["SupportedUsageClasses"], json!(["on-demand"]));
    assert_eq!(
        types[0]["ProcessorInfo"]["SupportedArchitectures"],
        json!(["arm64"])
    );
    assert_eq!(types[1]["SupportedUsageClasses"], json!(["on-demand", "spot"]));
    assert_eq!(types[1]["MemoryInfo"]["SizeInMiB"], 4096);
    assert_eq!(types[1]["BareMetal"], false);
    assert_eq!(types[2]["BareMetal"], true);
}

#[test]
fn offerings_are_where_there_is_room() {
    let offered = |input: Value| {
        let answer = declared(describe_offerings, "DescribeInstanceTypeOfferings", input);
        column(&answer["InstanceTypeOfferings"], &["InstanceType", "Location"])
    };
    assert_eq!(
        offered(json!({})),
        ["c6g.large local-1", "c6i.large local-1", "x2.metal local-1"]
    );
    let zones = offered(json!({"LocationType": "availability-zone"}));
    assert_eq!(zones.len(), 7);
    assert_eq!(zones.last().unwrap(), "x2.metal local-1b");
    let filter = json!([{"Name": "instance-type", "Values": ["x2.*"]}]);
    let ids = offered(json!({"LocationType": "availability-zone-id", "Filters": filter}));
    assert_eq!(ids, ["x2.metal local-1-az2"]);
    assert_eq!(offered(json!({"LocationType": "outpost"})), Vec::<String>::new());
}

#[test]
fn requirements_find_types() {
    let find = |architectures: &[&str], more: Value| {
        let mut needs = json!({"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 1}});
        for (name, value) in more.as_object().unwrap() {
            needs[name] = value.clone();
        }
        let input = json!({
            "ArchitectureTypes": architectures, "VirtualizationTypes": ["hvm"], "InstanceRequirements": needs,
        });
        let operation = "GetInstanceTypesFromInstanceRequirements";
        let answer = declared(from_requirements, operation, input);
        column(&answer["InstanceTypes"], &["InstanceType"])
    };
    let both = ["x86_64", "arm64"];
    let metal = json!({"BareMetal": "included"});
    // Bare metal at nine times the price is too expensive unless the requirements allow it.
    let dear = json!({"BareMetal": "included", "OnDemandMaxPricePercentageOverLowestPrice": 999_999});
    for (architectures, more, wanted) in [
        (&both[..], json!({}), vec!["c6g.large", "c6i.large"]),
        (&both[..1], json!({}), vec!["c6i.large"]),
        (&both[..1], metal, vec!["c6i.large"]),
        (&both[..1], dear, vec!["c6i.large", "x2.metal"]),
        (
            &both[..],
            json!({"CpuManufacturers": ["amazon-web-services"]}),
            vec!["c6g.large"],
        ),
        (&both[..], json!({"VCpuCount": {"Min": 3}}), vec![]),
    ] {
        assert_eq!(find(architectures, more.clone()), wanted, "{more}");
    }
}

#[test]
fn spot_prices_are_the_declared_ones() {
    let prices = |input: Value| {
        let answer = declared(describe_spot_prices, "DescribeSpotPriceHistory", input);
        column(
            &answer["SpotPriceHistory"],
            &["InstanceType", "AvailabilityZone", "SpotPrice"],
        )
    };
    let all = prices(json!({}));
    assert_eq!(
        all,
        [
            "c6i.large local-1a 0.250000",
            "c6i.large local-1b 0.250000",
            "c6i.large local-1c 0.250000",
            "x2.metal local-1b 2.250000",
        ]
    );
    let none: [&str; 0] = [];
    assert_eq!(prices(json!({"InstanceTypes": ["x2.metal"]})), all[3..]);
    assert_eq!(prices(json!({"AvailabilityZone": "local-1a"})), all[..1]);
    assert_eq!(prices(json!({"AvailabilityZoneId": "local-1-az3"})), all[2..3]);
    assert_eq!(prices(json!({"ProductDescriptions": ["Windows"]})), none);
    assert_eq!(prices(json!({"ProductDescriptions": ["Linux/UNIX"]})), all);
    // The price applies from the requested start time.
    let asked = json!({"StartTime": 1_699_999_000.0, "InstanceTypes": ["x2.metal"]});
    let answer = declared(describe_spot_prices, "DescribeSpotPriceHistory", asked);
    assert_eq!(answer["SpotPriceHistory"][0]["Timestamp"], 1_699_999_000.0);
}

#[test]
fn without_shapes_there_are_names() {
    let caller = &mut Caller::new();
    let asked = json!({"InstanceTypes": ["t3.micro", "m5.large"]});
    let found = call(caller, "DescribeInstanceTypes", asked);
    let types = &found["InstanceTypes"];
    assert_eq!(types[1]["BurstablePerformanceSupported"], true);
    assert_eq!(types[0]["VCpuInfo"]["DefaultVCpus"], 2);
    let missing = json!({"InstanceTypes": ["none.large"]});
    assert_eq!(
        code(caller, "DescribeInstanceTypes", missing),
        "InvalidInstanceType"
    );
    let needs = json!({"VCpuCount": {"Min": 16}, "MemoryMiB": {"Min": 1024}});
    let mut input = json!({"ArchitectureTypes": ["x86_64"], "VirtualizationTypes": ["hvm"], "InstanceRequirements": needs});
    let found = call(caller, "GetInstanceTypesFromInstanceRequirements", input.clone());
    let names = column(&found["InstanceTypes"], &["InstanceType"]);
    assert_eq!(names, ["c5.4xlarge", "c6i.4xlarge", "m5.4xlarge", "m6i.4xlarge"]);
    input["InstanceRequirements"]["AllowedInstanceTypes"] = json!(["c*"]);
    input["InstanceRequirements"]["ExcludedInstanceTypes"] = json!(["m*"]);
    let combined = code(caller, "GetInstanceTypesFromInstanceRequirements", input);
    assert_eq!(combined, "InvalidParameterCombination");
    let offered = call(caller, "DescribeInstanceTypeOfferings", json!({}));
    assert!(!offered["InstanceTypeOfferings"].as_array().unwrap().is_empty());
    let prices = call(caller, "DescribeSpotPriceHistory", json!({}));
    assert_eq!(prices["SpotPriceHistory"], json!([]));
}
