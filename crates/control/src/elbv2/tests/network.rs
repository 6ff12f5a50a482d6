//! What network load balancers have of their own.

use super::*;

fn make(caller: &mut Caller, input: Value) -> Value {
    let mut whole = json!({"Name": "n", "Type": "network"});
    for (name, member) in input.as_object().unwrap() {
        whole[name] = member.clone();
    }
    caller.ok("CreateLoadBalancer", whole)["LoadBalancers"][0].clone()
}

/// It was refused: `Capacity can be reserved only for application load balancers`.
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
