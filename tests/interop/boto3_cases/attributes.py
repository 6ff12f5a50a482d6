"""Every attribute: its default told, each value taken and told, wrong ones refused."""

from botocore.exceptions import ClientError

from boto3_cases.shop import refused

# Key to default values that are taken, values that are not. After the reference's tables.
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


def test_what_excludes_what(shop):
    """The matrix of reference features, each refusal with its words and with nothing changed."""
    describe, modify = shop.elb.describe_target_group_attributes, shop.elb.modify_target_group_attributes
    pair = lambda key, value: {"Key": key, "Value": value}
    slow, sticky = pair("slow_start.duration_seconds", "30"), pair("stickiness.enabled", "true")
    least, random = (pair("load_balancing.algorithm.type", name) for name in ("least_outstanding_requests", "weighted_random"))
    mitigation, zonal = pair("load_balancing.algorithm.anomaly_mitigation", "on"), pair("load_balancing.cross_zone.enabled", "false")
    control = shop.group(TargetControlPort=3000)
    dns = lambda part, value: pair(f"{THRESHOLD}.dns_failover.minimum_healthy_targets.{part}", value)
    routing = lambda part, value: pair(f"{THRESHOLD}.unhealthy_state_routing.minimum_healthy_targets.{part}", value)
    everywhere = shop.group(TargetType="ip")
    shop.elb.register_targets(TargetGroupArn=everywhere, Targets=[{"Id": "10.255.0.1", "AvailabilityZone": "all"}])
    for text, group, pairs in [
        ("You cannot enable both slow start and least outstanding requests algorithm on a target group", shop.group(), [slow, least]),
        ("You can enable anomaly mitigation only on target groups with the weighted random algorithm", shop.group(), [mitigation]),
        ("You can enable anomaly mitigation only on target groups with the weighted random algorithm", shop.group(), [mitigation, least]),
        ("You cannot enable stickiness on target groups for which cross-zone load balancing is off", shop.group(), [sticky, zonal]),
        ("Target groups with a target control port support only the round robin algorithm", control, [least]),
        ("Target groups with a target control port support only the round robin algorithm", control, [random]),
        ("Target groups with a target control port do not support stickiness", control, [sticky]),
        ("You cannot turn off cross-zone load balancing while a target is registered for Availability Zone 'all'", everywhere, [zonal]),
        ("The DNS failover threshold (count) must be greater than or equal to the routing failover threshold", shop.group(), [routing("count", "3"), dns("count", "2")]),
        ("The DNS failover threshold (percentage) must be greater than or equal to the routing failover threshold", shop.group(), [routing("percentage", "50"), dns("percentage", "49")]),
    ]:
        before = describe(TargetGroupArn=group)["Attributes"]
        refused("InvalidConfigurationRequest", text, modify, TargetGroupArn=group, Attributes=pairs)
        assert describe(TargetGroupArn=group)["Attributes"] == before, text
    # What goes together, does.
    for pairs in [[slow, sticky], [sticky, least], [random, mitigation], [least, zonal], [routing("count", "2"), dns("count", "2")]]:
        modify(TargetGroupArn=shop.group(), Attributes=pairs)
    modify(TargetGroupArn=control, Attributes=[slow, zonal])
    function = shop.elb.create_target_group(Name=shop.name(), TargetType="lambda")["TargetGroups"][0]["TargetGroupArn"]
    for wrong in [slow, least, zonal, dns("count", "1"), mitigation]:
        refused("InvalidConfigurationRequest", f"A target group with target type 'lambda' does not support the attribute {wrong['Key']}",
                modify, TargetGroupArn=function, Attributes=[wrong])
    refused("ValidationError", "A target control port needs target type 'instance' or 'ip'", shop.elb.create_target_group,
            Name=shop.name(), TargetType="lambda", TargetControlPort=3000)
    refused("TargetGroupNotFound", "One or more target groups not found", shop.elb.describe_target_groups, Names=["no-such-group"])


def test_listener_attributes(shop):
    balancer = shop.balancer()["LoadBalancerArn"]
    listener = shop.listener(balancer)
    check_attributes(listener, "ListenerArn", shop.elb.describe_listener_attributes, shop.elb.modify_listener_attributes, LISTENER_ATTRIBUTES)
    shop.elb.delete_load_balancer(LoadBalancerArn=balancer)
