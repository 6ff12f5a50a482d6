"""What the cases share: a daemon with clients, and what they make in it."""

import itertools

from botocore.exceptions import ClientError

from daemon import free_port

NOWHERE = "arn:aws:elasticloadbalancing:local-1:000000000000"


class Shop:
    """The daemon that the cases share, and what they need of it. Names are never used twice."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.elb, self.ec2 = daemon.client("elbv2"), daemon.client("ec2")
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
