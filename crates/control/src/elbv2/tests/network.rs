//! Features that only network load balancers have.

use super::*;

fn make(caller: &mut Caller, input: Value) -> Value {
    let mut whole = json!({"Name": "n", "Type": "network"});
    for (name, member) in input.as_object().unwrap() {
        whole[name] = member.clone();
    }
    caller.ok("CreateLoadBalancer", whole)["LoadBalancers"][0].clone()
}

/// Regression: it was refused with `Capacity can be reserved only for application load balancers`.
#[test]
fn capacity_is_counted_by_zone() {
    let mut caller = Caller::new();
    let subnets = caller.subnets();
    let arn = text(&make(&mut caller, json!({"Subnets": subnets[..2]}))["LoadBalancerArn"]);
    let reserve =
        |units: u32| json!({"LoadBalancerArn": arn, "MinimumLoadBalancerCapacity": {"CapacityUnits": units}});
    let code = |refused: (String, String)| refused.0;
    let few = caller.fails("ModifyCapacityReservation", reserve(5499));
    assert_eq!(code(few), "ValidationError");
    let many = caller.fails("ModifyCapacityReservation", reserve(90_001));
    assert_eq!(code(many), "CapacityUnitsLimitExceeded");
    let answer = caller.ok("ModifyCapacityReservation", reserve(5500));
    assert_eq!(answer["MinimumLoadBalancerCapacity"]["CapacityUnits"], 5500);
    let reset = json!({"LoadBalancerArn": arn, "ResetCapacityReservation": true});
    caller.ok("ModifyCapacityReservation", reset);

    let tls = json!({"Name": "t", "Protocol": "TLS", "Port": 443, "VpcId": caller.vpc()});
    let tls = text(&caller.ok("CreateTargetGroup", tls)["TargetGroups"][0]["TargetGroupArn"]);
    let certificate = caller.certificate();
    let listener = json!({"LoadBalancerArn": arn, "Protocol": "TLS", "Port": 443,
        "Certificates": [{"CertificateArn": certificate}],
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": tls}]});
    caller.ok("CreateListener", listener);
    let secure = caller.fails("ModifyCapacityReservation", reserve(5500));
    assert_eq!(code(secure), "OperationNotPermitted");
}

/// Regression: they were dropped silently, so Terraform planned to replace the load balancer.
#[test]
fn the_addresses_it_asked_for_are_told() {
    let mut caller = Caller::new();
    let subnets = caller.subnets();
    let cidr = caller.state.region(REGION).subnets[&subnets[0]].cidr;
    let inside = cidr.hosts().nth(14).unwrap().to_string();
    let mapping = |address: &str| json!([{"SubnetId": subnets[0], "PrivateIPv4Address": address}]);
    let input = |mappings: Value, scheme: &str| json!({"Name": "n", "Type": "network", "Scheme": scheme, "SubnetMappings": mappings});
    for refused in [
        input(mapping(&inside), "internet-facing"),
        input(mapping("192.0.2.1"), "internal"),
        input(mapping("no address"), "internal"),
        input(
            json!([{"SubnetId": subnets[0], "IPv6Address": "2001:db8::1"}]),
            "internet-facing",
        ),
    ] {
        let (code, _) = caller.fails("CreateLoadBalancer", refused);
        assert_eq!(code, "InvalidConfigurationRequest");
    }
    let made = make(&mut caller, input(mapping(&inside), "internal"));
    let told = json!([{"PrivateIPv4Address": inside}]);
    assert_eq!(made["AvailabilityZones"][0]["LoadBalancerAddresses"], told);
    // Adding a zone leaves the first one its address.
    let more = json!({"LoadBalancerArn": made["LoadBalancerArn"], "Subnets": subnets[..2]});
    let zones = caller.ok("SetSubnets", more)["AvailabilityZones"].clone();
    assert_eq!(zones[0]["LoadBalancerAddresses"], told);
    assert_eq!(zones[1]["LoadBalancerAddresses"], json!([]));
}

/// Regression: they were accepted and dropped. There are no Elastic IP addresses.
#[test]
fn elastic_addresses_are_refused() {
    let mut caller = Caller::new();
    let mappings = json!([{"SubnetId": caller.subnets()[0], "AllocationId": "eipalloc-1"}]);
    let input = json!({"Name": "n", "Type": "network", "SubnetMappings": mappings});
    let (code, _) = caller.fails("CreateLoadBalancer", input);
    assert_eq!(code, "AllocationIdNotFound");
}
