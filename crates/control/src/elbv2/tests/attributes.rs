//! Attributes of load balancers, groups and listeners.

use super::*;

#[test]
fn attributes_are_checked_all_or_nothing() {
    let mut caller = Caller::new();
    let balancer = caller.balancer("web");
    let modify = |pairs: Value| json!({"LoadBalancerArn": balancer, "Attributes": pairs});
    let half = modify(json!([{"Key": "idle_timeout.timeout_seconds", "Value": "10"},
        {"Key": "client_keep_alive.seconds", "Value": "1"}]));
    assert_eq!(
        caller.fails("ModifyLoadBalancerAttributes", half).0,
        "ValidationError"
    );
    let unknown = modify(json!([{"Key": "no.such", "Value": "1"}]));
    let (_, message) = caller.fails("ModifyLoadBalancerAttributes", unknown);
    assert_eq!(message, "Load balancer attribute key 'no.such' is not recognized");
    let cross = modify(json!([{"Key": "load_balancing.cross_zone.enabled", "Value": "false"}]));
    assert_eq!(
        caller.fails("ModifyLoadBalancerAttributes", cross).0,
        "InvalidConfigurationRequest"
    );
    caller.ok(
        "ModifyLoadBalancerAttributes",
        modify(json!([{"Key": "idle_timeout.timeout_seconds", "Value": "4000"},
            {"Key": "routing.http.xff_header_processing.mode", "Value": "remove"}])),
    );
    let settings = &caller.state.blueprint().balancers[0].settings;
    assert_eq!(settings.idle_timeout, Duration::from_secs(4000));
    assert_eq!(settings.xff_mode, forebay_model::XffMode::Remove);
}

/// Regression: all four were ValidationErrors `... is not recognized`, and an empty value was an error about its range.
#[test]
fn attributes_of_other_kinds_are_told_from_unknown_ones() {
    let mut caller = Caller::new();
    let subnets = caller.subnets();
    let network = json!({"Name": "n", "Subnets": subnets, "Type": "network"});
    let network = text(&caller.ok("CreateLoadBalancer", network)["LoadBalancers"][0]["LoadBalancerArn"]);
    let pair = |key: &str, value: &str| json!([{"Key": key, "Value": value}]);
    let input = json!({"LoadBalancerArn": network, "Attributes": pair("idle_timeout.timeout_seconds", "60")});
    let refused = caller.fails("ModifyLoadBalancerAttributes", input);
    let kind = "Load balancer attribute key 'idle_timeout.timeout_seconds' is not supported on load balancers with type 'network'";
    assert_eq!(
        refused,
        ("InvalidConfigurationRequest".to_owned(), kind.to_owned())
    );
    let tcp = json!({"Name": "t", "Protocol": "TCP", "Port": 80, "VpcId": caller.vpc()});
    let tcp = text(&caller.ok("CreateTargetGroup", tcp)["TargetGroups"][0]["TargetGroupArn"]);
    let geneve = json!({"Name": "v", "Protocol": "GENEVE", "Port": 6081, "VpcId": caller.vpc()});
    let geneve = text(&caller.ok("CreateTargetGroup", geneve)["TargetGroups"][0]["TargetGroupArn"]);
    let http = caller.group("h");
    let mut modify = |group: &str, key: &str, value: &str| {
        let input = json!({"TargetGroupArn": group, "Attributes": pair(key, value)});
        caller.fails("ModifyTargetGroupAttributes", input)
    };
    let other = "The provided target group attribute is not supported";
    let other = ("InvalidConfigurationRequest".to_owned(), other.to_owned());
    assert_eq!(modify(&tcp, "slow_start.duration_seconds", "30"), other);
    assert_eq!(modify(&http, "preserve_client_ip.enabled", "true"), other);
    let foreign = modify(&geneve, "slow_start.duration_seconds", "30").1;
    assert_eq!(
        foreign,
        "Target group attribute key 'slow_start.duration_seconds' is not recognized"
    );
    let unknown = modify(&http, "no.such", "1").1;
    assert_eq!(unknown, "Target group attribute key 'no.such' is not recognized");
    let empty = "A target group attribute value must be specified";
    let empty = ("ValidationError".to_owned(), empty.to_owned());
    assert_eq!(modify(&http, "slow_start.duration_seconds", ""), empty);
    assert_eq!(modify(&http, "stickiness.app_cookie.cookie_name", ""), empty);
}

/// Regression: it was never described, so Terraform planned to set it on every run.
#[test]
fn network_balancer_tells_whether_private_link_is_checked() {
    let mut caller = Caller::new();
    let member = "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic";
    let group = json!({"GroupName": "n", "Description": "n", "VpcId": caller.vpc()});
    let group = caller
        .call_of(Service::Ec2, "CreateSecurityGroup", group)
        .unwrap();
    let groups = json!([group["GroupId"]]);
    let mut make = |kind: &str| {
        let input =
            json!({"Name": kind, "Type": kind, "Subnets": caller.subnets(), "SecurityGroups": groups});
        caller.ok("CreateLoadBalancer", input)["LoadBalancers"][0].clone()
    };
    let (network, plain) = (make("network"), make("application"));
    assert_eq!(network[member], "on");
    assert!(plain.get(member).is_none());
    let set = |balancer: &Value, enforce: Value| {
        let mut input = json!({"LoadBalancerArn": balancer["LoadBalancerArn"], "SecurityGroups": groups});
        if enforce.is_string() {
            input[member] = enforce;
        }
        input
    };
    for (enforce, told) in [(json!("off"), "off"), (Value::Null, "off"), (json!("on"), "on")] {
        let answer = caller.ok("SetSecurityGroups", set(&network, enforce));
        assert_eq!(answer[member], told);
        let described = caller.ok("DescribeLoadBalancers", json!({"Names": ["network"]}));
        assert_eq!(described["LoadBalancers"][0][member], told);
    }
    let (code, _) = caller.fails("SetSecurityGroups", set(&plain, json!("off")));
    assert_eq!(code, "InvalidConfigurationRequest");
}

#[test]
fn group_attributes_hold_the_compatibility_matrix() {
    let mut caller = Caller::new();
    let group = caller.group("g");
    let algorithm = ("load_balancing.algorithm.type", "weighted_random");
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[algorithm, ("slow_start.duration_seconds", "30")],
            "You cannot enable both slow start and weighted random algorithm on a target group",
        ),
        (
            &[algorithm, ("stickiness.enabled", "true")],
            "You cannot have both stickiness and weighted random algorithm enabled on the same target group.",
        ),
        (
            &[("load_balancing.algorithm.anomaly_mitigation", "on")],
            "You can enable anomaly mitigation only",
        ),
        (
            &[
                ("stickiness.enabled", "true"),
                ("load_balancing.cross_zone.enabled", "false"),
            ],
            "cross-zone",
        ),
        (
            &[("stickiness.type", "app_cookie")],
            "You must set an application cookie name",
        ),
        (
            &[(
                "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
                "3",
            )],
            "The DNS failover threshold (count)",
        ),
    ];
    for (pairs, expected) in cases {
        let pairs: Vec<Value> = pairs
            .iter()
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect();
        let input = json!({"TargetGroupArn": group, "Attributes": pairs});
        let (code, message) = caller.fails("ModifyTargetGroupAttributes", input);
        assert_eq!(code, "InvalidConfigurationRequest");
        assert!(
            message.starts_with(expected) || message.contains(expected),
            "{message}"
        );
    }
    let (_, message) = caller.fails(
        "ModifyTargetGroupAttributes",
        json!({"TargetGroupArn": group,
            "Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "3601"}]}),
    );
    assert_eq!(
        message,
        "'deregistration_delay.timeout_seconds' value '3601' must be between '0-3600' inclusive"
    );
}

#[test]
fn listener_attributes_reach_the_data_plane() {
    let mut caller = Caller::new();
    let (balancer, group) = (caller.balancer("web"), caller.group("g"));
    let listener = caller.listener(&balancer, 80, &group);
    let pair =
        |key: &str, value: &str| json!({"Key": format!("routing.http.response.{key}"), "Value": value});
    let input = json!({"ListenerArn": listener, "Attributes": [pair("server.enabled", "false"),
        pair("x_frame_options.header_value", "DENY"), pair("access_control_max_age.header_value", "")]});
    caller.ok("ModifyListenerAttributes", input);
    let blueprint = caller.state.blueprint();
    let settings = &blueprint.balancers[0].listeners[0].settings;
    assert!(!settings.server_header);
    assert_eq!(
        settings.response_headers,
        [("X-Frame-Options".to_owned(), "DENY".to_owned())]
    );
    let mtls = json!({"ListenerArn": listener, "Attributes":
        [{"Key": "routing.http.request.x_amzn_tls_version.header_name", "Value": "a"}]});
    assert_eq!(
        caller.fails("ModifyListenerAttributes", mtls).0,
        "ValidationError"
    );
}
