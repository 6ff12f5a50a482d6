//! EC2's operations, as clients call them. In the folder: `instance_types`, `launch_templates`.

mod instance_types;
mod launch_templates;

use crate::testing::{Caller, text};
use forebay_awswire::Service;
use serde_json::{Value, json};

fn call(caller: &mut Caller, operation: &str, input: Value) -> Value {
    caller
        .call_of(Service::Ec2, operation, input)
        .unwrap_or_else(|error| panic!("{operation}: {error}"))
}

fn code(caller: &mut Caller, operation: &str, input: Value) -> String {
    let before = caller.state.clone();
    let error = caller
        .call_of(Service::Ec2, operation, input)
        .expect_err(operation);
    assert_eq!(before, caller.state);
    error.code
}

fn vpc(caller: &mut Caller) -> String {
    text(&call(caller, "CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}))["Vpc"]["VpcId"])
}

fn subnet(caller: &mut Caller, vpc: &str, cidr: &str) -> String {
    text(&call(caller, "CreateSubnet", json!({"VpcId": vpc, "CidrBlock": cidr}))["Subnet"]["SubnetId"])
}

fn named(name: &str, values: &[&str]) -> Value {
    json!([{"Name": name, "Values": values}])
}

#[test]
fn a_new_region_is_furnished() {
    let caller = &mut Caller::new();
    for (operation, member, count) in [
        ("DescribeVpcs", "Vpcs", 1),
        ("DescribeSubnets", "Subnets", 3),
        ("DescribeSecurityGroups", "SecurityGroups", 1),
        ("DescribeSecurityGroupRules", "SecurityGroupRules", 2),
        ("DescribeInternetGateways", "InternetGateways", 1),
        ("DescribeRouteTables", "RouteTables", 1),
        ("DescribeNetworkAcls", "NetworkAcls", 1),
        ("DescribeAvailabilityZones", "AvailabilityZones", 3),
        ("DescribeRegions", "Regions", 1),
        ("DescribeAccountAttributes", "AccountAttributes", 6),
        ("DescribeNetworkInterfaces", "NetworkInterfaces", 0),
        ("DescribeInstances", "Reservations", 0),
        ("DescribeImages", "Images", 1),
        ("DescribeVolumes", "Volumes", 0),
        ("DescribeVpcPeeringConnections", "VpcPeeringConnections", 0),
        ("DescribeTags", "Tags", 0),
    ] {
        let answer = call(caller, operation, json!({}));
        assert_eq!(
            answer[member].as_array().unwrap().len(),
            count,
            "{operation}: {answer}"
        );
    }
}

#[test]
fn vpcs_live_and_die() {
    let caller = &mut Caller::new();
    let tags = json!([{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "mine"}]}]);
    let made = call(
        caller,
        "CreateVpc",
        json!({"CidrBlock": "10.0.0.0/16", "TagSpecifications": tags}),
    );
    let id = text(&made["Vpc"]["VpcId"]);
    let found = call(
        caller,
        "DescribeVpcs",
        json!({"Filters": named("tag:Name", &["m?ne"])}),
    );
    assert_eq!(found["Vpcs"], json!([made["Vpc"]]));
    let attribute = |caller: &mut Caller, name: &str| {
        call(
            caller,
            "DescribeVpcAttribute",
            json!({"VpcId": id, "Attribute": name}),
        )
    };
    assert_eq!(
        attribute(caller, "enableDnsHostnames")["EnableDnsHostnames"]["Value"],
        false
    );
    call(
        caller,
        "ModifyVpcAttribute",
        json!({"VpcId": id, "EnableDnsHostnames": {"Value": true}}),
    );
    assert_eq!(
        attribute(caller, "enableDnsHostnames")["EnableDnsHostnames"]["Value"],
        true
    );
    assert_eq!(
        attribute(caller, "enableDnsSupport")["EnableDnsSupport"]["Value"],
        true
    );
    let subnet = subnet(caller, &id, "10.0.1.0/24");
    assert_eq!(
        code(caller, "DeleteVpc", json!({"VpcId": id})),
        "DependencyViolation"
    );
    call(caller, "DeleteSubnet", json!({"SubnetId": subnet}));
    call(caller, "DeleteVpc", json!({"VpcId": id}));
    assert_eq!(
        code(caller, "DescribeVpcs", json!({"VpcIds": [id]})),
        "InvalidVpcID.NotFound"
    );
    assert_eq!(
        call(caller, "DescribeSecurityGroups", json!({}))["SecurityGroups"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(call(caller, "DescribeTags", json!({}))["Tags"], json!([]));
    assert_eq!(
        code(caller, "CreateVpc", json!({"CidrBlock": "10.0.0.0/8"})),
        "InvalidVpc.Range"
    );
    assert_eq!(
        code(caller, "CreateVpc", json!({"CidrBlock": "ten"})),
        "InvalidParameterValue"
    );
    assert_eq!(
        code(
            caller,
            "CreateVpc",
            json!({"CidrBlock": "10.0.0.0/16", "DryRun": true})
        ),
        "DryRunOperation"
    );
}

#[test]
fn subnets_take_slices_and_give_them_back() {
    let caller = &mut Caller::new();
    let vpc = vpc(caller);
    let first = subnet(caller, &vpc, "10.0.0.0/24");
    let slices = |caller: &Caller| caller.state.region("local-1").subnets[&first].slices.clone();
    let slice = slices(caller);
    let input = |cidr: &str| json!({"VpcId": vpc, "CidrBlock": cidr});
    assert_eq!(
        code(caller, "CreateSubnet", input("10.0.0.128/25")),
        "InvalidSubnet.Conflict"
    );
    assert_eq!(
        code(caller, "CreateSubnet", input("10.1.0.0/24")),
        "InvalidSubnet.Range"
    );
    assert_eq!(
        code(
            caller,
            "CreateSubnet",
            json!({"VpcId": "vpc-0", "CidrBlock": "10.0.1.0/24"})
        ),
        "InvalidVpcID.NotFound"
    );
    call(caller, "DeleteSubnet", json!({"SubnetId": first}));
    let again = subnet(caller, &vpc, "10.0.0.0/24");
    assert_eq!(caller.state.region("local-1").subnets[&again].slices, slice);
    // Without a requested zone, zones are used evenly.
    subnet(caller, &vpc, "10.0.1.0/24");
    subnet(caller, &vpc, "10.0.2.0/24");
    let found = call(
        caller,
        "DescribeSubnets",
        json!({"Filters": named("vpc-id", &[&vpc])}),
    );
    let mut zones: Vec<String> = found["Subnets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|subnet| text(&subnet["AvailabilityZone"]))
        .collect();
    zones.sort();
    assert_eq!(zones, ["local-1a", "local-1b", "local-1c"]);
    call(
        caller,
        "ModifySubnetAttribute",
        json!({"SubnetId": again, "MapPublicIpOnLaunch": {"Value": true}}),
    );
    let shown = call(caller, "DescribeSubnets", json!({"SubnetIds": [again]}));
    assert_eq!(shown["Subnets"][0]["MapPublicIpOnLaunch"], true);
    assert_eq!(shown["Subnets"][0]["AvailableIpAddressCount"], 251);
}

#[test]
fn pages_and_filters() {
    let caller = &mut Caller::new();
    let vpc = vpc(caller);
    for third in 0..5 {
        subnet(caller, &vpc, &format!("10.0.{third}.0/24"));
    }
    let (mut seen, mut token) = (0, Value::Null);
    loop {
        let mut input = json!({"Filters": named("vpc-id", &[&vpc]), "MaxResults": 2});
        if token.is_string() {
            input["NextToken"] = token;
        }
        let page = call(caller, "DescribeSubnets", input);
        seen += page["Subnets"].as_array().unwrap().len();
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen, 5);
    assert_eq!(
        code(
            caller,
            "DescribeSubnets",
            json!({"Filters": named("colour", &["red"])})
        ),
        "InvalidParameterValue"
    );
}

/// Regression: `cidr-block` of VPCs, the first call of Ansible's module, was an error, as were three in four of the
/// filters that AWS documents.
#[test]
fn filters_that_aws_documents_are_known() {
    let caller = &mut Caller::new();
    let mut operation = String::new();
    let lines = include_str!("filters.txt").lines();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(member) = line.strip_prefix('[') {
            operation = match member.trim_end_matches(']') {
                "InstanceStatuses" => "DescribeInstanceStatus".to_owned(),
                other => format!("Describe{other}"),
            };
            continue;
        }
        let name = line.split(' ').next().unwrap();
        let mut input = json!({"Filters": named(name, &["no-such"])});
        if operation == "DescribeLaunchTemplateVersions" {
            // Without a template, the call must say which versions.
            input["Versions"] = json!(["$Latest"]);
        }
        let answer = call(caller, &operation, input);
        let mut lists = answer.as_object().unwrap().values().filter_map(Value::as_array);
        assert!(lists.all(Vec::is_empty), "{operation} {name}: {answer}");
    }
}

#[test]
fn filters_match_what_is_told() {
    let caller = &mut Caller::new();
    let vpc = vpc(caller);
    let subnet = subnet(caller, &vpc, "10.0.1.0/24");
    let launch = json!({"ImageId": "ami-1", "MinCount": 1, "MaxCount": 1, "SubnetId": subnet,
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "red"}]}]});
    let instance = call(caller, "RunInstances", launch)["Instances"][0].clone();
    let interface = &instance["NetworkInterfaces"][0];
    let (group, mac) = (
        text(&instance["SecurityGroups"][0]["GroupId"]),
        text(&interface["MacAddress"]),
    );
    for (operation, name, value, count) in [
        ("Vpcs", "cidr-block", "10.0.0.0/16", 1),
        ("Vpcs", "cidrBlock", "10.0.0.0/16", 1),
        ("Vpcs", "cidr", "10.9.0.0/16", 0),
        ("Subnets", "available-ip-address-count", "25?", 1),
        ("RouteTables", "route.origin", "CreateRouteTable", 2),
        ("RouteTables", "route.nat-gateway-id", "*", 0),
        ("NetworkAcls", "entry.rule-action", "deny", 2),
        ("NetworkInterfaces", "mac-address", &mac, 1),
        ("NetworkInterfaces", "attachment.device-index", "0", 1),
        ("NetworkInterfaces", "ipv6-addresses.ipv6-address", "*", 0),
        ("SecurityGroups", "ip-permission.group-name", "default", 2),
        ("SecurityGroups", "egress.ip-permission.cidr", "0.0.0.0/0", 2),
        ("Instances", "launch-time", "2023-11-14T22:13:20.000Z", 1),
        ("Instances", "network-interface.mac-address", &mac, 1),
        ("Instances", "instance.group-id", &group, 1),
        ("Instances", "metadata-options.http-tokens", "optional", 1),
        ("Instances", "tag:team", "red", 1),
        ("Instances", "spot-instance-request-id", "*", 0),
        ("Tags", "tag:team", "red", 1),
        ("Tags", "tag:team", "blue", 0),
        ("AvailabilityZones", "zone-type", "availability-zone", 3),
        ("InstanceTypes", "vcpu-info.default-vcpus", "16", 4),
        ("Volumes", "size", "*", 0),
    ] {
        let answer = call(
            caller,
            &format!("Describe{operation}"),
            json!({"Filters": named(name, &[value])}),
        );
        let list = answer.get(operation).unwrap_or(&answer["Reservations"]);
        assert_eq!(
            list.as_array().map(Vec::len),
            Some(count),
            "{operation} {name}={value}"
        );
    }
}

#[test]
fn security_group_rules() {
    let caller = &mut Caller::new();
    let vpc = vpc(caller);
    let make = json!({"GroupName": "web", "Description": "web", "VpcId": vpc});
    let group = text(&call(caller, "CreateSecurityGroup", make.clone())["GroupId"]);
    assert_eq!(
        code(caller, "CreateSecurityGroup", make),
        "InvalidGroup.Duplicate"
    );
    let permission = |cidr: &str| {
        json!({"GroupId": group, "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80,
            "IpRanges": [{"CidrIp": cidr, "Description": "d"}], "UserIdGroupPairs": [{"GroupId": group}]}]})
    };
    let made = call(caller, "AuthorizeSecurityGroupIngress", permission("10.0.0.9/8"));
    assert_eq!(made["SecurityGroupRules"].as_array().unwrap().len(), 2);
    assert_eq!(made["SecurityGroupRules"][0]["CidrIpv4"], "10.0.0.0/8");
    assert_eq!(
        code(caller, "AuthorizeSecurityGroupIngress", permission("10.0.0.0/8")),
        "InvalidPermission.Duplicate"
    );
    let shown =
        call(caller, "DescribeSecurityGroups", json!({"GroupIds": [group]}))["SecurityGroups"][0].clone();
    assert_eq!(
        shown["IpPermissions"],
        json!([{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "d"}],
            "Ipv6Ranges": [], "PrefixListIds": [], "UserIdGroupPairs": [{"GroupId": group, "UserId": "123456789012"}]}])
    );
    let rule = text(&made["SecurityGroupRules"][0]["SecurityGroupRuleId"]);
    let update = json!({"GroupId": group, "SecurityGroupRules": [{"SecurityGroupRuleId": rule,
        "SecurityGroupRule": {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIpv4": "0.0.0.0/0"}}]});
    call(caller, "ModifySecurityGroupRules", update);
    let read = call(
        caller,
        "DescribeSecurityGroupRules",
        json!({"SecurityGroupRuleIds": [rule]}),
    );
    assert_eq!(read["SecurityGroupRules"][0]["FromPort"], 443);
    let described = json!({"GroupId": group, "SecurityGroupRuleDescriptions": [{"SecurityGroupRuleId": rule, "Description": "tls"}]});
    call(caller, "UpdateSecurityGroupRuleDescriptionsIngress", described);
    let made = call(caller, "AuthorizeSecurityGroupEgress", permission("10.0.0.0/8"));
    let outward = text(&made["SecurityGroupRules"][0]["SecurityGroupRuleId"]);
    let described = json!({"GroupId": group, "SecurityGroupRuleDescriptions": [{"SecurityGroupRuleId": outward, "Description": "out"}]});
    call(caller, "UpdateSecurityGroupRuleDescriptionsEgress", described);
    let read = call(
        caller,
        "DescribeSecurityGroupRules",
        json!({"SecurityGroupRuleIds": [outward]}),
    );
    let read = &read["SecurityGroupRules"][0];
    assert_eq!(
        (&read["IsEgress"], &read["Description"]),
        (&json!(true), &json!("out"))
    );
    assert_eq!(
        code(caller, "RevokeSecurityGroupIngress", permission("10.0.0.0/8")),
        "InvalidPermission.NotFound"
    );
    call(
        caller,
        "RevokeSecurityGroupIngress",
        json!({"GroupId": group, "SecurityGroupRuleIds": [rule]}),
    );
    let everything = json!([{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]);
    call(
        caller,
        "RevokeSecurityGroupEgress",
        json!({"GroupId": group, "IpPermissions": everything}),
    );
    assert_eq!(
        code(
            caller,
            "AuthorizeSecurityGroupIngress",
            json!({"GroupId": group, "IpPermissions": [{"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]})
        ),
        "InvalidParameterValue"
    );
    call(caller, "DeleteSecurityGroup", json!({"GroupId": group}));
    assert_eq!(
        code(caller, "DescribeSecurityGroups", json!({"GroupIds": [group]})),
        "InvalidGroup.NotFound"
    );
}

#[test]
fn default_group_stays() {
    let caller = &mut Caller::new();
    let groups = call(
        caller,
        "DescribeSecurityGroups",
        json!({"GroupNames": ["default"]}),
    );
    let group = text(&groups["SecurityGroups"][0]["GroupId"]);
    assert_eq!(
        code(caller, "DeleteSecurityGroup", json!({"GroupId": group})),
        "CannotDelete"
    );
}

#[test]
fn routes_and_gateways() {
    let caller = &mut Caller::new();
    let vpc = vpc(caller);
    let subnet = subnet(caller, &vpc, "10.0.0.0/24");
    let gateway =
        text(&call(caller, "CreateInternetGateway", json!({}))["InternetGateway"]["InternetGatewayId"]);
    let both = json!({"InternetGatewayId": gateway, "VpcId": vpc});
    assert_eq!(
        code(caller, "DetachInternetGateway", both.clone()),
        "Gateway.NotAttached"
    );
    call(caller, "AttachInternetGateway", both.clone());
    assert_eq!(
        code(caller, "AttachInternetGateway", both.clone()),
        "Resource.AlreadyAssociated"
    );
    let table = text(&call(caller, "CreateRouteTable", json!({"VpcId": vpc}))["RouteTable"]["RouteTableId"]);
    let route = json!({"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway});
    call(caller, "CreateRoute", route.clone());
    call(caller, "ReplaceRoute", route.clone());
    let association = call(
        caller,
        "AssociateRouteTable",
        json!({"RouteTableId": table, "SubnetId": subnet}),
    );
    let association = text(&association["AssociationId"]);
    let shown = call(
        caller,
        "DescribeRouteTables",
        json!({"Filters": named("association.subnet-id", &[&subnet])}),
    );
    let routes = shown["RouteTables"][0]["Routes"].as_array().unwrap();
    assert_eq!(
        (&routes[0]["GatewayId"], &routes[1]["GatewayId"]),
        (&json!("local"), &json!(gateway))
    );
    assert_eq!(
        code(caller, "DeleteRouteTable", json!({"RouteTableId": table})),
        "DependencyViolation"
    );
    call(
        caller,
        "DisassociateRouteTable",
        json!({"AssociationId": association}),
    );
    call(
        caller,
        "DeleteRoute",
        json!({"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"}),
    );
    assert_eq!(code(caller, "ReplaceRoute", route), "InvalidRoute.NotFound");
    // The main association moves, and the former main table can be deleted.
    let main = call(
        caller,
        "DescribeRouteTables",
        json!({"Filters": [
        {"Name": "vpc-id", "Values": [vpc]}, {"Name": "association.main", "Values": ["true"]}]}),
    )["RouteTables"][0]
        .clone();
    let moved =
        json!({"RouteTableId": table, "AssociationId": main["Associations"][0]["RouteTableAssociationId"]});
    call(caller, "ReplaceRouteTableAssociation", moved);
    call(
        caller,
        "DeleteRouteTable",
        json!({"RouteTableId": main["RouteTableId"]}),
    );
    assert_eq!(
        code(
            caller,
            "DeleteInternetGateway",
            json!({"InternetGatewayId": gateway})
        ),
        "DependencyViolation"
    );
    call(caller, "DetachInternetGateway", both);
    call(
        caller,
        "DeleteInternetGateway",
        json!({"InternetGatewayId": gateway}),
    );
    call(caller, "DeleteSubnet", json!({"SubnetId": subnet}));
    call(caller, "DeleteVpc", json!({"VpcId": vpc}));
}

#[test]
fn instances_are_addresses() {
    let caller = &mut Caller::new();
    let launch = json!({"ImageId": "ami-1", "MinCount": 2, "MaxCount": 2, "InstanceType": "t3.micro", "ClientToken": "t"});
    let made = call(caller, "RunInstances", launch.clone());
    assert_eq!(
        call(caller, "RunInstances", launch)["ReservationId"],
        made["ReservationId"]
    );
    let id = text(&made["Instances"][0]["InstanceId"]);
    let address = text(&made["Instances"][0]["PrivateIpAddress"]);
    assert!(address.starts_with("127."), "{address}");
    let address_of = |caller: &mut Caller| {
        let shown = call(caller, "DescribeInstances", json!({"InstanceIds": [id]}));
        text(&shown["Reservations"][0]["Instances"][0]["PrivateIpAddress"])
    };
    let tag = |value: &str| json!({"Resources": [id], "Tags": [{"Key": "forebay:address", "Value": value}]});
    call(caller, "CreateTags", tag("10.9.8.7"));
    assert_eq!(address_of(caller), "10.9.8.7");
    assert_eq!(code(caller, "CreateTags", tag("here")), "InvalidParameterValue");
    call(
        caller,
        "DeleteTags",
        json!({"Resources": [id], "Tags": [{"Key": "forebay:address"}]}),
    );
    assert_eq!(address_of(caller), address);
    call(caller, "StopInstances", json!({"InstanceIds": [id]}));
    let status = call(caller, "DescribeInstanceStatus", json!({"InstanceIds": []}));
    assert_eq!(status["InstanceStatuses"].as_array().unwrap().len(), 1);
    call(caller, "StartInstances", json!({"InstanceIds": [id]}));
    let interfaces = call(
        caller,
        "DescribeNetworkInterfaces",
        json!({"Filters": named("attachment.instance-id", &[&id])}),
    );
    assert_eq!(
        interfaces["NetworkInterfaces"][0]["PrivateIpAddress"],
        address.as_str()
    );
    call(caller, "TerminateInstances", json!({"InstanceIds": [id]}));
    let region = caller.state.region("local-1");
    assert_eq!(region.addresses.len(), 1);
    assert_eq!(region.instances[&id].state, "terminated");
    assert_eq!(
        code(caller, "StartInstances", json!({"InstanceIds": [id]})),
        "IncorrectInstanceState"
    );
    assert_eq!(
        code(caller, "StartInstances", json!({"InstanceIds": ["i-0"]})),
        "InvalidInstanceID.NotFound"
    );
    assert_eq!(
        code(caller, "StartInstances", json!({"InstanceIds": ["x"]})),
        "InvalidInstanceID.Malformed"
    );
    // An hour later nothing is left of it.
    caller.now = caller.now + core::time::Duration::from_secs(3601);
    assert_eq!(
        code(caller, "DescribeInstances", json!({"InstanceIds": [id]})),
        "InvalidInstanceID.NotFound"
    );
}

#[test]
fn instance_attributes() {
    let caller = &mut Caller::new();
    let made = call(
        caller,
        "RunInstances",
        json!({"MinCount": 1, "MaxCount": 1, "DisableApiTermination": true}),
    );
    let id = text(&made["Instances"][0]["InstanceId"]);
    for name in [
        "instanceType",
        "userData",
        "groupSet",
        "blockDeviceMapping",
        "disableApiTermination",
        "disableApiStop",
        "sourceDestCheck",
        "instanceInitiatedShutdownBehavior",
        "rootDeviceName",
        "kernel",
        "ramdisk",
        "ebsOptimized",
        "productCodes",
        "enaSupport",
    ] {
        call(
            caller,
            "DescribeInstanceAttribute",
            json!({"InstanceId": id, "Attribute": name}),
        );
    }
    let terminate = json!({"InstanceIds": [id]});
    assert_eq!(
        code(caller, "TerminateInstances", terminate.clone()),
        "OperationNotPermitted"
    );
    call(
        caller,
        "ModifyInstanceAttribute",
        json!({"InstanceId": id, "DisableApiTermination": {"Value": false}}),
    );
    let kind = json!({"InstanceId": id, "InstanceType": {"Value": "t3.large"}});
    assert_eq!(
        code(caller, "ModifyInstanceAttribute", kind),
        "IncorrectInstanceState"
    );
    call(caller, "TerminateInstances", terminate);
    call(
        caller,
        "DescribeInstanceTypes",
        json!({"InstanceTypes": ["t3.micro"]}),
    );
    call(caller, "DescribeInstanceCreditSpecifications", json!({}));
    call(caller, "DescribeImages", json!({"ImageIds": ["ami-12c6146b"]}));
}

#[test]
fn balancers_nodes_are_interfaces() {
    let caller = &mut Caller::new();
    let arn = caller.balancer("front");
    let tail = arn.split_once("loadbalancer/").unwrap().1.to_owned();
    let filter = json!({"Filters": named("description", &[&format!("ELB {tail}")])});
    let found = call(caller, "DescribeNetworkInterfaces", filter.clone());
    assert_eq!(found["NetworkInterfaces"].as_array().unwrap().len(), 3);
    let subnet = caller.subnets()[0].clone();
    assert_eq!(
        code(caller, "DeleteSubnet", json!({"SubnetId": subnet})),
        "DependencyViolation"
    );
    caller.ok("DeleteLoadBalancer", json!({"LoadBalancerArn": arn}));
    assert_eq!(
        call(caller, "DescribeNetworkInterfaces", filter)["NetworkInterfaces"],
        json!([])
    );
}

/// A running instance, and the id of its interface.
fn with_interface(caller: &mut Caller) -> (String, String) {
    let input = json!({"ImageId": "ami-1", "MinCount": 1, "MaxCount": 1});
    let instance = call(caller, "RunInstances", input)["Instances"][0].clone();
    (
        text(&instance["InstanceId"]),
        text(&instance["NetworkInterfaces"][0]["NetworkInterfaceId"]),
    )
}

fn interface(caller: &mut Caller, id: &str) -> Value {
    let input = json!({"NetworkInterfaceIds": [id]});
    call(caller, "DescribeNetworkInterfaces", input)["NetworkInterfaces"][0].clone()
}

/// Controllers look for a pod's address among the addresses and prefixes of its node's interface.
#[test]
fn prefix_of_a_pod_network_is_assigned_shown_and_found() {
    let caller = &mut Caller::new();
    let (instance, eni) = with_interface(caller);
    let input = json!({"NetworkInterfaceId": eni, "Ipv4Prefixes": ["10.244.0.7/16"]});
    let answer = call(caller, "AssignPrivateIpAddresses", input.clone());
    let shown = json!([{"Ipv4Prefix": "10.244.0.0/16"}]);
    assert_eq!(
        answer,
        json!({"NetworkInterfaceId": eni, "AssignedIpv4Prefixes": shown})
    );
    assert_eq!(interface(caller, &eni)["Ipv4Prefixes"], shown);
    let filter = named("network-interface.ipv4-prefixes.ipv4-prefix", &["10.244.0.0/16"]);
    let found = call(caller, "DescribeInstances", json!({"Filters": filter}));
    let found = &found["Reservations"][0]["Instances"][0];
    assert_eq!(found["InstanceId"], json!(instance));
    assert_eq!(found["NetworkInterfaces"][0]["Ipv4Prefixes"], shown);
    // Another node of the same cluster has pods in the same network.
    let (_, other) = with_interface(caller);
    call(
        caller,
        "AssignPrivateIpAddresses",
        json!({"NetworkInterfaceId": other, "Ipv4Prefixes": ["10.244.0.0/16"]}),
    );
    call(caller, "AssignPrivateIpAddresses", input.clone());
    call(caller, "UnassignPrivateIpAddresses", input.clone());
    assert!(interface(caller, &eni).get("Ipv4Prefixes").is_none());
    assert_eq!(
        code(caller, "UnassignPrivateIpAddresses", input),
        "InvalidParameterValue"
    );
    call(caller, "TerminateInstances", json!({"InstanceIds": [instance]}));
}

#[test]
fn secondary_addresses_come_from_the_subnet_and_go_back() {
    let caller = &mut Caller::new();
    let (instance, eni) = with_interface(caller);
    let free = |caller: &mut Caller, eni: &str| {
        let subnet = interface(caller, eni)["SubnetId"].clone();
        let answer = call(caller, "DescribeSubnets", json!({"SubnetIds": [subnet]}));
        answer["Subnets"][0]["AvailableIpAddressCount"].as_i64().unwrap()
    };
    let before = free(caller, &eni);
    let input = json!({"NetworkInterfaceId": eni, "SecondaryPrivateIpAddressCount": 2});
    let answer = call(caller, "AssignPrivateIpAddresses", input);
    let assigned = answer["AssignedPrivateIpAddresses"].as_array().unwrap();
    let assigned: Vec<String> = assigned
        .iter()
        .map(|one| text(&one["PrivateIpAddress"]))
        .collect();
    assert_eq!((assigned.len(), free(caller, &eni)), (2, before - 2));
    let primary = interface(caller, &eni)["PrivateIpAddress"].clone();
    assert_eq!(
        interface(caller, &eni)["PrivateIpAddresses"],
        json!([
            {"Primary": true, "PrivateIpAddress": primary},
            {"Primary": false, "PrivateIpAddress": assigned[0]},
            {"Primary": false, "PrivateIpAddress": assigned[1]},
        ])
    );
    let filter = named("addresses.private-ip-address", &[&assigned[1]]);
    let found = call(caller, "DescribeNetworkInterfaces", json!({"Filters": filter}));
    assert_eq!(found["NetworkInterfaces"][0]["NetworkInterfaceId"], json!(eni));
    // The address moves to another interface only if that is allowed.
    let (_, other) = with_interface(caller);
    let mut moved = json!({"NetworkInterfaceId": other, "PrivateIpAddresses": [assigned[1]]});
    assert_eq!(
        code(caller, "AssignPrivateIpAddresses", moved.clone()),
        "InvalidParameterValue"
    );
    moved["AllowReassignment"] = json!(true);
    call(caller, "AssignPrivateIpAddresses", moved);
    let held = |caller: &mut Caller, eni: &str| {
        interface(caller, eni)["PrivateIpAddresses"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((held(caller, &eni), held(caller, &other)), (2, 2));
    let given = json!({"NetworkInterfaceId": eni, "PrivateIpAddresses": [assigned[0]]});
    call(caller, "UnassignPrivateIpAddresses", given.clone());
    call(caller, "AssignPrivateIpAddresses", given);
    caller.state.check_invariants();
    call(caller, "TerminateInstances", json!({"InstanceIds": [instance]}));
    // The other instance keeps its own address and the one that moved.
    assert_eq!(free(caller, &other), before - 1);
}

#[test]
fn addresses_and_prefixes_that_cannot_be_assigned() {
    let caller = &mut Caller::new();
    let (_, eni) = with_interface(caller);
    let primary = text(&interface(caller, &eni)["PrivateIpAddress"]);
    let balancer = caller.balancer("one");
    let answer = call(
        caller,
        "DescribeNetworkInterfaces",
        json!({"Filters": named("requester-id", &["amazon-elb"])}),
    );
    let node = &answer["NetworkInterfaces"][0];
    let many: Vec<String> = (0..50).map(|n| format!("10.244.{n}.0/24")).collect();
    for (input, wanted) in [
        (json!({}), "MissingParameter"),
        (
            json!({"NetworkInterfaceId": "nic"}),
            "InvalidNetworkInterfaceId.Malformed",
        ),
        (
            json!({"NetworkInterfaceId": "eni-0123456789abcdef0"}),
            "InvalidNetworkInterfaceID.NotFound",
        ),
        (
            json!({"NetworkInterfaceId": node["NetworkInterfaceId"]}),
            "AuthFailure",
        ),
        (
            json!({"PrivateIpAddresses": ["10.0.0.300"]}),
            "InvalidParameterValue",
        ),
        (
            json!({"PrivateIpAddresses": [node["PrivateIpAddress"]], "AllowReassignment": true}),
            "InvalidParameterValue",
        ),
        (
            json!({"PrivateIpAddresses": ["127.64.0.1"]}),
            "InvalidParameterValue",
        ),
        (
            json!({"PrivateIpAddresses": ["10.0.0.1"], "SecondaryPrivateIpAddressCount": 1}),
            "InvalidParameterCombination",
        ),
        (
            json!({"SecondaryPrivateIpAddressCount": 0}),
            "InvalidParameterValue",
        ),
        (
            json!({"SecondaryPrivateIpAddressCount": 50}),
            "PrivateIpAddressLimitExceeded",
        ),
        (json!({"Ipv4Prefixes": many}), "PrivateIpAddressLimitExceeded"),
        (json!({"Ipv4Prefixes": ["10.244.0.0"]}), "InvalidParameterValue"),
        (json!({"Ipv4Prefixes": ["127.0.0.0/8"]}), "InvalidParameterValue"),
        (
            json!({"Ipv4Prefixes": ["10.244.0.0/16"], "Ipv4PrefixCount": 1}),
            "InvalidParameterCombination",
        ),
        (json!({"Ipv4PrefixCount": 1}), "InsufficientCidrBlocks"),
    ] {
        let mut input = input;
        if input.get("NetworkInterfaceId").is_none() {
            input["NetworkInterfaceId"] = json!(eni);
        }
        assert_eq!(
            code(caller, "AssignPrivateIpAddresses", input.clone()),
            wanted,
            "{input}"
        );
    }
    for (input, wanted) in [
        (json!({}), "MissingParameter"),
        (json!({"PrivateIpAddresses": [primary]}), "InvalidParameterValue"),
        (
            json!({"PrivateIpAddresses": ["10.0.0.1"]}),
            "InvalidParameterValue",
        ),
    ] {
        let mut input = input;
        input["NetworkInterfaceId"] = json!(eni);
        assert_eq!(
            code(caller, "UnassignPrivateIpAddresses", input.clone()),
            wanted,
            "{input}"
        );
    }
    caller.ok("DeleteLoadBalancer", json!({"LoadBalancerArn": balancer}));
}

/// One of AWS's images does not exist here: the instance is only a record, and says so.
#[test]
fn instance_that_never_boots_says_so() {
    let caller = &mut Caller::new();
    let reason = |caller: &mut Caller, id: &str| {
        let found = call(caller, "DescribeInstances", json!({"InstanceIds": [id]}));
        found["Reservations"][0]["Instances"][0]["StateReason"].clone()
    };
    let (instance, _) = with_interface(caller);
    let told = reason(caller, &instance);
    assert_eq!(told["Code"], "Server.NotBooted");
    assert!(text(&told["Message"]).contains("'ami-1'"), "{told}");
    let filter = named("state-reason-code", &["Server.*"]);
    let found = call(caller, "DescribeInstances", json!({"Filters": filter}));
    assert_eq!(found["Reservations"].as_array().unwrap().len(), 1);
    let own = text(&call(caller, "DescribeImages", json!({}))["Images"][0]["ImageId"]);
    let launch = json!({"ImageId": own, "MinCount": 1, "MaxCount": 1});
    let booted = text(&call(caller, "RunInstances", launch)["Instances"][0]["InstanceId"]);
    assert_eq!(reason(caller, &booted), Value::Null);
    call(caller, "StopInstances", json!({"InstanceIds": [instance]}));
    assert_eq!(reason(caller, &instance)["Code"], "Client.UserInitiatedShutdown");
}

#[test]
fn rules_name_no_prefix_list() {
    let caller = &mut Caller::new();
    let group = text(&call(caller, "DescribeSecurityGroups", json!({}))["SecurityGroups"][0]["GroupId"]);
    for (id, wanted) in [
        ("pl-0123456789abcdef0", "InvalidPrefixListID.NotFound"),
        ("list", "InvalidPrefixListId.Malformed"),
    ] {
        let permission = json!({"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "PrefixListIds": [{"PrefixListId": id}]});
        let input = json!({"GroupId": group, "IpPermissions": [permission]});
        assert_eq!(code(caller, "AuthorizeSecurityGroupIngress", input), wanted);
    }
}
