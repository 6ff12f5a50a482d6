//! Elastic Load Balancing's operations, as clients call them. In the folder: `answers`, `attributes`, `network` (load
//! balancers), `rules`.

use crate::elbv2::draining::{Drain, drains, finish_deregistration};
use crate::testing::{Caller, REGION, text};
use crate::{find, supported};
use core::time::Duration;
use forebay_awswire::Service;
use forebay_model::{Action, Priority, ProtocolVersion};
use serde_json::{Value, json};
use std::sync::Arc;

mod answers;
mod attributes;
mod network;
mod rules;

#[test]
fn supported_operations_are_all_but_trust_stores_pools_and_policies() {
    let count = supported()
        .iter()
        .filter(|(service, _)| *service == Service::Elbv2)
        .count();
    // The API has 51 operations: 11 for trust stores, ModifyIpPools and GetResourcePolicy are not served.
    assert_eq!(count, 51 - 13);
    assert!(find(Service::Elbv2, "CreateTrustStore").is_none());
}

#[test]
fn balancer_starts_provisioning_and_is_active_when_described() {
    let mut caller = Caller::new();
    let input = json!({"Name": "web", "Subnets": caller.subnets()});
    let made = caller.ok("CreateLoadBalancer", input.clone());
    let made = &made["LoadBalancers"][0];
    assert_eq!(made["State"]["Code"], "provisioning");
    assert_eq!(
        (&made["Scheme"], &made["Type"]),
        (&json!("internet-facing"), &json!("application"))
    );
    let name = text(&made["DNSName"]);
    assert!(
        name.starts_with("web-") && name.ends_with(".local-1.elb.localhost"),
        "{name}"
    );
    let zones = made["AvailabilityZones"].as_array().unwrap();
    assert_eq!(zones[0]["ZoneName"], "local-1a");
    assert_eq!(zones[0]["LoadBalancerAddresses"][0]["IpAddress"], "127.64.0.4");
    assert_eq!(zones[2]["LoadBalancerAddresses"][0]["IpAddress"], "127.64.0.68");
    let described = caller.ok("DescribeLoadBalancers", json!({"Names": ["web"]}));
    assert_eq!(described["LoadBalancers"][0]["State"]["Code"], "active");
    // The same name with the same settings returns the existing load balancer; other settings are refused.
    let generation = caller.state.generation();
    let again = caller.ok("CreateLoadBalancer", input);
    assert_eq!(
        again["LoadBalancers"][0]["LoadBalancerArn"],
        made["LoadBalancerArn"]
    );
    assert_eq!(caller.state.generation(), generation);
    let other = json!({"Name": "web", "Subnets": caller.subnets(), "Scheme": "internal"});
    assert_eq!(
        caller.fails("CreateLoadBalancer", other).0,
        "DuplicateLoadBalancerName"
    );
}

#[test]
fn balancer_wants_two_zones_and_known_subnets() {
    let mut caller = Caller::new();
    let subnets = caller.subnets();
    let (code, message) = caller.fails(
        "CreateLoadBalancer",
        json!({"Name": "a", "Subnets": [subnets[0]]}),
    );
    assert_eq!(code, "ValidationError");
    assert_eq!(
        message,
        "At least two subnets in two different Availability Zones must be specified"
    );
    let same = json!({"Name": "a", "Subnets": [subnets[0], subnets[0]]});
    assert_eq!(
        caller.fails("CreateLoadBalancer", same).0,
        "InvalidConfigurationRequest"
    );
    // Subnets must be /27 or larger (user guide for Application Load Balancers, "Subnets for your load balancer").
    let vpc = caller.vpc();
    let small = json!({"VpcId": vpc, "CidrBlock": "172.31.255.0/28"});
    let small = caller.call_of(Service::Ec2, "CreateSubnet", small).unwrap();
    let small = json!({"Name": "a", "Subnets": [small["Subnet"]["SubnetId"]]});
    assert_eq!(caller.fails("CreateLoadBalancer", small).0, "InvalidSubnet");
    let unknown = json!({"Name": "a", "Subnets": [subnets[0], "subnet-1"]});
    assert_eq!(caller.fails("CreateLoadBalancer", unknown).0, "SubnetNotFound");
    for name in ["-a", "a-", "internal-a", "a_b", &"a".repeat(33)] {
        let (code, _) = caller.fails("CreateLoadBalancer", json!({"Name": name, "Subnets": subnets}));
        assert_eq!(code, "ValidationError", "{name}");
    }
    let dual = json!({"Name": "a", "Subnets": subnets, "IpAddressType": "dualstack"});
    assert_eq!(caller.fails("CreateLoadBalancer", dual).0, "InvalidSubnet");
}

#[test]
fn deleting_a_balancer_frees_its_addresses_and_keeps_its_groups() {
    let mut caller = Caller::new();
    let (balancer, group) = (caller.balancer("web"), caller.group("g"));
    let listener = caller.listener(&balancer, 80, &group);
    caller.rule(&listener, 5, "/x");
    let delete = json!({"LoadBalancerArn": balancer});
    let protect = |value: &str| json!({"LoadBalancerArn": balancer, "Attributes": [{"Key": "deletion_protection.enabled", "Value": value}]});
    caller.ok("ModifyLoadBalancerAttributes", protect("true"));
    assert_eq!(
        caller.fails("DeleteLoadBalancer", delete.clone()).0,
        "OperationNotPermitted"
    );
    caller.ok("ModifyLoadBalancerAttributes", protect("false"));
    assert_eq!(
        caller
            .fails("DeleteTargetGroup", json!({"TargetGroupArn": group}))
            .0,
        "ResourceInUse"
    );
    caller.ok("DeleteLoadBalancer", delete.clone());
    caller.ok("DeleteLoadBalancer", delete);
    let region = caller.state.region(REGION);
    assert!(region.listeners.is_empty() && region.rules.is_empty() && region.addresses.is_empty());
    assert_eq!(region.target_groups.len(), 1);
    let missing = caller.fails("DescribeLoadBalancers", json!({"Names": ["web"]}));
    assert_eq!(missing.0, "LoadBalancerNotFound");
    caller.ok("DeleteTargetGroup", json!({"TargetGroupArn": group}));
}

#[test]
fn subnets_are_replaced_and_kept_nodes_keep_their_addresses() {
    let mut caller = Caller::new();
    let balancer = caller.balancer("web");
    let subnets = caller.subnets();
    let answer = caller.ok(
        "SetSubnets",
        json!({"LoadBalancerArn": balancer, "Subnets": subnets[1..]}),
    );
    let zones = answer["AvailabilityZones"].as_array().unwrap();
    assert_eq!(zones.len(), 2);
    assert_eq!(zones[0]["LoadBalancerAddresses"][0]["IpAddress"], "127.64.0.36");
    assert_eq!(caller.state.region(REGION).addresses.len(), 2);
}

#[test]
fn fifty_balancers_fit_and_the_next_is_refused() {
    let mut caller = Caller::new();
    for n in 0..50 {
        caller.balancer(&format!("web-{n:02}"));
    }
    let input = json!({"Name": "one-more", "Subnets": caller.subnets()});
    assert_eq!(
        caller.fails("CreateLoadBalancer", input).0,
        "TooManyLoadBalancers"
    );
    let first = caller.ok("DescribeLoadBalancers", json!({"PageSize": 49}));
    let marker = text(&first["NextMarker"]);
    let next = json!({"PageSize": 49, "Marker": marker});
    let rest = caller.ok("DescribeLoadBalancers", next);
    assert_eq!(rest["LoadBalancers"].as_array().unwrap().len(), 1);
    assert!(rest.get("NextMarker").is_none());
    // Regression: any text was accepted as a marker, and began a page somewhere or an empty one.
    for wrong in ["web-48", "zzz", "bm90IG91cnM"] {
        let (code, message) = caller.fails("DescribeLoadBalancers", json!({"Marker": wrong}));
        let text = format!("The marker '{wrong}' is not valid");
        assert_eq!((code, message), ("ValidationError".to_owned(), text));
    }
    let (code, _) = caller.fails("DescribeTargetGroups", json!({"Marker": marker}));
    assert_eq!(code, "ValidationError");
}

#[test]
fn listener_port_is_taken_once_and_the_same_call_changes_nothing() {
    let mut caller = Caller::new();
    let (balancer, group, other) = (caller.balancer("web"), caller.group("g"), caller.group("h"));
    let listener = caller.listener(&balancer, 80, &group);
    assert_eq!(caller.listener(&balancer, 80, &group), listener);
    let taken = json!({"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": 80,
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": other}]});
    assert_eq!(caller.fails("CreateListener", taken).0, "DuplicateListener");
    let https = json!({"LoadBalancerArn": balancer, "Protocol": "HTTPS", "Port": 443,
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": other}]});
    let (code, message) = caller.fails("CreateListener", https);
    assert_eq!(code, "InvalidConfigurationRequest");
    assert!(message.contains("exactly one certificate"));
    let second = caller.balancer("web2");
    let shared = json!({"LoadBalancerArn": second, "Protocol": "HTTP", "Port": 80,
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}]});
    assert_eq!(
        caller.fails("CreateListener", shared).0,
        "TargetGroupAssociationLimit"
    );
}

#[test]
fn listener_goes_to_https_and_back() {
    let mut caller = Caller::new();
    let (balancer, group) = (caller.balancer("web"), caller.group("g"));
    let listener = caller.listener(&balancer, 80, &group);
    let certificate = caller.certificate();
    let changed = caller.ok(
        "ModifyListener",
        json!({"ListenerArn": listener, "Protocol": "HTTPS", "Port": 443,
        "Certificates": [{"CertificateArn": certificate}]}),
    );
    assert_eq!(changed["Listeners"][0]["SslPolicy"], "ELBSecurityPolicy-2016-08");
    let add = json!({"ListenerArn": listener, "Certificates": [{"CertificateArn": certificate}]});
    caller.ok("AddListenerCertificates", add.clone());
    caller.ok("AddListenerCertificates", add.clone());
    let held = caller.ok("DescribeListenerCertificates", json!({"ListenerArn": listener}));
    assert_eq!(held["Certificates"].as_array().unwrap().len(), 2);
    caller.ok("RemoveListenerCertificates", add.clone());
    assert_eq!(
        caller.fails("RemoveListenerCertificates", add).0,
        "OperationNotPermitted"
    );
    let back = caller.ok(
        "ModifyListener",
        json!({"ListenerArn": listener, "Protocol": "HTTP", "Port": 80}),
    );
    assert!(back["Listeners"][0].get("Certificates").is_none());
}

#[test]
fn group_defaults_names_and_bounds() {
    let mut caller = Caller::new();
    let vpc = caller.vpc();
    let made = caller.ok(
        "CreateTargetGroup",
        json!({"Name": "g", "Protocol": "HTTP", "Port": 80, "VpcId": vpc}),
    );
    let made = &made["TargetGroups"][0];
    let expected = json!({"HealthCheckProtocol": "HTTP", "HealthCheckPort": "traffic-port", "HealthCheckPath": "/",
        "HealthCheckIntervalSeconds": 30, "HealthCheckTimeoutSeconds": 5, "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2, "Matcher": {"HttpCode": "200"}, "TargetType": "instance",
        "ProtocolVersion": "HTTP1", "IpAddressType": "ipv4", "HealthCheckEnabled": true});
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&made[key], value, "{key}");
    }
    let other = json!({"Name": "g", "Protocol": "HTTP", "Port": 81, "VpcId": vpc});
    assert_eq!(
        caller.fails("CreateTargetGroup", other).0,
        "DuplicateTargetGroupName"
    );
    let (_, message) = caller.fails(
        "CreateTargetGroup",
        json!({"Name": "t", "Protocol": "HTTP", "Port": 80, "VpcId": vpc,
            "HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 5}),
    );
    assert_eq!(
        message,
        "Health check timeout '5' must be smaller than the interval '5'"
    );
    let (_, message) = caller.fails(
        "CreateTargetGroup",
        json!({"Name": "l", "TargetType": "lambda", "Port": 1}),
    );
    assert_eq!(
        message,
        "Port cannot be specified for target groups with target type 'lambda'"
    );
    let (_, message) = caller.fails(
        "CreateTargetGroup",
        json!({"Name": "m", "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "Matcher": {"HttpCode": "200-600"}}),
    );
    assert!(message.contains("between 200 and 499"), "{message}");
}

/// Regression: names of any length were looked up, and ARNs of any service and region.
#[test]
fn names_and_arns_that_can_be_none_of_ours() {
    let mut caller = Caller::new();
    let balancer = caller.balancer("web");
    let long = json!({"Names": ["a".repeat(33)]});
    assert_eq!(caller.fails("DescribeLoadBalancers", long).0, "ValidationError");
    for (arn, code) in [
        (balancer.replace("local-1", "local-2"), "ValidationError"),
        (balancer.replace("elasticloadbalancing", "ec2"), "ValidationError"),
        (balancer.replace("/web/", "/wab/"), "LoadBalancerNotFound"),
    ] {
        let tags = json!([{"Key": "a", "Value": "b"}]);
        for (operation, input) in [
            ("DescribeTags", json!({"ResourceArns": [arn]})),
            ("AddTags", json!({"ResourceArns": [arn], "Tags": tags})),
            ("RemoveTags", json!({"ResourceArns": [arn], "TagKeys": ["a"]})),
        ] {
            assert_eq!(caller.fails(operation, input).0, code, "{operation} {arn}");
        }
    }
}

/// Regression: two certificates were an InvalidConfigurationRequest; `passthrough` with an empty ARN was a
/// TrustStoreNotFound.
#[test]
fn tls_that_is_not_to_be_had() {
    let mut caller = Caller::new();
    let (balancer, group, certificate) = (caller.balancer("web"), caller.group("g"), caller.certificate());
    let one = json!({"CertificateArn": certificate});
    let mut input = json!({"LoadBalancerArn": balancer, "Protocol": "HTTPS", "Port": 443,
        "Certificates": [one, one], "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}]});
    assert_eq!(
        caller.fails("CreateListener", input.clone()).0,
        "TooManyCertificates"
    );
    input["Certificates"] = json!([one]);
    input["MutualAuthentication"] = json!({"Mode": "passthrough", "TrustStoreArn": ""});
    let (code, message) = caller.fails("CreateListener", input);
    assert_eq!(code, "InvalidConfigurationRequest");
    assert!(
        message.contains("'passthrough' is not supported by Forebay yet"),
        "{message}"
    );
}

/// Regression: the error was an InvalidConfigurationRequest in words that are not AWS's.
#[test]
fn plain_listener_has_no_tls_policy() {
    let mut caller = Caller::new();
    let (balancer, group) = (caller.balancer("web"), caller.group("g"));
    let input = json!({"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": 80,
        "SslPolicy": "ELBSecurityPolicy-2016-08", "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}]});
    let (code, message) = caller.fails("CreateListener", input);
    let text = "An SSL policy cannot be specifed for HTTP listeners";
    assert_eq!((&*code, &*message), ("ValidationError", text));
}

#[test]
fn target_drains_while_its_group_is_served() {
    let mut caller = Caller::new();
    let (balancer, group) = (caller.balancer("web"), caller.group("g"));
    let targets = |ids: &[&str]| {
        let targets: Vec<Value> = ids.iter().map(|id| json!({"Id": id, "Port": 8080})).collect();
        json!({"TargetGroupArn": group, "Targets": targets})
    };
    caller.ok("RegisterTargets", targets(&["127.0.0.2", "127.0.0.3"]));
    let state = |caller: &mut Caller, place: usize| {
        let health = caller.ok("DescribeTargetHealth", json!({"TargetGroupArn": group}));
        health["TargetHealthDescriptions"][place]["TargetHealth"].clone()
    };
    assert_eq!(state(&mut caller, 0)["Reason"], "Target.NotInUse");
    caller.listener(&balancer, 80, &group);
    assert_eq!(state(&mut caller, 0)["Reason"], "Elb.RegistrationInProgress");
    caller.ok("DeregisterTargets", targets(&["127.0.0.2"]));
    assert_eq!(state(&mut caller, 0)["State"], "draining");
    let blueprint = caller.state.blueprint();
    let draining: Vec<bool> = blueprint.groups[0]
        .targets
        .iter()
        .map(|target| target.draining)
        .collect();
    assert_eq!(draining, [true, false]);
    let drain = drains(&caller.state);
    let delay = Duration::from_secs(300);
    assert_eq!(
        drain,
        [Drain {
            group_arn: group.clone(),
            id: "127.0.0.2".into(),
            port: 8080,
            since: caller.now,
            delay
        }]
    );
    // A target that is registered again while it drains is taken back.
    caller.ok("RegisterTargets", targets(&["127.0.0.2"]));
    assert!(drains(&caller.state).is_empty());
    assert_eq!(
        finish_deregistration(&caller.state, &group, "127.0.0.2", 8080),
        caller.state
    );
    caller.ok("DeregisterTargets", targets(&["127.0.0.2"]));
    caller.state = finish_deregistration(&caller.state, &group, "127.0.0.2", 8080);
    let asked = json!({"TargetGroupArn": group, "Targets": [{"Id": "127.0.0.2", "Port": 8080}]});
    let health = caller.ok("DescribeTargetHealth", asked);
    assert_eq!(
        health["TargetHealthDescriptions"][0]["TargetHealth"]["Reason"],
        "Target.NotRegistered"
    );
    // Unknown targets are not an error. Deregistered without its port, a target with a port of its own is unknown.
    caller.ok("DeregisterTargets", targets(&["127.0.0.9"]));
    let without_port = json!({"TargetGroupArn": group, "Targets": [{"Id": "127.0.0.3"}]});
    caller.ok("DeregisterTargets", without_port);
    assert_ne!(state(&mut caller, 0)["State"], "draining");
}

#[test]
fn what_the_data_plane_does_not_know_is_gone_at_once() {
    let mut caller = Caller::new();
    let input = json!({"Name": "f", "TargetType": "lambda"});
    let group = text(&caller.ok("CreateTargetGroup", input)["TargetGroups"][0]["TargetGroupArn"]);
    // No listener's rule forwards to the group.
    let function = caller.function_named("f");
    let targets = json!({"TargetGroupArn": group, "Targets": [{"Id": function}]});
    caller.ok("RegisterTargets", targets.clone());
    caller.ok("DeregisterTargets", targets);
    let health = caller.ok("DescribeTargetHealth", json!({"TargetGroupArn": group}));
    assert_eq!(health["TargetHealthDescriptions"], json!([]));
}

#[test]
fn a_function_is_a_groups_one_target() {
    let mut caller = Caller::new();
    let input = json!({"Name": "f", "TargetType": "lambda"});
    let group = text(&caller.ok("CreateTargetGroup", input)["TargetGroups"][0]["TargetGroupArn"]);
    let balancer = caller.balancer("web");
    caller.listener(&balancer, 80, &group);
    let function = |name: &str| format!("arn:aws:lambda:local-1:123456789012:function:{name}");
    // A given port is ignored.
    let targets =
        |name: &str| json!({"TargetGroupArn": group, "Targets": [{"Id": function(name), "Port": 80}]});
    let no_function = json!({"TargetGroupArn": group, "Targets": [{"Id": "f"}]});
    assert_eq!(caller.fails("RegisterTargets", no_function).0, "InvalidTarget");
    assert_eq!(caller.fails("RegisterTargets", targets("f")).0, "InvalidTarget");
    caller.function_named("f");
    caller.function_named("g");
    let revoke = json!({"FunctionName": "g", "StatementId": "alb"});
    caller
        .call_of(Service::Lambda, "RemovePermission", revoke)
        .unwrap();
    assert_eq!(caller.fails("RegisterTargets", targets("g")).0, "AccessDenied");
    caller
        .call_of(Service::Lambda, "DeleteFunction", json!({"FunctionName": "g"}))
        .unwrap();
    caller.function_named("g");
    caller.ok("RegisterTargets", targets("f:$LATEST"));
    assert_eq!(caller.fails("RegisterTargets", targets("g")).0, "TooManyTargets");
    let input = json!({"TargetGroupArn": group, "Attributes": [{"Key": "lambda.multi_value_headers.enabled", "Value": "true"}]});
    caller.ok("ModifyTargetGroupAttributes", input);

    let served = caller.state.blueprint().groups[0].clone();
    assert_eq!((served.version, served.in_use), (ProtocolVersion::Lambda, true));
    assert!(served.settings.multi_value_headers && !served.health.enabled);
    // Requests in flight fail when a function is deregistered.
    assert!(served.settings.deregistration_delay.is_zero());
    let target = &served.targets[0];
    assert_eq!((target.id.as_str(), target.port), (&*function("f:$LATEST"), 0));
    assert!(target.address.is_none() && served.reaches(target));

    let health = caller.ok("DescribeTargetHealth", json!({"TargetGroupArn": group}));
    let health = &health["TargetHealthDescriptions"][0];
    assert_eq!(health["Target"], json!({"Id": function("f:$LATEST")}));
    let wanted = json!({
        "State": "unavailable",
        "Reason": "Target.HealthCheckDisabled",
        "Description": "Health checks are not enabled for this target",
    });
    assert_eq!(health["TargetHealth"], wanted);

    // The data plane reports when nothing is in flight there.
    caller.ok(
        "DeregisterTargets",
        json!({"TargetGroupArn": group, "Targets": [{"Id": function("f:$LATEST")}]}),
    );
    let health = caller.ok("DescribeTargetHealth", json!({"TargetGroupArn": group}));
    assert_eq!(
        health["TargetHealthDescriptions"][0]["TargetHealth"]["State"],
        "draining"
    );
    caller.ok("RegisterTargets", targets("g"));
}

#[test]
fn terminated_instances_leave_their_groups() {
    let mut caller = Caller::new();
    let run = |caller: &mut Caller| {
        let input = json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1});
        let made = caller.call_of(Service::Ec2, "RunInstances", input).unwrap();
        text(&made["Instances"][0]["InstanceId"])
    };
    let id = run(&mut caller);
    let input = json!({"Name": "g", "Protocol": "HTTP", "Port": 80, "VpcId": caller.vpc()});
    let group = text(&caller.ok("CreateTargetGroup", input)["TargetGroups"][0]["TargetGroupArn"]);
    caller.ok(
        "RegisterTargets",
        json!({"TargetGroupArn": group, "Targets": [{"Id": id}]}),
    );
    let ended = json!({"InstanceIds": [id]});
    caller.call_of(Service::Ec2, "TerminateInstances", ended).unwrap();
    let listed = |caller: &mut Caller| {
        caller.ok("DescribeTargetHealth", json!({"TargetGroupArn": group}))["TargetHealthDescriptions"]
            .clone()
    };
    assert_eq!(listed(&mut caller), json!([]));
    // Long after that, the terminated instance is removed together with its registrations.
    caller.now = caller.now + Duration::from_secs(2 * 3600);
    run(&mut caller);
    assert_eq!(listed(&mut caller), json!([]));
}

#[test]
fn the_control_port_is_another_one() {
    let mut caller = Caller::new();
    let input = |port: u16| json!({"Name": "g", "Protocol": "HTTP", "Port": 80, "VpcId": caller.vpc(), "TargetType": "ip", "TargetControlPort": port});
    let (same, other) = (input(80), input(81));
    assert_eq!(caller.fails("CreateTargetGroup", same).0, "ValidationError");
    caller.ok("CreateTargetGroup", other);
}

#[test]
fn targets_with_agents_are_not_told_of_clients() {
    let mut caller = Caller::new();
    let tags = json!([{"Key": "forebay:proxy-protocol", "Value": "v2"}]);
    let input = |caller: &Caller, name: &str, port: Option<u16>| json!({"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": caller.vpc(), "TargetType": "ip", "TargetControlPort": port});
    let mut with_both = input(&caller, "both", Some(81));
    with_both["Tags"] = tags.clone();
    let (code, message) = caller.fails("CreateTargetGroup", with_both.clone());
    assert_eq!(code, "ValidationError");
    assert!(message.ends_with("without TargetControlPort"), "{message}");
    let agents = input(&caller, "agents", Some(81));
    let agents = caller.ok("CreateTargetGroup", agents)["TargetGroups"][0]["TargetGroupArn"].clone();
    let plain = input(&caller, "plain", None);
    let plain = caller.ok("CreateTargetGroup", plain)["TargetGroups"][0]["TargetGroupArn"].clone();
    let tag = |arn: &Value| json!({"ResourceArns": [arn], "Tags": tags});
    let (code, again) = caller.fails("AddTags", tag(&agents));
    assert_eq!((code.as_str(), again), ("ValidationError", message));
    caller.ok("AddTags", tag(&plain));
    let told = |caller: &Caller, arn: &Value| {
        let blueprint = caller.state.blueprint();
        let mut groups = blueprint.groups.iter();
        let group = groups.find(|group| arn.as_str() == Some(group.arn.as_str()));
        group.map(|group| group.settings.proxy_protocol)
    };
    assert_eq!(told(&caller, &plain), Some(true));
    assert_eq!(told(&caller, &agents), Some(false));
}

#[test]
fn addresses_of_targets_are_loopback_private_or_in_the_vpc() {
    let mut caller = Caller::new();
    let group = caller.group("g");
    let balancer = caller.balancer("web");
    let register = |id: &str, zone: Option<&str>| json!({"TargetGroupArn": group, "Targets": [{"Id": id, "AvailabilityZone": zone}]});
    assert_eq!(
        caller.fails("RegisterTargets", register("8.8.8.8", None)).0,
        "ValidationError"
    );
    let (_, message) = caller.fails("RegisterTargets", register("10.1.2.3", None));
    assert!(
        message.contains("You must specify a valid Availability Zone"),
        "{message}"
    );
    // A zone that does not exist is refused.
    for (id, zone) in [("10.1.2.3", "local-1z"), ("127.0.0.1", "eu-west-1a")] {
        let (code, message) = caller.fails("RegisterTargets", register(id, Some(zone)));
        assert_eq!(code, "ValidationError");
        assert!(
            message.contains("You must specify a valid Availability Zone"),
            "{message}"
        );
    }
    let (_, message) = caller.fails("RegisterTargets", register("172.31.0.9", Some("local-1z")));
    assert!(
        message.ends_with("cannot have its Availability Zone overridden to 'local-1z' from 'local-1a'"),
        "{message}"
    );
    caller.ok("RegisterTargets", register("10.1.2.3", Some("all")));
    caller.ok("RegisterTargets", register("172.31.0.9", None));
    caller.ok("RegisterTargets", register("127.0.0.1", None));
    assert_eq!(
        caller.fails("RegisterTargets", register("127.64.0.4", None)).0,
        "InvalidTarget"
    );
    let health = caller.ok("DescribeTargetHealth", json!({"TargetGroupArn": group}));
    let zone = |id: &str| {
        let all = health["TargetHealthDescriptions"].as_array().unwrap();
        all.iter().find(|one| one["Target"]["Id"] == id).unwrap()["Target"]["AvailabilityZone"].clone()
    };
    assert_eq!(zone("172.31.0.9"), "local-1a");
    assert_eq!(zone("10.1.2.3"), "all");
    assert_eq!(zone("127.0.0.1"), Value::Null);
    let zonal = json!({"TargetGroupArn": group,
        "Attributes": [{"Key": "load_balancing.cross_zone.enabled", "Value": "false"}]});
    assert_eq!(
        caller.fails("ModifyTargetGroupAttributes", zonal).0,
        "InvalidConfigurationRequest"
    );
    drop(balancer);
}

#[test]
fn instance_without_a_launcher_is_declared_by_tag() {
    let mut caller = Caller::new();
    let vpc = caller.vpc();
    let group = caller.ok(
        "CreateTargetGroup",
        json!({"Name": "g", "Protocol": "HTTP", "Port": 8080, "VpcId": vpc}),
    );
    let group = text(&group["TargetGroups"][0]["TargetGroupArn"]);
    let register = json!({"TargetGroupArn": group, "Targets": [{"Id": "i-0abc"}]});
    assert_eq!(
        caller.fails("RegisterTargets", register.clone()).0,
        "InvalidTarget"
    );
    let tag = json!({"Key": "forebay:address/i-0abc", "Value": "127.0.0.7"});
    caller.ok("AddTags", json!({"ResourceArns": [group], "Tags": [tag]}));
    caller.ok("RegisterTargets", register);
    let blueprint = caller.state.blueprint();
    assert_eq!(
        blueprint.groups[0].targets[0].address,
        Some("127.0.0.7:8080".parse().unwrap())
    );
}

#[test]
fn capacity_decreases_twice_a_day() {
    let mut caller = Caller::new();
    let balancer = caller.balancer("web");
    let reserve = |units: u32| json!({"LoadBalancerArn": balancer, "MinimumLoadBalancerCapacity": {"CapacityUnits": units}});
    assert_eq!(
        caller.fails("ModifyCapacityReservation", reserve(99)).0,
        "ValidationError"
    );
    for units in [600, 500, 400] {
        caller.ok("ModifyCapacityReservation", reserve(units));
    }
    let (code, _) = caller.fails("ModifyCapacityReservation", reserve(300));
    assert_eq!(code, "CapacityDecreaseRequestLimitExceeded");
    let described = caller.ok(
        "DescribeCapacityReservation",
        json!({"LoadBalancerArn": balancer}),
    );
    assert_eq!(described["DecreaseRequestsRemaining"], 0);
    assert_eq!(described["CapacityReservationState"].as_array().unwrap().len(), 3);
    caller.now = caller.now + Duration::from_secs(86_400);
    caller.ok("ModifyCapacityReservation", reserve(300));
    caller.ok(
        "ModifyCapacityReservation",
        json!({"LoadBalancerArn": balancer, "ResetCapacityReservation": true}),
    );
    let described = caller.ok(
        "DescribeCapacityReservation",
        json!({"LoadBalancerArn": balancer}),
    );
    assert!(described.get("MinimumLoadBalancerCapacity").is_none());
}

#[test]
fn tags_are_counted_and_unique() {
    let mut caller = Caller::new();
    let group = caller.group("g");
    let tag = |key: String| json!({"Key": key, "Value": "v"});
    let twice = json!({"ResourceArns": [group], "Tags": [tag("a".into()), tag("a".into())]});
    assert_eq!(caller.fails("AddTags", twice).0, "DuplicateTagKeys");
    let fifty: Vec<Value> = (0..50).map(|n| tag(format!("k{n}"))).collect();
    caller.ok("AddTags", json!({"ResourceArns": [group], "Tags": fifty}));
    assert_eq!(
        caller
            .fails(
                "AddTags",
                json!({"ResourceArns": [group], "Tags": [tag("x".into())]})
            )
            .0,
        "TooManyTags"
    );
    caller.ok(
        "RemoveTags",
        json!({"ResourceArns": [group], "TagKeys": ["k0", "no"]}),
    );
    let tags = caller.ok("DescribeTags", json!({"ResourceArns": [group]}));
    assert_eq!(tags["TagDescriptions"][0]["Tags"].as_array().unwrap().len(), 49);
    assert_eq!(
        caller
            .fails(
                "AddTags",
                json!({"ResourceArns": ["x"], "Tags": [tag("a".into())]})
            )
            .0,
        "ValidationError"
    );
}

#[test]
fn blueprint_shares_what_has_not_changed() {
    let mut caller = Caller::new();
    let (one, two) = (caller.balancer("a"), caller.balancer("b"));
    let (g, h) = (caller.group("g"), caller.group("h"));
    caller.listener(&one, 80, &g);
    caller.listener(&two, 80, &h);
    let (old, before) = (caller.state.clone(), caller.state.blueprint());
    caller.ok(
        "RegisterTargets",
        json!({"TargetGroupArn": h, "Targets": [{"Id": "127.0.0.2"}]}),
    );
    let after = caller.state.blueprint_since(&old, &before);
    assert!(Arc::ptr_eq(&before.balancers[0], &after.balancers[0]));
    let unchanged = after
        .groups
        .iter()
        .filter(|group| before.groups.iter().any(|old| Arc::ptr_eq(old, group)));
    assert_eq!(unchanged.count(), 1);
    assert_eq!(after, caller.state.blueprint());
    assert_eq!(after.groups[0].zones, ["local-1a", "local-1b", "local-1c"]);
}

#[test]
fn moto_dialect_takes_and_echoes_what_moto_does() {
    let mut caller = Caller::new();
    caller.state = caller.state.configured(
        crate::Dialect::Moto,
        [("targets-per-target-group".to_owned(), 1)].into(),
    );
    let subnets = caller.subnets();
    let made = caller.ok(
        "CreateLoadBalancer",
        json!({"Name": "web", "Subnets": [subnets[0]]}),
    );
    let balancer = text(&made["LoadBalancers"][0]["LoadBalancerArn"]);
    let zone = json!([{"ZoneName": "local-1a", "SubnetId": subnets[0]}]);
    assert_eq!(made["LoadBalancers"][0]["AvailabilityZones"], zone);
    let group = caller.group("g");
    let listener = caller.listener(&balancer, 80, &group);
    let described = caller.ok("DescribeListeners", json!({"ListenerArns": [listener]}));
    let plain = json!([{"Type": "forward", "TargetGroupArn": group}]);
    assert_eq!(described["Listeners"][0]["DefaultActions"], plain);
    let odd = json!([{"Type": "redirect", "RedirectConfig": {"StatusCode": "HHTP 301", "Path": "p"}}]);
    let rule = json!({"ListenerArn": listener, "Priority": 1, "Conditions": [], "Actions": odd});
    let rule = caller.ok("CreateRule", rule);
    assert_eq!(rule["Rules"][0]["Actions"], odd);
    caller.ok(
        "CreateRule",
        json!({"ListenerArn": listener, "Priority": 2, "Conditions": [], "Actions": []}),
    );
    // A rule that cannot be served refuses its requests.
    let blueprint = caller.state.blueprint();
    let rules = &blueprint.balancers[0].listeners[0].rules;
    assert!(
        rules[..2]
            .iter()
            .all(|rule| matches!(rule.action, Action::Unsupported { .. }))
    );
    let targets = json!([{"Id": "127.0.0.1"}, {"Id": "127.0.0.2"}]);
    let (code, _) = caller.fails(
        "RegisterTargets",
        json!({"TargetGroupArn": group, "Targets": targets}),
    );
    assert_eq!(code, "TooManyTargets");
    // An id without a port means that target at every port.
    let mut call = |operation: &str, target: Value| {
        caller.ok(operation, json!({"TargetGroupArn": group, "Targets": [target]}));
    };
    call("RegisterTargets", json!({"Id": "127.0.0.1", "Port": 8080}));
    call("DeregisterTargets", json!({"Id": "127.0.0.1"}));
    assert_eq!(drains(&caller.state).len(), 1);
}

#[test]
fn certificate_that_nobody_issued_is_refused() {
    let mut caller = Caller::new();
    let (balancer, group) = (caller.balancer("b"), caller.group("g"));
    let input = json!({"DomainName": "example.com", "ValidationMethod": "DNS"});
    let made = caller.call_of(Service::Acm, "RequestCertificate", input).unwrap();
    let pending = json!([{"CertificateArn": made["CertificateArn"]}]);
    let input = json!({"LoadBalancerArn": balancer, "Protocol": "HTTPS", "Port": 443, "Certificates": pending,
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}]});
    assert_eq!(caller.fails("CreateListener", input).0, "UnsupportedCertificate");
}

#[test]
fn certificate_that_nobody_has_is_refused() {
    let mut caller = Caller::new();
    let (balancer, group) = (caller.balancer("web"), caller.group("g"));
    let input = json!({"LoadBalancerArn": balancer, "Protocol": "HTTPS", "Port": 443,
        "Certificates": [{"CertificateArn": "arn:aws:acm:local-1:123456789012:certificate/none"}],
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}]});
    assert_eq!(caller.fails("CreateListener", input).0, "CertificateNotFound");
}

#[test]
fn values_that_an_enum_does_not_hold_are_named_in_awss_words() {
    let mut caller = Caller::new();
    let (balancer, group) = (caller.balancer("web"), caller.group("g"));
    let listener = caller.listener(&balancer, 80, &group);
    let rule = json!({"ListenerArn": listener, "Priority": 1, "Conditions": [{"Field": "path-pattern", "Values": ["/"]}],
        "Actions": [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_303", "Host": "h"}}]});
    let (_, message) = caller.fails("CreateRule", rule);
    assert_eq!(
        message,
        "1 validation error detected: Value 'HTTP_303' at 'actions.1.member.redirectConfig.statusCode' failed to satisfy constraint: Member must satisfy enum value set: [HTTP_301, HTTP_302]"
    );
    let odd =
        json!({"Name": "x", "TargetType": "other", "Protocol": "HTTP", "Port": 1, "VpcId": caller.vpc()});
    assert!(
        caller
            .fails("CreateTargetGroup", odd)
            .1
            .contains("at 'targetType'")
    );
}

#[test]
fn blank_text_counts_as_not_given() {
    let mut caller = Caller::new();
    let input = json!({"Name": "g", "Protocol": "HTTP", "Port": 80, "VpcId": caller.vpc(), "ProtocolVersion": "",
        "HealthCheckPath": "", "IpAddressType": "", "Matcher": {"HttpCode": ""}});
    let made = caller.ok("CreateTargetGroup", input);
    assert_eq!(made["TargetGroups"][0]["ProtocolVersion"], "HTTP1");
    assert_eq!(made["TargetGroups"][0]["HealthCheckPath"], "/");
    assert_eq!(
        caller.fails("CreateTargetGroup", json!({"Name": ""})).0,
        "ValidationError"
    );
    assert_eq!(
        caller
            .fails("DescribeTargetHealth", json!({"TargetGroupArn": ""}))
            .0,
        "TargetGroupNotFound"
    );
}

/// Operators are told which load balancers carry no traffic.
#[test]
fn balancers_without_traffic_are_listed() {
    let mut caller = Caller::new();
    caller.balancer("web");
    assert_eq!(caller.state.without_traffic().count(), 0);
    let input = json!({"Name": "net", "Type": "network", "Subnets": caller.subnets()});
    caller.ok("CreateLoadBalancer", input);
    let idle = caller.state.without_traffic();
    let idle: Vec<_> = idle
        .map(|balancer| (balancer.name.as_str(), balancer.kind.word()))
        .collect();
    assert_eq!(idle, [("net", "network")]);
}
