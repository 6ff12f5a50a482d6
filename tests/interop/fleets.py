"""Auto Scaling groups of real instances behind a load balancer, for the interop suites."""

import atexit
import os
import pathlib
import shutil
import subprocess
import tempfile

from daemon import BINARY, free_port, wait

PORT = 8000
# Without root, instances can only be whoever starts Forebay.
FLAGS = {} if os.geteuid() == 0 else {"instance_user": "own"}


def stage_binary():
    """The binary where any user may run it: instances are nobody's."""
    folder = pathlib.Path(tempfile.gettempdir()) / f"forebay-instances-{os.getpid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    path = folder / "forebay"
    if not path.exists():
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        shutil.copy(BINARY, path)
        path.chmod(0o755)
    return path


def add_image(daemon, name, command):
    """An image made from a command; its id."""
    done = subprocess.run(
        [BINARY, "image", "add", name, "--command", command, "--data-dir", str(daemon.directory)],
        capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (word,) = [word for word in done.stdout.split() if word.startswith("ami-")][:1]
    return word


def sample_command(*flags):
    return f"exec {stage_binary()} sample-target --listen $FOREBAY_ADDRESS:$PORT --name $INSTANCE_ID " + " ".join(flags)


class Fleet:
    """A load balancer with a target group of instances, and a group that fills it."""

    def __init__(self, daemon, image, name="fleet", delay=None, interval=5, minimum=1, maximum=10, desired=None, target=None, **group):
        self.daemon, self.name = daemon, name
        self.elb, self.ec2 = daemon.client("elbv2"), daemon.client("ec2")
        self.scaling, self.watch = daemon.client("autoscaling"), daemon.client("cloudwatch")
        subnets = self.ec2.describe_subnets()["Subnets"]
        self.subnets = [subnet["SubnetId"] for subnet in subnets]
        made = self.elb.create_load_balancer(Name=name, Subnets=self.subnets)["LoadBalancers"][0]
        self.balancer = made["LoadBalancerArn"]
        made = self.elb.create_target_group(
            Name=name, Protocol="HTTP", Port=PORT, VpcId=subnets[0]["VpcId"], TargetType="instance",
            HealthCheckIntervalSeconds=interval, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2,
            **(target or {}),
        )
        self.group = made["TargetGroups"][0]["TargetGroupArn"]
        if delay is not None:
            self.attributes({"deregistration_delay.timeout_seconds": str(delay)})
        self.port = free_port()
        self.elb.create_listener(
            LoadBalancerArn=self.balancer, Protocol="HTTP", Port=self.port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.group}],
        )
        zones = self.elb.describe_load_balancers(Names=[name])["LoadBalancers"][0]["AvailabilityZones"]
        self.nodes = [zone["LoadBalancerAddresses"][0]["IpAddress"] for zone in zones]
        self.template = self.ec2.create_launch_template(
            LaunchTemplateName=name, LaunchTemplateData={"ImageId": image, "InstanceType": "c6i.large"},
        )["LaunchTemplate"]["LaunchTemplateId"]
        self.scaling.create_auto_scaling_group(
            AutoScalingGroupName=name, MinSize=minimum, MaxSize=maximum,
            DesiredCapacity=minimum if desired is None else desired, VPCZoneIdentifier=",".join(self.subnets),
            LaunchTemplate={"LaunchTemplateId": self.template, "Version": "$Latest"}, TargetGroupARNs=[self.group], **group,
        )

    def attributes(self, attributes):
        self.elb.modify_target_group_attributes(
            TargetGroupArn=self.group, Attributes=[{"Key": key, "Value": value} for key, value in attributes.items()],
        )

    def described(self):
        return self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"][0]

    def instances(self, state="InService"):
        return [one["InstanceId"] for one in self.described()["Instances"] if one["LifecycleState"] == state]

    def desire(self, count):
        self.scaling.set_desired_capacity(AutoScalingGroupName=self.name, DesiredCapacity=count)

    def healthy(self):
        health = self.elb.describe_target_health(TargetGroupArn=self.group)["TargetHealthDescriptions"]
        return {one["Target"]["Id"] for one in health if one["TargetHealth"]["State"] == "healthy"}

    def wait_serving(self, count, seconds=60):
        """Until exactly so many instances are in the group, in service and healthy; their ids."""
        def serving():
            ids = [one["InstanceId"] for one in self.described()["Instances"]]
            return len(ids) == count and set(self.instances()) == self.healthy() == set(ids) and (ids or True)
        return wait(serving, lambda: f"{count} instances serve: {self.activities}", seconds)

    @property
    def activities(self):
        told = self.scaling.describe_scaling_activities(AutoScalingGroupName=self.name)["Activities"]
        return [(one["StatusCode"], one["Description"], one.get("StatusMessage")) for one in told[:5]]

    def policy(self, name, **settings):
        return self.scaling.put_scaling_policy(AutoScalingGroupName=self.name, PolicyName=name, **settings)["PolicyARN"]

    def dimension(self, arn):
        """What CloudWatch calls it."""
        tail = arn.rsplit(":", 1)[1]
        return tail.removeprefix("loadbalancer/")

    def delete(self):
        self.scaling.delete_auto_scaling_group(AutoScalingGroupName=self.name, ForceDelete=True)
        gone = lambda: not self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"]
        wait(gone, "the group is gone", 60)
