"""Waiters, paginators, and calls made twice."""

from botocore.exceptions import WaiterError

from boto3_cases.shop import fixed, refused
from daemon import Sample, free_port

QUICK = {"Delay": 1, "MaxAttempts": 60}


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
