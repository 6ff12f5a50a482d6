"""What the AWS Load Balancer Controller asks: where a pod's address is, whose resources are tagged, and what AWS has beside."""

import ipaddress
import json

from boto3_cases.shop import NOWHERE, refused
from daemon import get, wait

PODS = "10.244.0.0/16"
SHARED = "elbv2.k8s.aws/targetGroupBinding=shared"


def failed(code, call, **arguments):
    """The call fails with this code, whatever its words."""
    refused(code, "", call, **arguments)


def node(shop):
    """An instance that stands for a node of a cluster, and its interface as DescribeInstances shows it."""
    made = shop.ec2.run_instances(
        ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1, SubnetId=shop.subnet_ids[0],
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "kubernetes.io/cluster/kind", "Value": "owned"}]}])
    return described(shop, made["Instances"][0]["InstanceId"])


def described(shop, instance):
    found = shop.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert found["State"]["Name"] == "running" and len(found["NetworkInterfaces"]) == 1, found
    return instance, found["NetworkInterfaces"][0]


def supports(interface, pod):
    """Whether the controller takes the pod for one of this interface."""
    addresses = [one["PrivateIpAddress"] for one in interface["PrivateIpAddresses"]]
    prefixes = [ipaddress.ip_network(one["Ipv4Prefix"]) for one in interface.get("Ipv4Prefixes", [])]
    return pod in addresses or any(ipaddress.ip_address(pod) in prefix for prefix in prefixes)


def test_pod_network_of_a_node(shop):
    """The way from a pod to its node's security group, call by call."""
    instance, interface = node(shop)
    eni = interface["NetworkInterfaceId"]
    assert not supports(interface, "10.244.1.17"), interface
    answer = shop.ec2.assign_private_ip_addresses(NetworkInterfaceId=eni, Ipv4Prefixes=[PODS])
    assert answer["NetworkInterfaceId"] == eni and answer["AssignedIpv4Prefixes"] == [{"Ipv4Prefix": PODS}], answer
    _, interface = described(shop, instance)
    assert interface["Ipv4Prefixes"] == [{"Ipv4Prefix": PODS}] and supports(interface, "10.244.1.17"), interface
    assert interface["PrivateIpAddresses"] == [{"Primary": True, "PrivateIpAddress": interface["PrivateIpAddress"]}], interface
    shown = shop.ec2.describe_network_interfaces(NetworkInterfaceIds=[eni])["NetworkInterfaces"][0]
    assert shown["Ipv4Prefixes"] == [{"Ipv4Prefix": PODS}] and shown["Attachment"]["InstanceId"] == instance, shown
    # Its one security group gets a rule whose source is the load balancers' group.
    [endpoint] = [group["GroupId"] for group in interface["Groups"]]
    backend = shop.ec2.create_security_group(GroupName=shop.name(), Description="[k8s] Shared Backend", VpcId=shop.vpc)["GroupId"]
    permission = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "UserIdGroupPairs": [{"GroupId": backend, "Description": SHARED}]}
    answer = shop.ec2.authorize_security_group_ingress(GroupId=endpoint, IpPermissions=[permission])
    [rule] = answer["SecurityGroupRules"]
    assert answer["Return"] and rule["ReferencedGroupInfo"]["GroupId"] == backend and rule["Description"] == SHARED, answer
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"], rule["IsEgress"]) == ("tcp", 8080, 8080, False), rule
    rules = shop.ec2.describe_security_groups(GroupIds=[endpoint])["SecurityGroups"][0]["IpPermissions"]
    pairs = [pair for rule in rules if rule.get("FromPort") == 8080 for pair in rule["UserIdGroupPairs"]]
    assert [(pair["GroupId"], pair["Description"]) for pair in pairs] == [(backend, SHARED)], rules
    failed("InvalidPermission.Duplicate", shop.ec2.authorize_security_group_ingress, GroupId=endpoint, IpPermissions=[permission])
    # A pod beyond the VPC is a target of all zones.
    group = shop.group()
    shop.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "10.244.1.17", "Port": 8080, "AvailabilityZone": "all"}])
    shop.ec2.revoke_security_group_ingress(GroupId=endpoint, IpPermissions=[permission])
    shop.ec2.delete_security_group(GroupId=backend)
    shop.elb.delete_target_group(TargetGroupArn=group)
    shop.ec2.unassign_private_ip_addresses(NetworkInterfaceId=eni, Ipv4Prefixes=[PODS])
    assert "Ipv4Prefixes" not in described(shop, instance)[1]
    shop.ec2.terminate_instances(InstanceIds=[instance])


def test_secondary_addresses(shop):
    instance, interface = node(shop)
    eni = interface["NetworkInterfaceId"]
    assign = shop.ec2.assign_private_ip_addresses
    answer = assign(NetworkInterfaceId=eni, SecondaryPrivateIpAddressCount=2)
    taken = [one["PrivateIpAddress"] for one in answer["AssignedPrivateIpAddresses"]]
    assert len(set(taken)) == 2, answer
    shown = described(shop, instance)[1]["PrivateIpAddresses"]
    assert [(one["PrivateIpAddress"], one["Primary"]) for one in shown] == [
        (interface["PrivateIpAddress"], True), (taken[0], False), (taken[1], False)], shown
    for call, key, name in [
        (shop.ec2.describe_network_interfaces, "NetworkInterfaces", "addresses.private-ip-address"),
        (shop.ec2.describe_instances, "Reservations", "network-interface.addresses.private-ip-address"),
    ]:
        found = call(Filters=[{"Name": name, "Values": [taken[1]]}, {"Name": "vpc-id", "Values": [shop.vpc]}])[key]
        assert len(found) == 1, (name, found)
    other, beside = node(shop)
    moved = {"NetworkInterfaceId": beside["NetworkInterfaceId"], "PrivateIpAddresses": [taken[0]]}
    refused("InvalidParameterValue", taken[0], assign, **moved)
    assert assign(**moved, AllowReassignment=True)["AssignedPrivateIpAddresses"] == [{"PrivateIpAddress": taken[0]}]
    assert not supports(described(shop, instance)[1], taken[0]) and supports(described(shop, other)[1], taken[0])
    assign(NetworkInterfaceId=eni, PrivateIpAddresses=["10.244.9.9"])
    for code, arguments in [
        ("InvalidNetworkInterfaceID.NotFound", {"NetworkInterfaceId": "eni-0123456789abcdef0", "Ipv4Prefixes": [PODS]}),
        ("MissingParameter", {}),
        ("InvalidParameterValue", {"PrivateIpAddresses": ["10.244.0.999"]}),
        ("InvalidParameterValue", {"Ipv4Prefixes": ["10.244.0.0/99"]}),
        ("InvalidParameterCombination", {"PrivateIpAddresses": ["10.244.0.9"], "SecondaryPrivateIpAddressCount": 1}),
        ("InsufficientCidrBlocks", {"Ipv4PrefixCount": 1}),
        ("PrivateIpAddressLimitExceeded", {"Ipv4Prefixes": [f"10.{n}.0.0/16" for n in range(60)]}),
    ]:
        failed(code, assign, **{"NetworkInterfaceId": eni, **arguments})
    refused("InvalidParameterValue", f"Some of the specified addresses are not assigned to interface {eni}",
            shop.ec2.unassign_private_ip_addresses, NetworkInterfaceId=eni, PrivateIpAddresses=["10.244.0.1"])
    shop.ec2.unassign_private_ip_addresses(NetworkInterfaceId=eni, PrivateIpAddresses=[taken[1], "10.244.9.9"])
    assert len(described(shop, instance)[1]["PrivateIpAddresses"]) == 1
    shop.ec2.terminate_instances(InstanceIds=[instance, other])


def test_resources_by_tags(shop):
    """Resources are found by type and tags, over pages, with all of their tags."""
    tagging = shop.daemon.client("resourcegroupstaggingapi")
    cluster = {"Key": "elbv2.k8s.aws/cluster", "Value": shop.name()}
    stack = {"Key": "ingress.k8s.aws/stack", "Value": "default/web"}
    balancer = shop.balancer(Tags=[cluster, stack])["LoadBalancerArn"]
    groups = [shop.group(Tags=[cluster, {**stack, "Value": f"default/{n}"}]) for n in range(3)]
    shop.group(Tags=[{**cluster, "Value": "another"}])

    def found(**arguments):
        pages = tagging.get_paginator("get_resources").paginate(**arguments)
        return [one for page in pages for one in page["ResourceTagMappingList"]]

    def arns(**arguments):
        return sorted(one["ResourceARN"] for one in found(**arguments))

    mine = {"Key": cluster["Key"], "Values": [cluster["Value"]]}
    assert arns(TagFilters=[mine]) == sorted([balancer, *groups])
    assert arns(TagFilters=[mine], ResourceTypeFilters=["elasticloadbalancing:targetgroup"]) == sorted(groups)
    both = [mine, {"Key": stack["Key"], "Values": [stack["Value"]]}]
    answer = tagging.get_resources(ResourceTypeFilters=["elasticloadbalancing:loadbalancer"], TagFilters=both)
    tags = sorted([cluster, stack], key=lambda tag: tag["Key"])
    assert answer["PaginationToken"] == "" and answer["ResourceTagMappingList"] == [{"ResourceARN": balancer, "Tags": tags}], answer
    assert arns(TagFilters=[mine], PaginationConfig={"PageSize": 1}) == sorted([balancer, *groups])
    first = tagging.get_resources(TagFilters=[mine], ResourcesPerPage=3)
    assert len(first["ResourceTagMappingList"]) == 3 and first["PaginationToken"], first
    second = tagging.get_resources(TagFilters=[mine], ResourcesPerPage=3, PaginationToken=first["PaginationToken"])
    assert len(second["ResourceTagMappingList"]) == 1 and second["PaginationToken"] == "", second
    assert arns(ResourceARNList=[balancer, f"{NOWHERE}:loadbalancer/app/gone/0123456789abcdef"]) == [balancer]
    subnet = shop.subnet_ids[0]
    shop.ec2.create_tags(Resources=[subnet], Tags=[{"Key": "kubernetes.io/role/elb", "Value": "1"}])
    [role] = found(TagFilters=[{"Key": "kubernetes.io/role/elb"}], ResourceTypeFilters=["ec2:subnet"])
    assert role["ResourceARN"].endswith(f":subnet/{subnet}"), role
    assert cluster["Key"] in tagging.get_tag_keys()["TagKeys"]
    assert cluster["Value"] in tagging.get_tag_values(Key=cluster["Key"])["TagValues"]
    for arguments in ({"ResourcesPerPage": 101}, {"TagsPerPage": 1}, {"PaginationToken": "nonsense"},
                      {"ResourceARNList": [balancer], "TagFilters": [mine]}):
        failed("InvalidParameterException", tagging.get_resources, **arguments)
    shop.ec2.delete_tags(Resources=[subnet], Tags=[{"Key": "kubernetes.io/role/elb"}])
    shop.elb.delete_load_balancer(LoadBalancerArn=balancer)
    for group in groups:
        shop.elb.delete_target_group(TargetGroupArn=group)
    assert arns(TagFilters=[mine]) == []


def test_no_shield_and_no_firewall(shop):
    assert shop.daemon.client("shield").get_subscription_state()["SubscriptionState"] == "INACTIVE"
    balancer = shop.balancer()["LoadBalancerArn"]
    gone = f"{NOWHERE}:loadbalancer/app/gone/0123456789abcdef"
    for service, key in (("wafv2", "WebACL"), ("waf-regional", "WebACLSummary")):
        ask = shop.daemon.client(service).get_web_acl_for_resource
        assert key not in ask(ResourceArn=balancer), service
        failed("WAFNonexistentItemException", ask, ResourceArn=gone)
    for service, operation, arguments in [
        ("shield", "create_protection", {"Name": "one", "ResourceArn": balancer}),
        ("wafv2", "associate_web_acl", {"WebACLArn": "arn:aws:wafv2:local-1:000000000000:regional/webacl/one/0", "ResourceArn": balancer}),
    ]:
        failed("UnknownOperationException", getattr(shop.daemon.client(service), operation), **arguments)
    shop.elb.delete_load_balancer(LoadBalancerArn=balancer)


def test_what_does_nothing_says_so(shop):
    """A load balancer that carries no traffic, an instance that never boots, a list that nobody made."""
    name = shop.name()
    network = shop.elb.create_load_balancer(Name=name, Type="network", Subnets=shop.subnet_ids)["LoadBalancers"][0]["LoadBalancerArn"]
    wait(lambda: f"load balancer '{name}' is stored and described, but carries no traffic" in shop.daemon.stderr(), "the log says so")
    health = json.loads(get(*shop.daemon.admin.removeprefix("http://").split(":"), "/health")[2])
    assert [idle["name"] for idle in health["load_balancers_without_traffic"]] == [name] and health["status"] == "ok", health
    shop.elb.delete_load_balancer(LoadBalancerArn=network)
    instance, _ = node(shop)
    reason = shop.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["StateReason"]
    assert reason["Code"] == "Server.NotBooted" and "ami-0123456789abcdef0" in reason["Message"], reason
    shop.ec2.terminate_instances(InstanceIds=[instance])
    group = shop.ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    refused("InvalidPrefixListID.NotFound", "pl-0123456789abcdef0", shop.ec2.authorize_security_group_ingress, GroupId=group,
            IpPermissions=[{"IpProtocol": "-1", "PrefixListIds": [{"PrefixListId": "pl-0123456789abcdef0"}]}])
