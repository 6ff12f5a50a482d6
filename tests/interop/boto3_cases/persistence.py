"""Many writers at once, and starting again."""

import concurrent.futures
import contextlib
import itertools

from botocore.exceptions import ClientError

from boto3_cases.shop import Shop, fixed, path_is
from daemon import Balancer, Daemon, Sample, get


def test_concurrent_writers(shop):
    balancer, group = shop.balancer()["LoadBalancerArn"], shop.group()
    listener = shop.listener(balancer, group)

    def writer(number):
        elb, won = shop.daemon.client("elbv2"), []
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


def everything(daemon):
    """All that can be described, without what is observed."""
    elb, ec2 = daemon.client("elbv2"), daemon.client("ec2")
    told = {"limits": elb.describe_account_limits()["Limits"]}
    for kind in ("vpcs", "subnets", "security_groups", "security_group_rules", "route_tables", "internet_gateways", "instances",
                 "network_interfaces", "tags"):
        answer = getattr(ec2, f"describe_{kind}")()
        answer.pop("ResponseMetadata")
        told[kind] = answer
    told["certificates"] = daemon.client("acm").list_certificates()["CertificateSummaryList"]
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
        daemon = stack.enter_context(Daemon(pool="127.38.0.0/16"))
        samples = [stack.enter_context(Sample(f"kept-{n}")) for n in range(2)]
        balancer = Balancer(daemon, "kept", delay=7)
        shop = Shop(daemon)
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
        interface = shop.ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"][0]["NetworkInterfaces"][0]["NetworkInterfaceId"]
        shop.ec2.assign_private_ip_addresses(NetworkInterfaceId=interface, SecondaryPrivateIpAddressCount=1, Ipv4Prefixes=["10.244.0.0/16"])
        balancer.register(*samples)
        balancer.wait_healthy(*samples)
        before = everything(daemon)
        for end in (daemon.kill, daemon.stop):
            end()
            daemon.start()
            after = everything(daemon)
            for key in before.keys() | after.keys():
                assert before.get(key) == after.get(key), f"{key}: {before.get(key)} became {after.get(key)}"
            # Traffic flows by the old configuration before anyone has called.
            status, headers, body = get(balancer.nodes[0], balancer.port, "/fixed")
            assert (status, body) == (200, b"still here"), (status, body)
            assert {name.lower(): value for name, value in headers.items()}.get("x-frame-options") == "DENY", headers
            assert {get(balancer.nodes[0], balancer.port)[2].strip() for _ in range(8)} == {b"kept-0", b"kept-1"}
