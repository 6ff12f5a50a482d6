"""boto3 against the program: what a careful user of AWS relies on. Each function named test_* is one case.

Name cases as arguments to run only these."""

import collections
import concurrent.futures
import contextlib
import datetime
import http.client
import itertools
import pathlib
import re
import sys
import time
import traceback
import urllib.parse
from unittest import mock

import boto3
import botocore.auth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, WaiterError

from house import REGION, Balancer, House, Sample, free_port, get, read_keys, wait

ROOT = pathlib.Path(__file__).parents[2]
QUICK = {"Delay": 1, "MaxAttempts": 60}
NOWHERE = "arn:aws:elasticloadbalancing:local-1:000000000000"


class Shop:
    """The house that the cases share, and what they need of it. Names are never used twice."""

    def __init__(self, house):
        self.house = house
        self.elb, self.ec2 = house.client("elbv2"), house.client("ec2")
        self.numbers = itertools.count(1)
        self.subnets = self.ec2.describe_subnets()["Subnets"]
        self.subnet_ids = [subnet["SubnetId"] for subnet in self.subnets]
        self.vpc = self.subnets[0]["VpcId"]

    def name(self):
        return f"case-{next(self.numbers)}"

    def balancer(self, **options):
        options = {"Name": self.name(), "Subnets": self.subnet_ids, **options}
        return self.elb.create_load_balancer(**options)["LoadBalancers"][0]

    def group(self, **options):
        options = {"Name": self.name(), "Protocol": "HTTP", "Port": 80, "VpcId": self.vpc, "TargetType": "ip", **options}
        return self.elb.create_target_group(**options)["TargetGroups"][0]["TargetGroupArn"]

    def listener(self, balancer, group=None, port=None, **options):
        action = {"Type": "forward", "TargetGroupArn": group} if group else fixed()
        options = {"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": port or free_port(), "DefaultActions": [action], **options}
        return self.elb.create_listener(**options)["Listeners"][0]["ListenerArn"]

    def rule(self, listener, priority, path=None, **options):
        options = {"Conditions": [path_is(path or f"/{priority}")], "Actions": [fixed()], **options}
        return self.elb.create_rule(ListenerArn=listener, Priority=priority, **options)["Rules"][0]["RuleArn"]


def fixed(status="200", body="fixed"):
    return {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": status, "ContentType": "text/plain", "MessageBody": body}}


def path_is(*paths):
    return {"Field": "path-pattern", "PathPatternConfig": {"Values": list(paths)}}


def refused(code, text, call, **arguments):
    """The call is refused with this code and a message that holds this text."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        found = error.response["Error"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert (found["Code"], status) == (code, 400) and text in found["Message"], f"wanted {code} {text!r}, got {status} {found}"
        return
    raise AssertionError(f"{arguments} was taken, wanted {code}: {answer}")


# Waiters and paginators.


def test_waiters(shop):
    with Sample("waited") as sample:
        arns = [shop.balancer()["LoadBalancerArn"]]
        group = shop.group(HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2)
        shop.listener(arns[0], group)
        target = {"Id": sample.ip, "Port": sample.port}
        shop.elb.register_targets(TargetGroupArn=group, Targets=[target])
        for name in ("load_balancer_exists", "load_balancer_available"):
            shop.elb.get_waiter(name).wait(LoadBalancerArns=arns, WaiterConfig=QUICK)
        shop.elb.get_waiter("target_in_service").wait(TargetGroupArn=group, Targets=[target], WaiterConfig=QUICK)
        shop.elb.modify_target_group_attributes(
            TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}])
        shop.elb.deregister_targets(TargetGroupArn=group, Targets=[target])
        shop.elb.get_waiter("target_deregistered").wait(TargetGroupArn=group, Targets=[target], WaiterConfig=QUICK)
        health = shop.elb.describe_target_health(TargetGroupArn=group, Targets=[target])["TargetHealthDescriptions"][0]
        assert health["TargetHealth"]["State"] == "unused" and health["TargetHealth"]["Reason"] == "Target.NotRegistered", health
    shop.elb.delete_load_balancer(LoadBalancerArn=arns[0])
    shop.elb.get_waiter("load_balancers_deleted").wait(LoadBalancerArns=arns, WaiterConfig=QUICK)
    try:
        shop.elb.get_waiter("load_balancer_exists").wait(LoadBalancerArns=arns, WaiterConfig={"Delay": 0, "MaxAttempts": 1})
    except WaiterError:
        return
    raise AssertionError("a deleted load balancer exists")


def test_paginators(shop):
    arns = [shop.balancer()["LoadBalancerArn"] for _ in range(3)]
    groups = [shop.group() for _ in range(3)]
    listeners = [shop.listener(arns[0]) for _ in range(3)]
    rules = [shop.rule(listeners[0], priority) for priority in (3, 1, 2)]
    first = {"LoadBalancerArn": arns[0]}
    for operation, arguments, key, wanted in [
        ("describe_load_balancers", {}, "LoadBalancers", {"LoadBalancerArn": arns}),
        ("describe_target_groups", {}, "TargetGroups", {"TargetGroupArn": groups}),
        ("describe_listeners", first, "Listeners", {"ListenerArn": listeners}),
        ("describe_rules", {"ListenerArn": listeners[0]}, "Rules", {"RuleArn": [rules[1], rules[2], rules[0]]}),
        ("describe_account_limits", {}, "Limits", {}),
        ("describe_ssl_policies", {}, "SslPolicies", {}),
        ("describe_listener_certificates", {"ListenerArn": listeners[0]}, "Certificates", {}),
    ]:
        pages = shop.elb.get_paginator(operation).paginate(**arguments, PaginationConfig={"PageSize": 1})
        pages = [page[key] for page in pages]
        assert all(len(page) == 1 for page in pages) or pages == [[]], (operation, pages)
        paged = [item for page in pages for item in page]
        assert paged == getattr(shop.elb, operation)(**arguments)[key], operation
        for name, arns_wanted in wanted.items():
            found = [item[name] for item in paged if item[name] in arns_wanted]
            assert sorted(found) == sorted(arns_wanted), (operation, found)
            if operation == "describe_rules":
                assert found == arns_wanted, "rules are not in the order of their priorities"
    refused("ValidationError", "", shop.elb.describe_load_balancers, PageSize=401)
    for operation, key in (("describe_subnets", "Subnets"), ("describe_security_groups", "SecurityGroups")):
        pages = shop.ec2.get_paginator(operation).paginate(PaginationConfig={"PageSize": 5})
        assert [item for page in pages for item in page[key]] == getattr(shop.ec2, operation)()[key], operation
    for arn in arns:
        shop.elb.delete_load_balancer(LoadBalancerArn=arn)


# Idempotence.


def test_creates_are_idempotent(shop):
    name, port = shop.name(), free_port()
    made = shop.balancer(Name=name, Tags=[{"Key": "a", "Value": "b"}])
    again = shop.balancer(Name=name, Tags=[{"Key": "a", "Value": "b"}])
    assert made["LoadBalancerArn"] == again["LoadBalancerArn"], (made, again)
    text = f"A load balancer with the same name '{name}' exists, but with different settings"
    for change in ({"Subnets": shop.subnet_ids[:2]}, {"Scheme": "internal"}, {"Tags": [{"Key": "a", "Value": "c"}]}):
        options = {"Name": name, "Subnets": shop.subnet_ids, "Tags": [{"Key": "a", "Value": "b"}], **change}
        refused("DuplicateLoadBalancerName", text, shop.elb.create_load_balancer, **options)
    group = shop.group(Name=name)
    assert shop.group(Name=name) == group
    for change in ({"Port": 81}, {"HealthCheckPath": "/other"}, {"ProtocolVersion": "GRPC"}):
        options = {"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": shop.vpc, "TargetType": "ip", **change}
        refused("DuplicateTargetGroupName", name, shop.elb.create_target_group, **options)
    listener = shop.listener(made["LoadBalancerArn"], group, port)
    assert shop.listener(made["LoadBalancerArn"], group, port) == listener
    refused("DuplicateListener", "already exists", shop.elb.create_listener, LoadBalancerArn=made["LoadBalancerArn"],
            Protocol="HTTP", Port=port, DefaultActions=[fixed()])
    rule = shop.rule(listener, 1)
    refused("PriorityInUse", "priority", shop.rule, listener=listener, priority=1, path="/other")
    # A target twice, a tag twice, and what is not there deleted: no error, no change.
    target = {"Id": "127.0.0.1", "Port": 1}
    for _ in range(2):
        shop.elb.register_targets(TargetGroupArn=group, Targets=[target, target])
        shop.elb.add_tags(ResourceArns=[rule], Tags=[{"Key": "k", "Value": "v"}])
    assert len(shop.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]) == 1
    shop.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "127.0.0.2", "Port": 1}])
    for _ in range(2):
        shop.elb.delete_load_balancer(LoadBalancerArn=made["LoadBalancerArn"])
        shop.elb.delete_target_group(TargetGroupArn=group)
    refused("LoadBalancerNotFound", name, shop.elb.describe_load_balancers, Names=[name])


# Error codes and texts.


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
    refused("ValidationError", "Either conditions or actions must be specified", modify, RuleArn=rule)
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
    refused("ValidationError", "you must specify an Availability Zone", register, TargetGroupArn=group, Targets=[{"Id": "192.168.7.7"}])
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
            getattr(shop.house.client(service), operation)(**arguments)
        except ClientError as error:
            found, about = error.response["Error"], error.response["ResponseMetadata"]
            assert found["Code"] == code and found["Message"], (service, operation, found)
            assert about["HTTPStatusCode"] in (400, 404) and about["RequestId"], about
        else:
            raise AssertionError(f"{operation} was taken")


# Quotas.


def test_quotas(_):
    quotas = "application-load-balancers=2,listeners-per-application-load-balancer=2,targets-per-target-group=3,target-groups=4"
    with House(quota=quotas, pool="127.92.0.0/16") as house:
        shop = Shop(house)
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
        targets = [{"Id": "127.0.0.1", "Port": port} for port in range(1, 5)]
        shop.elb.register_targets(TargetGroupArn=groups[0], Targets=targets[:3])
        refused("TooManyTargets", "", shop.elb.register_targets, TargetGroupArn=groups[0], Targets=targets[3:])
        refused("TooManyTargets", "", shop.elb.register_targets, TargetGroupArn=groups[1], Targets=targets)
        assert not shop.elb.describe_target_health(TargetGroupArn=groups[1])["TargetHealthDescriptions"], "a refused call left something"
        refused("ValidationError", "A rule can only have '5' condition values", shop.rule, listener=listeners[0], priority=200,
                Conditions=[path_is(*(f"/{n}" for n in range(6)))])


# Tags, attributes, capacity.


def test_tags(shop):
    balancer, group = shop.balancer(Tags=[{"Key": "made", "Value": "here"}])["LoadBalancerArn"], shop.group()
    listener = shop.listener(balancer)
    arns = [balancer, group, listener, shop.rule(listener, 1)]
    odd = {"Key": "ä é: /=+-@._", "Value": "☃-less, but ü".replace("☃", "").replace(",", "")}
    shop.elb.add_tags(ResourceArns=arns, Tags=[{"Key": "a", "Value": "1"}, {"Key": "empty", "Value": ""}, odd])
    shop.elb.add_tags(ResourceArns=arns, Tags=[{"Key": "a", "Value": "2"}])
    shop.elb.remove_tags(ResourceArns=arns, TagKeys=["empty", "never there"])
    described = shop.elb.describe_tags(ResourceArns=arns)["TagDescriptions"]
    assert [description["ResourceArn"] for description in described] == arns
    for description in described:
        tags = {tag["Key"]: tag["Value"] for tag in description["Tags"]}
        made = {"made": "here"} if description["ResourceArn"] == balancer else {}
        assert tags == {"a": "2", odd["Key"]: odd["Value"], **made}, tags
    add = shop.elb.add_tags
    refused("DuplicateTagKeys", "", add, ResourceArns=[group], Tags=[{"Key": "x", "Value": "1"}, {"Key": "x", "Value": "2"}])
    refused("TooManyTags", "", add, ResourceArns=[group], Tags=[{"Key": f"k{n}", "Value": ""} for n in range(51)])
    refused("ValidationError", "key", add, ResourceArns=[group], Tags=[{"Key": "a" * 129, "Value": ""}])
    refused("ValidationError", "value", add, ResourceArns=[group], Tags=[{"Key": "a", "Value": "a" * 257}])
    refused("ValidationError", "pattern", add, ResourceArns=[group], Tags=[{"Key": "a", "Value": "<&>"}])
    refused("ValidationError", "aws:", add, ResourceArns=[group], Tags=[{"Key": "aws:a", "Value": ""}])
    refused("ValidationError", "", shop.elb.describe_tags, ResourceArns=[group] * 21)
    shop.elb.delete_load_balancer(LoadBalancerArn=balancer)
    refused("LoadBalancerNotFound", "", shop.elb.describe_tags, ResourceArns=[balancer])


# Key to default (None: taken from nowhere, only told), values that are taken, values that are not. After the reference's tables.
TOGGLE = (["true", "false"], ["yes", "True", ""])
LOG = {f"{log}.s3.{part}": value for log in ("access_logs", "connection_logs", "health_check_logs")
       for part, value in (("bucket", ("", ["interop-logs"], [])), ("prefix", ("", ["a/b"], ["AWSLogs/x"])), ("enabled", ("false", *TOGGLE)))}
BALANCER_ATTRIBUTES = {
    **LOG,
    "deletion_protection.enabled": ("false", *TOGGLE),
    "load_balancing.cross_zone.enabled": ("true", ["true"], ["false"]),
    "ipv6.deny_all_igw_traffic": ("false", *TOGGLE),
    "zonal_shift.config.enabled": ("false", *TOGGLE),
    "idle_timeout.timeout_seconds": ("60", ["1", "4000"], ["0", "4001", "-1", "1.5", "x", ""]),
    "client_keep_alive.seconds": ("3600", ["60", "604800"], ["59", "604801", "x"]),
    "routing.http.desync_mitigation_mode": ("defensive", ["monitor", "strictest", "defensive"], ["off", ""]),
    "routing.http.drop_invalid_header_fields.enabled": ("false", *TOGGLE),
    "routing.http.preserve_host_header.enabled": ("false", *TOGGLE),
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": ("false", *TOGGLE),
    "routing.http.xff_client_port.enabled": ("false", *TOGGLE),
    "routing.http.xff_header_processing.mode": ("append", ["preserve", "remove", "append"], ["drop"]),
    "routing.http2.enabled": ("true", *TOGGLE),
    "waf.fail_open.enabled": ("false", *TOGGLE),
}
THRESHOLD = "target_group_health"
GROUP_ATTRIBUTES = {
    "deregistration_delay.timeout_seconds": ("300", ["0", "3600"], ["-1", "3601", "x"]),
    "stickiness.enabled": ("false", *TOGGLE),
    "stickiness.lb_cookie.duration_seconds": ("86400", ["1", "604800"], ["0", "604801"]),
    "stickiness.app_cookie.cookie_name": ("", ["session"], []),
    "stickiness.type": ("lb_cookie", ["app_cookie", "lb_cookie"], ["cookie"]),
    "stickiness.app_cookie.duration_seconds": ("86400", ["1", "604800"], ["0", "604801"]),
    "load_balancing.algorithm.type": ("round_robin", ["least_outstanding_requests", "weighted_random"], ["random"]),
    "load_balancing.algorithm.anomaly_mitigation": ("off", ["on", "off"], ["true"]),
    "load_balancing.cross_zone.enabled": ("use_load_balancer_configuration", ["true", "false", "use_load_balancer_configuration"], ["on"]),
    f"{THRESHOLD}.dns_failover.minimum_healthy_targets.count": ("1", ["2", "off", "1"], ["0", "x"]),
    f"{THRESHOLD}.dns_failover.minimum_healthy_targets.percentage": ("off", ["1", "100", "off"], ["0", "101"]),
    f"{THRESHOLD}.unhealthy_state_routing.minimum_healthy_targets.count": ("1", ["1"], ["0", "off"]),
    f"{THRESHOLD}.unhealthy_state_routing.minimum_healthy_targets.percentage": ("off", ["off"], ["0", "101"]),
    "slow_start.duration_seconds": ("0", ["0"], ["29", "901", "x"]),
}
HEADERS = ["strict_transport_security", "access_control_allow_origin", "access_control_allow_methods", "access_control_allow_headers",
           "access_control_allow_credentials", "access_control_expose_headers", "access_control_max_age", "content_security_policy",
           "x_content_type_options", "x_frame_options"]
LISTENER_ATTRIBUTES = {
    "routing.http.response.server.enabled": ("true", *TOGGLE),
    **{f"routing.http.response.{name}.header_value": ("", ["a value; of=it", ""], ["a\nb", "x" * 1025, "ü"]) for name in HEADERS},
}


def check_attributes(arn, key_of_arn, describe, modify, table):
    def told():
        return {pair["Key"]: pair["Value"] for pair in describe(**{key_of_arn: arn})["Attributes"]}

    assert told() == {key: default for key, (default, _, _) in table.items()}, told()
    expected = told()
    for key, (_, taken, wrong) in table.items():
        for value in taken:
            answer = modify(**{key_of_arn: arn}, Attributes=[{"Key": key, "Value": value}])["Attributes"]
            expected[key] = value
            assert {pair["Key"]: pair["Value"] for pair in answer}[key] == value, (key, value, answer)
            assert told() == expected, (key, value)
        for value in wrong:
            try:
                modify(**{key_of_arn: arn}, Attributes=[{"Key": key, "Value": value}])
            except ClientError as error:
                code = error.response["Error"]["Code"]
                assert code in ("ValidationError", "InvalidConfigurationRequest"), (key, value, error)
            else:
                raise AssertionError(f"{key} = {value!r} was taken")
        assert told() == expected, (key, "a refused value left something")
    refused("ValidationError", "nothing.of.the.kind", modify, **{key_of_arn: arn}, Attributes=[
        {"Key": next(iter(table)), "Value": table[next(iter(table))][0]}, {"Key": "nothing.of.the.kind", "Value": "1"}])
    assert told() == expected, "a call that was refused changed something"


def test_load_balancer_attributes(shop):
    arn = shop.balancer()["LoadBalancerArn"]
    check_attributes(arn, "LoadBalancerArn", shop.elb.describe_load_balancer_attributes, shop.elb.modify_load_balancer_attributes, BALANCER_ATTRIBUTES)
    pairs = [{"Key": "waf.fail_open.enabled", "Value": "true"}] * 21
    refused("ValidationError", "20", shop.elb.modify_load_balancer_attributes, LoadBalancerArn=arn, Attributes=pairs)
    shop.elb.delete_load_balancer(LoadBalancerArn=arn)
    plain = shop.balancer()["LoadBalancerArn"]
    refused("InvalidConfigurationRequest", "bucket", shop.elb.modify_load_balancer_attributes, LoadBalancerArn=plain,
            Attributes=[{"Key": "access_logs.s3.enabled", "Value": "true"}])
    shop.elb.delete_load_balancer(LoadBalancerArn=plain)
    internal = shop.balancer(Scheme="internal")["LoadBalancerArn"]
    told = {pair["Key"]: pair["Value"] for pair in shop.elb.describe_load_balancer_attributes(LoadBalancerArn=internal)["Attributes"]}
    assert told["ipv6.deny_all_igw_traffic"] == "true", told
    shop.elb.delete_load_balancer(LoadBalancerArn=internal)


def test_target_group_attributes(shop):
    describe, modify = shop.elb.describe_target_group_attributes, shop.elb.modify_target_group_attributes
    check_attributes(shop.group(), "TargetGroupArn", describe, modify, GROUP_ATTRIBUTES)
    slow = {"Key": "slow_start.duration_seconds", "Value": "30"}
    random = {"Key": "load_balancing.algorithm.type", "Value": "weighted_random"}
    sticky = {"Key": "stickiness.enabled", "Value": "true"}
    for text, pairs in [
        ("You cannot enable both slow start and weighted random algorithm on a target group", [slow, random]),
        ("You cannot have both stickiness and weighted random algorithm enabled on the same target group.", [sticky, random]),
    ]:
        refused("InvalidConfigurationRequest", text, modify, TargetGroupArn=shop.group(), Attributes=pairs)
    refused("InvalidConfigurationRequest", "You must set an application cookie name to enable stickiness of type 'app_cookie'", modify,
            TargetGroupArn=shop.group(), Attributes=[sticky, {"Key": "stickiness.type", "Value": "app_cookie"}])
    refused("ValidationError", "'deregistration_delay.timeout_seconds' value '4000' must be between '0-3600' inclusive", modify,
            TargetGroupArn=shop.group(), Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "4000"}])
    refused("InvalidConfigurationRequest", "A target group with target type 'lambda' does not support the attribute deregistration_delay.timeout_seconds",
            modify, TargetGroupArn=shop.elb.create_target_group(Name=shop.name(), TargetType="lambda")["TargetGroups"][0]["TargetGroupArn"],
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}])
    refused("InvalidConfigurationRequest", "Stickiness type 'lb_cookie' is not supported for target groups with the TCP protocol", modify,
            TargetGroupArn=shop.group(Protocol="TCP"), Attributes=[sticky, {"Key": "stickiness.type", "Value": "lb_cookie"}])
    # Stickiness of a target group and of the rule that it stands behind.
    balancer = shop.balancer()["LoadBalancerArn"]
    groups = [shop.group(), shop.group()]
    forward = {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": group} for group in groups]}}
    shop.listener(balancer, DefaultActions=[forward])
    refused("InvalidConfigurationRequest", "You must enable group stickiness before enabling target stickiness", modify,
            TargetGroupArn=groups[0], Attributes=[sticky])
    shop.elb.delete_load_balancer(LoadBalancerArn=balancer)


def test_listener_attributes(shop):
    balancer = shop.balancer()["LoadBalancerArn"]
    listener = shop.listener(balancer)
    check_attributes(listener, "ListenerArn", shop.elb.describe_listener_attributes, shop.elb.modify_listener_attributes, LISTENER_ATTRIBUTES)
    shop.elb.delete_load_balancer(LoadBalancerArn=balancer)


def test_capacity_reservation(shop):
    arn = shop.balancer()["LoadBalancerArn"]
    describe, modify = shop.elb.describe_capacity_reservation, shop.elb.modify_capacity_reservation
    before = describe(LoadBalancerArn=arn)
    assert before["DecreaseRequestsRemaining"] == 2 and "MinimumLoadBalancerCapacity" not in before, before
    modify(LoadBalancerArn=arn, MinimumLoadBalancerCapacity={"CapacityUnits": 300})
    held = describe(LoadBalancerArn=arn)
    assert held["MinimumLoadBalancerCapacity"] == {"CapacityUnits": 300}, held
    assert {zone["State"]["Code"] for zone in held["CapacityReservationState"]} == {"provisioned"}, held
    assert sum(zone["EffectiveCapacityUnits"] for zone in held["CapacityReservationState"]) == 300, held
    for units in (200, 150):
        modify(LoadBalancerArn=arn, MinimumLoadBalancerCapacity={"CapacityUnits": units})
    refused("CapacityDecreaseRequestLimitExceeded", "", modify, LoadBalancerArn=arn, MinimumLoadBalancerCapacity={"CapacityUnits": 100})
    refused("CapacityUnitsLimitExceeded", "", modify, LoadBalancerArn=arn, MinimumLoadBalancerCapacity={"CapacityUnits": 15001})
    refused("ValidationError", "", modify, LoadBalancerArn=arn)
    modify(LoadBalancerArn=arn, ResetCapacityReservation=True)
    assert "MinimumLoadBalancerCapacity" not in describe(LoadBalancerArn=arn)
    shop.elb.delete_load_balancer(LoadBalancerArn=arn)


# Signatures.

FORM = "application/x-www-form-urlencoded; charset=utf-8"
CALLS = {
    "elasticloadbalancing": (b"Action=DescribeLoadBalancers&Version=2015-12-01", {"Content-Type": FORM}),
    "ec2": (b"Action=DescribeVpcs&Version=2016-11-15", {"Content-Type": FORM}),
    "sts": (b"Action=GetCallerIdentity&Version=2011-06-15", {"Content-Type": FORM}),
    "acm": (b"{}", {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "CertificateManager.ListCertificates"}),
}


@contextlib.contextmanager
def clock(shift):
    """Signatures made here bear a time that is off by `shift` seconds."""
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=shift)
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: at.replace(tzinfo=None)):
        yield


def post(shop, service, key=None, shift=0, change=None):
    """Status and body of a call whose request is signed, then changed."""
    body, headers = CALLS[service]
    request = AWSRequest("POST", shop.house.api + "/", headers=dict(headers), data=body)
    key = key or read_keys(shop.house.directory / "credentials", "default")
    with clock(shift):
        SigV4Auth(Credentials(*key), service, REGION).add_auth(request)
    headers = dict(request.headers.items())
    if change:
        body = change(headers, body)
    connection = http.client.HTTPConnection(shop.house.api.removeprefix("http://"), timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", "/", body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_signatures(shop):
    key, secret = read_keys(shop.house.directory / "credentials", "default")

    def unsigned(headers, body):
        for name in ("Authorization", "X-Amz-Date"):
            headers.pop(name)
        return body

    def half(headers, body):
        headers["Authorization"] = headers["Authorization"].split(", Signature=")[0]
        return body

    def other_body(_, body):
        return body + (b" " if body == b"{}" else b"&DryRun=false")

    def other_header(headers, body):
        headers["X-Amz-Date"] = headers["X-Amz-Date"][:-2] + ("1Z" if headers["X-Amz-Date"][-2] == "0" else "0Z")
        return body

    plain, json_codes = "elasticloadbalancing", "acm"
    for wrong, options, codes in [
        ("nothing", {}, None),
        ("a clock within five minutes", {"shift": -200}, None),
        ("an unknown key", {"key": ("AKIAAAAAAAAAAAAAAAAA", secret)}, ("InvalidClientTokenId", "AuthFailure", "UnrecognizedClientException")),
        ("a wrong secret", {"key": (key, secret + "x")}, ("SignatureDoesNotMatch", "SignatureDoesNotMatch", "InvalidSignatureException")),
        ("a late clock", {"shift": 1200}, ("SignatureDoesNotMatch", "SignatureDoesNotMatch", "InvalidSignatureException")),
        ("an early clock", {"shift": -1200}, ("SignatureDoesNotMatch", "RequestExpired", "InvalidSignatureException")),
        ("no signature", {"change": unsigned}, ("MissingAuthenticationToken", "MissingAuthenticationToken", "MissingAuthenticationTokenException")),
        ("half a signature", {"change": half}, ("IncompleteSignature", "IncompleteSignature", "IncompleteSignatureException")),
        ("another body", {"change": other_body}, ("SignatureDoesNotMatch", "SignatureDoesNotMatch", "InvalidSignatureException")),
        ("another date", {"change": other_header}, ("SignatureDoesNotMatch", "SignatureDoesNotMatch", "InvalidSignatureException")),
    ]:
        for service, number in ((plain, 0), ("sts", 0), ("ec2", 1), (json_codes, 2)):
            status, body = post(shop, service, **options)
            if codes is None:
                assert status == 200, (wrong, service, status, body)
            else:
                assert status in (400, 401, 403) and codes[number] in body, (wrong, service, codes[number], status, body)


def test_presigned(shop):
    at = shop.house.api.removeprefix("http://")
    balancer = shop.balancer(Name=shop.name())
    calls = [("elbv2", "describe_load_balancers", {"Names": [balancer["LoadBalancerName"]]}, balancer["DNSName"]),
             ("sts", "get_caller_identity", {}, "000000000000"), ("ec2", "describe_vpcs", {}, shop.vpc)]

    def fetch(method, url):
        connection = http.client.HTTPConnection(at, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, url.removeprefix(shop.house.api))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    for (service, operation, arguments, wanted), method in itertools.product(calls, ("GET", "POST")):
        client = shop.house.client(service)

        def url(shift=0):
            with clock(shift):
                return client.generate_presigned_url(operation, Params=arguments, ExpiresIn=60, HttpMethod=method)

        status, body = fetch(method, url())
        assert status == 200 and wanted in body, (service, method, status, body)
        late = fetch(method, url(-120))
        assert late[0] in (400, 403), (service, method, late)
        forged = fetch(method, url().replace("X-Amz-Expires=60", "X-Amz-Expires=6000"))
        assert forged[0] == 403 and "SignatureDoesNotMatch" in forged[1], (service, method, forged)
    shop.elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])


# Everything that the service models forbid, and everything that they have and Forebay does not.


def documented_operations():
    """Service to the operations that the generated page says are served."""
    found, service = {}, None
    for line in (ROOT / "docs/supported-operations.md").read_text().splitlines():
        if heading := re.match(r"## .*\(`(\w+)`\)", line):
            service = found.setdefault(heading[1], set())
        elif line.startswith("- "):
            service.add(line[2:].strip())
    return found


def long_enough(shape, text):
    return text * -(-max(1, shape.metadata.get("min", 0)) // len(text))


def sound(shape, depth=0):
    """A value that keeps the shape's constraints, its pattern perhaps left out; deep structures with what is required only."""
    if shape.type_name == "structure":
        return {name: sound(member, depth + 1) for name, member in shape.members.items() if name in shape.required_members}
    if shape.type_name == "list":
        return [sound(shape.member, depth + 1)] * max(1, shape.metadata.get("min", 0))
    if shape.type_name == "map":
        return {sound(shape.key): sound(shape.value)}
    if shape.type_name in ("integer", "long", "float", "double"):
        return max(1, shape.metadata.get("min", 1))
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else long_enough(shape, "a")
    return {"boolean": True, "blob": b"a" * max(1, shape.metadata.get("min", 0)), "timestamp": 0}[shape.type_name]


def matches(pattern, text):
    """Whether a Java pattern takes the whole text; None if Python cannot tell."""
    python = re.sub(r"\\p{(L|N|Z|IsLatin)}", "", pattern)
    try:
        return re.fullmatch(python, text) is not None
    except re.error:
        return None


def violations(shape, required=True):
    """What breaks the shape's own constraints: what it is called, and the value."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    kind = shape.type_name
    if kind in ("integer", "long"):
        yield "no number", "abc"
        yield "a huge number", 10**30
        if high is not None:
            yield "too large", high + 1
        if low is not None:
            yield "too small", low - 1
    elif kind == "string":
        if shape.enum:
            yield "not in the enum", "no-such-word"
        if high is not None and high < 100_000:
            yield "too long", "a" * (high + 1)
        if low and not shape.enum:
            yield "too short", "a" * (low - 1)
        if pattern := shape.metadata.get("pattern"):
            for text in ("\u2603\u00a7", "!", " ", "a b", "<x>&"):
                fits = long_enough(shape, text)[: high or None]
                if matches(pattern, fits) is False and len(fits) >= (low or 0):
                    yield "not by the pattern", fits
                    break
    elif kind == "list":
        if high is not None and high < 1000:
            yield "too many", [sound(shape.member)] * (high + 1)
        if low:
            yield "too few", []
    elif kind == "blob" and high is not None and high < 200_000:
        yield "too long", b"a" * (high + 1)


def wrong_inputs(shape, known, build=lambda value: value, path="", depth=0):
    """Every input with one violation: its path, what is wrong, the input. `known` holds values of members that name something
    that exists; `build` places a value where `shape` is."""
    for wrong, value in violations(shape):
        yield path, wrong, build(value)
    if shape.type_name == "structure" and depth < 4:
        base = {**sound(shape), **{name: value for name, value in known.items() if name in shape.members and depth == 0}}
        for name, member in shape.members.items():
            below = f"{path}.{name}" if path else name
            rest = {other: value for other, value in base.items() if other != name}
            if not rest and depth:
                # What has no member at all cannot be sent.
                others = (other for other in shape.members if other != name and shape.members[other].type_name == "string")
                rest = {other: sound(shape.members[other]) for other in itertools.islice(others, 1)}
            if name in shape.required_members and (rest or not depth):
                yield below, "missing", build(rest)
            yield from wrong_inputs(member, known, lambda value, name=name: build({**base, name: value}), below, depth + 1)
    elif shape.type_name == "list":
        yield from wrong_inputs(shape.member, known, lambda value: build([value]), f"{path}.1", depth + 1)


REFUSED_INPUT = re.compile(r"Validation(Error|Exception)|Malformed\w*|Missing\w*|InvalidParameter\w*|Invalid\w*\.Malformed|SerializationException|InvalidLoadBalancerAction")


def code_of(client, operation, arguments):
    """Status, code and message of the answer; any answer that is no refusal has the code OK."""
    try:
        client._make_api_call(operation, arguments)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    return 200, "OK", ""


# A blank text is to Elastic Load Balancing one that was not given, and Query cannot say that a list is empty: what the operation
# then lacks may get any refusal.
SAME_AS_MISSING = ("too short", "too few")


def lenient_client(house, service):
    key, secret = read_keys(house.directory / "credentials", "default")
    config = Config(retries={"max_attempts": 0}, read_timeout=30, parameter_validation=False)
    return boto3.client(service, endpoint_url=house.api, region_name=REGION, aws_access_key_id=key, aws_secret_access_key=secret, config=config)


def test_model_driven(_):
    sent, problems = collections.Counter(), []
    with House(pool="127.93.0.0/16") as house:
        shop = Shop(house)
        balancer, group = shop.balancer()["LoadBalancerArn"], shop.group()
        listener = shop.listener(balancer, group)
        known = {"LoadBalancerArn": balancer, "TargetGroupArn": group, "ListenerArn": listener, "RuleArn": shop.rule(listener, 1)}
        for service, served in documented_operations().items():
            client = lenient_client(house, service)
            model = client.meta.service_model
            assert served <= set(model.operation_names), served - set(model.operation_names)
            for operation in sorted(served):
                shape = model.operation_model(operation).input_shape
                if shape is None:
                    continue
                for path, wrong, arguments in wrong_inputs(shape, known):
                    try:
                        status, code, message = code_of(client, operation, arguments)
                    except Exception as error:  # noqa: BLE001: what botocore's own serialiser cannot send
                        if "serialize" in "".join(traceback.format_tb(error.__traceback__)):
                            continue
                        problems.append(f"{service} {operation} {path} {wrong}: {error!r}")
                        continue
                    sent[wrong] += 1
                    if not 400 <= status < 500 or (not REFUSED_INPUT.fullmatch(code) and wrong not in SAME_AS_MISSING):
                        problems.append(f"{service} {operation} {path} {wrong}: {status} {code} {message[:150]}")
        assert "panicked" not in house.stderr(), house.stderr()[-2000:]
    print(f"    {sum(sent.values())} calls with one thing wrong: {dict(sent)}")
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems)


def test_unsupported_operations(_):
    count = 0
    with House(pool="127.93.0.0/16") as house:
        for service, served in documented_operations().items():
            client = lenient_client(house, service)
            wanted = "UnknownOperationException" if service == "acm" else "InvalidAction"
            for operation in client.meta.service_model.operation_names:
                if operation in served:
                    continue
                shape = client.meta.service_model.operation_model(operation).input_shape
                status, code, message = code_of(client, operation, sound(shape) if shape else {})
                assert (status, code) == (400, wanted) and operation in message, (service, operation, status, code, message)
                count += 1
    print(f"    {count} operations are named as not served")


# Many at once, and starting again.


def test_concurrent_writers(shop):
    balancer, group = shop.balancer()["LoadBalancerArn"], shop.group()
    listener = shop.listener(balancer, group)

    def writer(number):
        elb, won = shop.house.client("elbv2"), []
        for priority in range(1, 13):
            try:
                elb.create_rule(ListenerArn=listener, Priority=priority, Conditions=[path_is(f"/{number}/{priority}")], Actions=[fixed(body=str(number))])
                won.append(priority)
            except ClientError as error:
                assert error.response["Error"]["Code"] == "PriorityInUse", error
            elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "127.0.0.1", "Port": number * 100 + priority}])
            elb.add_tags(ResourceArns=[group], Tags=[{"Key": f"{number}-{priority % 4}", "Value": str(priority)}])
            if priority % 2:
                elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "127.0.0.1", "Port": number * 100 + priority}])
        return number, won

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        won = dict(pool.map(writer, range(1, 9)))
    assert sorted(itertools.chain(*won.values())) == list(range(1, 13)), won
    rules = [rule for rule in shop.elb.describe_rules(ListenerArn=listener)["Rules"] if not rule["IsDefault"]]
    assert [int(rule["Priority"]) for rule in rules] == list(range(1, 13)), rules
    for rule in rules:
        body = rule["Actions"][0]["FixedResponseConfig"]["MessageBody"]
        assert int(rule["Priority"]) in won[int(body)] and rule["Conditions"][0]["PathPatternConfig"]["Values"] == [f"/{body}/{rule['Priority']}"], rule
    described = shop.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    kept = {entry["Target"]["Port"] for entry in described if entry["TargetHealth"]["State"] != "draining"}
    assert kept == {number * 100 + priority for number in range(1, 9) for priority in range(2, 13, 2)}, kept
    tags = {tag["Key"]: tag["Value"] for tag in shop.elb.describe_tags(ResourceArns=[group])["TagDescriptions"][0]["Tags"]}
    assert tags == {f"{number}-{n % 4}": str(n) for number in range(1, 9) for n in range(9, 13)}, tags
    shop.elb.delete_load_balancer(LoadBalancerArn=balancer)


def everything(house):
    """All that can be described, without what is observed."""
    elb, ec2 = house.client("elbv2"), house.client("ec2")
    told = {"limits": elb.describe_account_limits()["Limits"]}
    for kind in ("vpcs", "subnets", "security_groups", "security_group_rules", "route_tables", "internet_gateways", "tags"):
        answer = getattr(ec2, f"describe_{kind}")()
        answer.pop("ResponseMetadata")
        told[kind] = answer
    told["certificates"] = house.client("acm").list_certificates()["CertificateSummaryList"]
    told["groups"] = elb.describe_target_groups()["TargetGroups"]
    told["balancers"] = elb.describe_load_balancers()["LoadBalancers"]
    arns = []
    for group in told["groups"]:
        arn = group["TargetGroupArn"]
        arns.append(arn)
        told[arn] = elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
        described = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        told[arn + " targets"] = [entry["Target"] for entry in described]
    for balancer in told["balancers"]:
        arn = balancer["LoadBalancerArn"]
        told[arn] = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
        capacity = elb.describe_capacity_reservation(LoadBalancerArn=arn)
        capacity.pop("ResponseMetadata")
        told[arn + " capacity"] = capacity
        listeners = told[arn + " listeners"] = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
        arns.append(arn)
        for listener in listeners:
            arn = listener["ListenerArn"]
            told[arn] = elb.describe_listener_attributes(ListenerArn=arn)["Attributes"]
            rules = told[arn + " rules"] = elb.describe_rules(ListenerArn=arn)["Rules"]
            arns += [arn, *(rule["RuleArn"] for rule in rules)]
    for arn in arns:
        told[arn + " tags"] = elb.describe_tags(ResourceArns=[arn])["TagDescriptions"]
    return told


def test_restart_keeps_everything(_):
    with contextlib.ExitStack() as stack:
        house = stack.enter_context(House(pool="127.94.0.0/16"))
        samples = [stack.enter_context(Sample(f"kept-{n}")) for n in range(2)]
        balancer = Balancer(house, "kept", delay=7)
        shop = Shop(house)
        shop.rule(balancer.listener, 3, "/fixed", Tags=[{"Key": "Name", "Value": "rule"}], Actions=[fixed(body="still here")])
        shop.elb.modify_load_balancer_attributes(LoadBalancerArn=balancer.arn, Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "77"}])
        shop.elb.modify_listener_attributes(ListenerArn=balancer.listener, Attributes=[
            {"Key": "routing.http.response.x_frame_options.header_value", "Value": "DENY"}])
        shop.elb.modify_capacity_reservation(LoadBalancerArn=balancer.arn, MinimumLoadBalancerCapacity={"CapacityUnits": 200})
        shop.elb.add_tags(ResourceArns=[balancer.arn, balancer.group], Tags=[{"Key": "a", "Value": "b"}])
        vpc = shop.ec2.create_vpc(CidrBlock="10.78.0.0/16")["Vpc"]["VpcId"]
        security = shop.ec2.create_security_group(GroupName="kept", Description="kept", VpcId=vpc)["GroupId"]
        shop.ec2.authorize_security_group_ingress(GroupId=security, IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 90, "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "kept"}]}])
        balancer.register(*samples)
        balancer.wait_healthy(*samples)
        before = everything(house)
        for end in (house.kill, house.stop):
            end()
            house.start()
            after = everything(house)
            for key in before.keys() | after.keys():
                assert before.get(key) == after.get(key), f"{key}: {before.get(key)} became {after.get(key)}"
            # Traffic flows by the old configuration before anyone has called.
            status, headers, body = get(balancer.nodes[0], balancer.port, "/fixed")
            assert (status, body) == (200, b"still here"), (status, body)
            assert {name.lower(): value for name, value in headers.items()}.get("x-frame-options") == "DENY", headers
            assert {get(balancer.nodes[0], balancer.port)[2].strip() for _ in range(8)} == {b"kept-0", b"kept-1"}


def test_regions_are_apart(shop):
    there = shop.house.client("elbv2", region="eu-west-1")
    name = shop.name()
    here = shop.balancer(Name=name)["LoadBalancerArn"]
    subnets = [subnet["SubnetId"] for subnet in shop.house.client("ec2", region="eu-west-1").describe_subnets()["Subnets"]]
    other = there.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    assert ":eu-west-1:" in other and f":{REGION}:" in here, (here, other)
    assert [found["LoadBalancerArn"] for found in there.describe_load_balancers()["LoadBalancers"]] == [other]
    refused("LoadBalancerNotFound", "", shop.elb.describe_load_balancers, LoadBalancerArns=[other])
    there.delete_load_balancer(LoadBalancerArn=other)
    assert shop.elb.describe_load_balancers(Names=[name])["LoadBalancers"]
    shop.elb.delete_load_balancer(LoadBalancerArn=here)


def main():
    cases = {name: case for name, case in globals().items() if name.startswith("test_") and callable(case)}
    chosen = {name: cases[name] for name in sys.argv[1:]} or cases
    failed = []
    with House(pool="127.84.0.0/14") as house:
        shop = Shop(house)
        for name, case in chosen.items():
            began = time.monotonic()
            try:
                case(shop)
                print(f"  {name} passed in {time.monotonic() - began:.1f} s", flush=True)
            except Exception:  # noqa: BLE001: a runner reports whatever a case raises
                failed.append(name)
                print(f"  {name} FAILED\n{traceback.format_exc()}", flush=True)
        if "panicked" in house.stderr():
            failed.append("panic")
            print(house.stderr()[-4000:])
        if not failed:
            house.stop()
    print(f"boto3: {len(chosen) - len(failed)} passed, {len(failed)} failed {' '.join(failed)}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
