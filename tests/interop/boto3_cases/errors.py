"""Error codes and texts, and the quotas."""

from botocore.exceptions import ClientError

from boto3_cases.shop import NOWHERE, Shop, fixed, path_is, refused
from daemon import Daemon, free_port, wait


def test_errors_of_load_balancers(shop):
    create = shop.elb.create_load_balancer
    subnets = shop.subnet_ids
    refused("ValidationError", "At least two subnets in two different Availability Zones must be specified", create,
            Name=shop.name(), Subnets=subnets[:1])
    refused("SubnetNotFound", "subnet-0123", create, Name=shop.name(), Subnets=[subnets[0], "subnet-0123"])
    refused("InvalidSecurityGroup", "sg-0123", create, Name=shop.name(), Subnets=subnets, SecurityGroups=["sg-0123"])
    refused("ValidationError", "not both", create, Name=shop.name(), Subnets=subnets, SubnetMappings=[{"SubnetId": subnets[0]}])
    refused("ValidationError", "cannot be longer than '32' characters", create, Name="a" * 33, Subnets=subnets)
    for name in ("-a", "a-", "internal-a", "a_b", "a b"):
        refused("ValidationError", name, create, Name=name, Subnets=subnets)
    refused("ValidationError", "enum value set", create, Name=shop.name(), Subnets=subnets, Scheme="sideways")
    refused("DuplicateTagKeys", "", create, Name=shop.name(), Subnets=subnets,
            Tags=[{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}])
    refused("TooManyTags", "", create, Name=shop.name(), Subnets=subnets, Tags=[{"Key": f"k{n}", "Value": ""} for n in range(51)])
    zone = shop.subnets[0]["AvailabilityZone"]
    vpc = shop.ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    in_vpc = [shop.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.77.{n}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"] for n in (0, 1)]
    text = "A load balancer cannot be attached to multiple subnets in the same Availability Zone"
    refused("InvalidConfigurationRequest", text, create, Name=shop.name(), Subnets=in_vpc)
    arn = shop.balancer()["LoadBalancerArn"]
    refused("InvalidConfigurationRequest", text, shop.elb.set_subnets, LoadBalancerArn=arn, Subnets=in_vpc)
    refused("InvalidSecurityGroup", "sg-9", shop.elb.set_security_groups, LoadBalancerArn=arn, SecurityGroups=["sg-9"])
    gone = f"{NOWHERE}:loadbalancer/app/gone/0123456789abcdef"
    for call, options in [
        (shop.elb.describe_load_balancers, {"LoadBalancerArns": [arn, gone]}),
        (shop.elb.describe_load_balancers, {"Names": ["gone"]}),
        (shop.elb.describe_load_balancer_attributes, {"LoadBalancerArn": gone}),
        (shop.elb.modify_load_balancer_attributes, {"LoadBalancerArn": gone, "Attributes": [{"Key": "waf.fail_open.enabled", "Value": "true"}]}),
        (shop.elb.set_subnets, {"LoadBalancerArn": gone, "Subnets": subnets}),
        (shop.elb.set_security_groups, {"LoadBalancerArn": gone, "SecurityGroups": []}),
        (shop.elb.set_ip_address_type, {"LoadBalancerArn": gone, "IpAddressType": "ipv4"}),
        (shop.elb.describe_listeners, {"LoadBalancerArn": gone}),
        (shop.elb.create_listener, {"LoadBalancerArn": gone, "Protocol": "HTTP", "Port": 80, "DefaultActions": [fixed()]}),
        (shop.elb.describe_capacity_reservation, {"LoadBalancerArn": gone}),
        (shop.elb.describe_tags, {"ResourceArns": [gone]}),
    ]:
        refused("LoadBalancerNotFound", "", call, **options)
    refused("InvalidSubnet", "", shop.elb.set_ip_address_type, LoadBalancerArn=arn, IpAddressType="dualstack")
    shop.elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": "deletion_protection.enabled", "Value": "true"}])
    refused("OperationNotPermitted", "deletion protection", shop.elb.delete_load_balancer, LoadBalancerArn=arn)
    shop.elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": "deletion_protection.enabled", "Value": "false"}])
    shop.elb.delete_load_balancer(LoadBalancerArn=arn)


def test_errors_of_listeners(shop):
    balancer, group = shop.balancer()["LoadBalancerArn"], shop.group()
    listener = shop.listener(balancer, group)

    def create(**options):
        options = {"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": free_port(), "DefaultActions": [fixed()], **options}
        shop.elb.create_listener(**{name: value for name, value in options.items() if value is not None})

    gone = f"{NOWHERE}:targetgroup/gone/0123456789abcdef"
    one = {"Type": "forward", "TargetGroupArn": group}
    certificate = "arn:aws:acm:local-1:000000000000:certificate/00000000-0000-0000-0000-000000000000"
    for code, text, options in [
        ("ValidationError", "A listener port must be specified", {"Port": None}),
        ("ValidationError", "Listener protocol 'TCP' must be one of 'HTTP, HTTPS'", {"Protocol": "TCP"}),
        ("InvalidConfigurationRequest", "You must provide a list containing exactly one certificate if the listener protocol is HTTPS.", {"Protocol": "HTTPS"}),
        ("CertificateNotFound", certificate, {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": certificate}]}),
        ("TargetGroupNotFound", "", {"DefaultActions": [{**one, "TargetGroupArn": gone}]}),
        ("InvalidLoadBalancerAction", "The ContentType must be one of:'text/html', 'application/json', 'application/javascript', "
         "'text/css', 'text/plain'", {"DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "ContentType": "a/b"}}]}),
        ("ValidationError", "The weight for each target group must be between 0 and 999, inclusive",
         {"DefaultActions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": group, "Weight": 1000}]}}]}),
        ("ValidationError", "statusCode", {"DefaultActions": [fixed("302")]}),
    ]:
        refused(code, text, create, **options)
    missing = listener[:-16] + "0123456789abcdef"
    for call, options in [
        (shop.elb.describe_listeners, {"ListenerArns": [missing]}),
        (shop.elb.modify_listener, {"ListenerArn": missing, "Port": 80}),
        (shop.elb.describe_rules, {"ListenerArn": missing}),
        (shop.elb.create_rule, {"ListenerArn": missing, "Priority": 1, "Conditions": [path_is("/a")], "Actions": [fixed()]}),
        (shop.elb.describe_listener_attributes, {"ListenerArn": missing}),
        (shop.elb.delete_listener, {"ListenerArn": missing}),
        (shop.elb.describe_tags, {"ResourceArns": [missing]}),
    ]:
        refused("ListenerNotFound", "", call, **options)
    refused("ValidationError", "You must specify either listener ARNs or a load balancer ARN", shop.elb.describe_listeners)
    other = shop.balancer()["LoadBalancerArn"]
    refused("TargetGroupAssociationLimit", f"The following target groups cannot be associated with more than one load balancer: {group}",
            create, LoadBalancerArn=other, DefaultActions=[one])
    refused("ResourceInUse", f"Target group '{group}' is currently in use by a listener or a rule", shop.elb.delete_target_group, TargetGroupArn=group)
    refused("SSLPolicyNotFound", "nothing", shop.elb.describe_ssl_policies, Names=["nothing"])
    refused("DuplicateListener", "", create, Port=shop.elb.describe_listeners(ListenerArns=[listener])["Listeners"][0]["Port"])
    for arn in (balancer, other):
        shop.elb.delete_load_balancer(LoadBalancerArn=arn)


def test_errors_of_rules(shop):
    balancer = shop.balancer()["LoadBalancerArn"]
    listener = shop.listener(balancer)

    def create(conditions=None, actions=None, priority=1):
        shop.elb.create_rule(ListenerArn=listener, Priority=priority, Conditions=conditions or [path_is("/a")], Actions=actions or [fixed()])

    def condition(**given):
        return [given]

    for text, conditions in [
        ("A rule can only have '5' condition values", [path_is(*"/1 /2 /3 /4 /5 /6".split())]),
        ("A rule can only have '5' condition values", [path_is("/1", "/2", "/3"), {"Field": "http-header", "HttpHeaderConfig": {
            "HttpHeaderName": "a", "Values": ["1", "2", "3"]}}]),
        ("A condition field must be specified", condition(Values=["/a"])),
        ("Condition field 'nothing' must be one of '[path-pattern,host-header,http-header,http-request-method,query-string,source-ip]'",
         condition(Field="nothing", Values=["a"])),
        ("The 'Values' field is not compatible with 'http-header'", condition(Field="http-header", Values=["a"])),
        ("The 'host-header' field contains too many values; the limit is '1'", condition(Field="host-header", Values=["a.b", "c.d"])),
        ("The 'path-pattern' value is too long; the limit is '128'", [path_is("/" + "a" * 128)]),
        ("A 'HttpHeaderConfig' must be specified with 'http-header'", condition(Field="http-header")),
        ("source-ip", condition(Field="source-ip", SourceIpConfig={"Values": ["300.0.0.0/8"]})),
        ("source-ip", condition(Field="source-ip", SourceIpConfig={"Values": ["255.255.255.255/32"]})),
        ("http-request-method", condition(Field="http-request-method", HttpRequestMethodConfig={"Values": ["get"]})),
        ("path-pattern", [path_is("/a"), path_is("/b")]),
        ("condition wildcards", [path_is("/*/*/*/*/*/*/*")]),
    ]:
        refused("ValidationError", text, create, conditions=conditions)
    refused("ValidationError", "50000", create, priority=50001)
    group = shop.group()
    groups = [{"TargetGroupArn": shop.group()} for _ in range(6)]
    refused("TooManyTargetGroups", "", create, actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}])
    refused("TargetGroupNotFound", "", create, actions=[{"Type": "forward", "TargetGroupArn": group[:-16] + "0123456789abcdef"}])
    for actions in ([fixed(), fixed()], [fixed(), {"Type": "forward", "TargetGroupArn": group, "Order": 2}]):
        refused("TooManyActions", "", create, actions=actions)
    rule = shop.rule(listener, 1)
    other = shop.rule(listener, 2)
    default = next(rule for rule in shop.elb.describe_rules(ListenerArn=listener)["Rules"] if rule["IsDefault"])
    assert default["Priority"] == "default", default
    modify, delete, order = shop.elb.modify_rule, shop.elb.delete_rule, shop.elb.set_rule_priorities
    refused("ValidationError", "You must provide either conditions, actions, or transforms", modify, RuleArn=rule)
    refused("OperationNotPermitted", "", modify, RuleArn=default["RuleArn"], Conditions=[path_is("/a")])
    refused("OperationNotPermitted", "", delete, RuleArn=default["RuleArn"])
    refused("OperationNotPermitted", "", order, RulePriorities=[{"RuleArn": default["RuleArn"], "Priority": 1}])
    refused("PriorityInUse", "", order, RulePriorities=[{"RuleArn": rule, "Priority": 2}])
    refused("ValidationError", "Priority '3' was provided multiple times", order,
            RulePriorities=[{"RuleArn": rule, "Priority": 3}, {"RuleArn": other, "Priority": 3}])
    order(RulePriorities=[{"RuleArn": rule, "Priority": 2}, {"RuleArn": other, "Priority": 1}])
    found = {rule["RuleArn"]: rule["Priority"] for rule in shop.elb.describe_rules(RuleArns=[rule, other])["Rules"]}
    assert found == {rule: "2", other: "1"}, found
    delete(RuleArn=rule)
    for call, options in [
        (shop.elb.describe_rules, {"RuleArns": [rule]}), (delete, {"RuleArn": rule}), (modify, {"RuleArn": rule, "Actions": [fixed()]}),
        (order, {"RulePriorities": [{"RuleArn": rule, "Priority": 9}]}), (shop.elb.describe_tags, {"ResourceArns": [rule]}),
    ]:
        refused("RuleNotFound", "", call, **options)
    shop.elb.delete_load_balancer(LoadBalancerArn=balancer)


def test_errors_of_target_groups(shop):
    def create(**options):
        options = {"Name": shop.name(), "Protocol": "HTTP", "Port": 80, "VpcId": shop.vpc, "TargetType": "ip", **options}
        shop.elb.create_target_group(**{name: value for name, value in options.items() if value is not None})

    for text, options in [
        ("cannot be longer than '32' characters", {"Name": "a" * 33}),
        ("failed to satisfy constraint", {"Name": "a--b"}),
        ("failed to satisfy constraint", {"Name": "-a"}),
        ("The VPC ID 'vpc-0' is not found", {"VpcId": "vpc-0"}),
        ("A port must be specified", {"Port": None}),
        ("A protocol must be specified", {"Protocol": None}),
        ("A VPC ID must be specified", {"VpcId": None}),
        ("Health check timeout '10' must be smaller than the interval '10'", {"HealthCheckTimeoutSeconds": 10, "HealthCheckIntervalSeconds": 10}),
        ("Protocol cannot be specified for target groups with target type 'lambda'", {"TargetType": "lambda"}),
    ]:
        refused("ValidationError", text, create, **options)
    group = shop.group()
    gone = group[:-16] + "0123456789abcdef"
    for call, options in [
        (shop.elb.describe_target_groups, {"TargetGroupArns": [gone]}),
        (shop.elb.describe_target_groups, {"Names": ["gone"]}),
        (shop.elb.describe_target_health, {"TargetGroupArn": gone}),
        (shop.elb.register_targets, {"TargetGroupArn": gone, "Targets": [{"Id": "127.0.0.1"}]}),
        (shop.elb.deregister_targets, {"TargetGroupArn": gone, "Targets": [{"Id": "127.0.0.1"}]}),
        (shop.elb.modify_target_group, {"TargetGroupArn": gone, "HealthCheckPath": "/"}),
        (shop.elb.describe_target_group_attributes, {"TargetGroupArn": gone}),
        (shop.elb.describe_tags, {"ResourceArns": [gone]}),
    ]:
        refused("TargetGroupNotFound", "", call, **options)
    refused("ValidationError", "Target group names, target group ARNs, and a load balancer ARN cannot be specified at the same time",
            shop.elb.describe_target_groups, Names=["a"], TargetGroupArns=[group])
    register = shop.elb.register_targets
    for zone in ({}, {"AvailabilityZone": "local-1z"}, {"AvailabilityZone": "us-east-1a"}):
        refused("ValidationError", "You must specify a valid Availability Zone or select 'all'", register, TargetGroupArn=group,
                Targets=[{"Id": "192.168.7.7", **zone}])
    for address in ("8.8.8.8", "not-an-address", "300.1.1.1"):
        refused("ValidationError", address, register, TargetGroupArn=group, Targets=[{"Id": address, "AvailabilityZone": "all"}])
    node = shop.balancer()["AvailabilityZones"][0]["LoadBalancerAddresses"][0]["IpAddress"]
    refused("InvalidTarget", node, register, TargetGroupArn=group, Targets=[{"Id": node}])
    instances = shop.group(TargetType="instance")
    refused("InvalidTarget", "The specified target does not exist or is not in the same VPC as the target group.",
            register, TargetGroupArn=instances, Targets=[{"Id": "i-0123456789abcdef0"}])
    instance = shop.ec2.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1, SubnetId=shop.subnet_ids[0])["Instances"][0]["InstanceId"]
    wait(lambda: shop.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["State"]["Name"] == "running", "it runs")
    register(TargetGroupArn=instances, Targets=[{"Id": instance}])
    shop.ec2.stop_instances(InstanceIds=[instance])
    state = shop.elb.describe_target_health(TargetGroupArn=instances)["TargetHealthDescriptions"][0]["TargetHealth"]
    assert state["State"] == "unused", state
    refused("InvalidTarget", f"The following targets are not in a running state and cannot be registered: '{instance}'",
            register, TargetGroupArn=instances, Targets=[{"Id": instance}])
    shop.ec2.terminate_instances(InstanceIds=[instance])


def test_errors_seldom_met(shop):
    zones = [subnet["AvailabilityZone"] for subnet in shop.subnets]
    vpc = shop.ec2.create_vpc(CidrBlock="10.79.0.0/16")["Vpc"]["VpcId"]
    tiny = [shop.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.79.{n}.0/28", AvailabilityZone=zones[n])["Subnet"]["SubnetId"] for n in (0, 1)]
    refused("InvalidSubnet", tiny[0], shop.elb.create_load_balancer, Name=shop.name(), Subnets=tiny)
    balancer = shop.balancer()["LoadBalancerArn"]
    listener = shop.listener(balancer)
    create = shop.elb.create_listener
    plain = {"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": free_port()}
    tcp = shop.group(Protocol="TCP")
    refused("IncompatibleProtocols", "", create, **plain, DefaultActions=[{"Type": "forward", "TargetGroupArn": tcp}])
    elsewhere = shop.group(VpcId=vpc)
    refused("InvalidConfigurationRequest", elsewhere, create, **plain, DefaultActions=[{"Type": "forward", "TargetGroupArn": elsewhere}])
    grpc = shop.group(ProtocolVersion="GRPC")
    refused("InvalidConfigurationRequest", "GRPC", create, **plain, DefaultActions=[{"Type": "forward", "TargetGroupArn": grpc}])
    refused("InvalidLoadBalancerAction", "HTTPS", create, **plain, DefaultActions=[
        {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": {
            "Issuer": "https://a.test", "AuthorizationEndpoint": "https://a.test/a", "TokenEndpoint": "https://a.test/t",
            "UserInfoEndpoint": "https://a.test/u", "ClientId": "id", "ClientSecret": "secret"}}, {**fixed(), "Order": 2}])
    refused("UnsupportedProtocol", "", shop.elb.add_listener_certificates, ListenerArn=listener, Certificates=[{"CertificateArn": "arn:aws:acm:x"}])
    other = shop.balancer()["LoadBalancerArn"]
    rules = [shop.rule(listener, 1), shop.rule(shop.listener(other), 1)]
    refused("ValidationError", "same listener", shop.elb.set_rule_priorities,
            RulePriorities=[{"RuleArn": arn, "Priority": priority} for priority, arn in enumerate(rules, 8)])
    network = shop.elb.create_load_balancer(Name=shop.name(), Type="network", Subnets=shop.subnet_ids)["LoadBalancers"][0]["LoadBalancerArn"]
    below = shop.listener(network, Protocol="TCP", group=shop.group(Protocol="TCP"))
    refused("UnsupportedProtocol", "", shop.rule, listener=below, priority=1)
    for arn in (balancer, other, network):
        shop.elb.delete_load_balancer(LoadBalancerArn=arn)


def test_error_envelopes(shop):
    """Codes come with their status and a request id, in each protocol."""
    for service, operation, arguments, code in [
        ("elbv2", "describe_load_balancers", {"Names": ["gone"]}, "LoadBalancerNotFound"),
        ("ec2", "describe_vpcs", {"VpcIds": ["vpc-0123456789abcdef0"]}, "InvalidVpcID.NotFound"),
        ("ec2", "describe_subnets", {"SubnetIds": ["subnet-0123456789abcdef0"]}, "InvalidSubnetID.NotFound"),
        ("ec2", "describe_security_groups", {"GroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
        ("ec2", "create_vpc", {"CidrBlock": "300.0.0.0/8"}, "InvalidParameterValue"),
        ("acm", "describe_certificate", {"CertificateArn": "arn:aws:acm:local-1:000000000000:certificate/0"}, "ResourceNotFoundException"),
        ("iam", "get_server_certificate", {"ServerCertificateName": "gone"}, "NoSuchEntity"),
    ]:
        try:
            getattr(shop.daemon.client(service), operation)(**arguments)
        except ClientError as error:
            found, about = error.response["Error"], error.response["ResponseMetadata"]
            assert found["Code"] == code and found["Message"], (service, operation, found)
            assert about["HTTPStatusCode"] in (400, 404) and about["RequestId"], about
        else:
            raise AssertionError(f"{operation} was taken")


def test_quotas(_):
    quotas = ("application-load-balancers=2,listeners-per-application-load-balancer=2,targets-per-target-group=3,target-groups=4,"
              "target-groups-per-application-load-balancer=3")
    with Daemon(quota=quotas, pool="127.36.0.0/16") as daemon:
        shop = Shop(daemon)
        told = {limit["Name"]: limit["Max"] for limit in shop.elb.describe_account_limits()["Limits"]}
        assert told["application-load-balancers"] == "2" and told["rules-per-application-load-balancer"] == "100", told
        assert told["condition-values-per-alb-rule"] == "5", told
        arns = [shop.balancer()["LoadBalancerArn"] for _ in range(2)]
        refused("TooManyLoadBalancers", "", shop.balancer)
        listeners = [shop.listener(arns[0]) for _ in range(2)]
        refused("TooManyListeners", "", shop.listener, balancer=arns[0])
        for priority in range(1, 101):
            shop.rule(listeners[priority % 2], priority)
        refused("TooManyRules", "", shop.rule, listener=listeners[0], priority=101)
        groups = [shop.group() for _ in range(4)]
        refused("TooManyTargetGroups", "", shop.group)
        forward = {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": group} for group in groups]}}
        refused("TooManyUniqueTargetGroupsPerLoadBalancer", "", shop.elb.modify_listener, ListenerArn=listeners[0], DefaultActions=[forward])
        targets = [{"Id": "127.0.0.1", "Port": port} for port in range(1, 5)]
        shop.elb.register_targets(TargetGroupArn=groups[0], Targets=targets[:3])
        refused("TooManyTargets", "", shop.elb.register_targets, TargetGroupArn=groups[0], Targets=targets[3:])
        refused("TooManyTargets", "", shop.elb.register_targets, TargetGroupArn=groups[1], Targets=targets)
        assert not shop.elb.describe_target_health(TargetGroupArn=groups[1])["TargetHealthDescriptions"], "a refused call left something"
        refused("ValidationError", "A rule can only have '5' condition values", shop.rule, listener=listeners[0], priority=200,
                Conditions=[path_is(*(f"/{n}" for n in range(6)))])
