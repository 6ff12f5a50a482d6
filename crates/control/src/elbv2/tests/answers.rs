//! Plain describe and modify operations: they succeed, and changes can be read back.

use super::*;
use forebay_model::POLICIES;
use forebay_model::limits::QUOTAS;

/// An attribute's value in a Describe answer.
fn value_of(answer: &Value, key: &str) -> Value {
    let attributes = answer["Attributes"].as_array().unwrap();
    let found = attributes.iter().find(|attribute| attribute["Key"] == key);
    found.unwrap_or_else(|| panic!("{key} is not in {answer}"))["Value"].clone()
}

#[test]
fn quotas_and_policies_are_told() {
    let mut caller = Caller::new();
    let limits = caller.ok("DescribeAccountLimits", json!({}))["Limits"].clone();
    assert_eq!(limits.as_array().unwrap().len(), QUOTAS.len());
    let default = "ELBSecurityPolicy-2016-08";
    let named = caller.ok("DescribeSSLPolicies", json!({"Names": [default]}))["SslPolicies"].clone();
    assert_eq!(
        (named.as_array().unwrap().len(), &named[0]["Name"]),
        (1, &json!(default))
    );
    let all = caller.ok("DescribeSSLPolicies", json!({}));
    assert_eq!(all["SslPolicies"].as_array().unwrap().len(), POLICIES.len());
}

#[test]
fn attributes_are_read_back() {
    let mut caller = Caller::new();
    let (balancer, group) = (caller.balancer("web"), caller.group("g"));
    let listener = caller.listener(&balancer, 80, &group);
    for (noun, name, arn, key, value) in [
        (
            "LoadBalancer",
            "LoadBalancerArn",
            &balancer,
            "idle_timeout.timeout_seconds",
            "61",
        ),
        (
            "TargetGroup",
            "TargetGroupArn",
            &group,
            "deregistration_delay.timeout_seconds",
            "7",
        ),
        (
            "Listener",
            "ListenerArn",
            &listener,
            "routing.http.response.server.enabled",
            "false",
        ),
    ] {
        let describe = format!("Describe{noun}Attributes");
        let before = value_of(&caller.ok(&describe, json!({name: arn})), key);
        assert_ne!(before, value);
        let change = json!({name: arn, "Attributes": [{"Key": key, "Value": value}]});
        let changed = caller.ok(&format!("Modify{noun}Attributes"), change);
        assert_eq!(value_of(&changed, key), value);
        assert_eq!(value_of(&caller.ok(&describe, json!({name: arn})), key), value);
    }
}

#[test]
fn group_and_kind_of_address_are_changed() {
    let mut caller = Caller::new();
    let (balancer, group) = (caller.balancer("web"), caller.group("g"));
    let change = json!({"TargetGroupArn": group, "HealthCheckPath": "/up"});
    caller.ok("ModifyTargetGroup", change);
    let shown = caller.ok("DescribeTargetGroups", json!({"TargetGroupArns": [group]}));
    assert_eq!(shown["TargetGroups"][0]["HealthCheckPath"], "/up");
    let set = json!({"LoadBalancerArn": balancer, "IpAddressType": "ipv4"});
    assert_eq!(
        caller.ok("SetIpAddressType", set),
        json!({"IpAddressType": "ipv4"})
    );
}
