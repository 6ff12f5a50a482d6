"""Terraform with the AWS provider makes, changes and destroys groups of real instances: each plan after an apply is empty, and apply
waits until the instances are there. Arguments name the configurations to run: groups, mixed, refresh; without any, all run."""

import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from daemon import Daemon, free_port, get, wait  # noqa: E402
from fleets import FLAGS, add_image, sample_command  # noqa: E402
from run import Terraform, environment_of_terraform, mirror, not_checked  # noqa: E402

SHAPES = [
    {"name": "c6i.large", "vcpus": 2, "memoryMib": 4096, "onDemandPrice": 0.085, "spotPrice": 0.03,
     "spotCapacity": {f"eu-west-2{zone}": 2 for zone in "abc"}, "interruptionRate": 0.05},
    {"name": "m5.large", "vcpus": 2, "memoryMib": 8192, "onDemandPrice": 0.096, "spotPrice": 0.035,
     "spotCapacity": {f"eu-west-2{zone}": 20 for zone in "abc"}, "interruptionRate": 0.05},
    {"name": "m5.4xlarge", "vcpus": 16, "memoryMib": 65536, "onDemandPrice": 0.768, "spotPrice": 0.3},
]


class Run:
    """One configuration: made, changed, destroyed."""

    def __init__(self, daemon, environment, directory, name, region, variables):
        self.daemon, self.name = daemon, name
        self.scaling = daemon.client("autoscaling", region=region)
        self.terraform = Terraform(directory / name, environment, variables, f"{name}/main.tf")
        self.terraform.run("init", "-input=false", "-no-color")

    def make(self):
        self.terraform.make()
        self.terraform.assert_unchanged(f"right after {self.name} was made")

    def change(self):
        (self.terraform.directory / "second.auto.tfvars.json").write_text('{"second": true}')
        plan = self.terraform.plan()
        for resource in plan["resource_changes"]:
            actions = resource["change"]["actions"]
            assert actions in (["no-op"], ["update"], ["read"]), f"{resource['address']} would not be changed in place: {actions}"
        self.terraform.apply()
        self.terraform.assert_unchanged(f"right after {self.name} was changed")

    def destroy(self):
        count = len(list(self.terraform.resources()))
        self.terraform.run("destroy", "-auto-approve", "-input=false", "-no-color", "-parallelism=20")
        left = self.scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
        assert not left, left
        print(f"{self.name}: {count} resources made, changed and destroyed", flush=True)

    def group(self):
        return self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"][0]

    def states(self):
        return sorted(one["LifecycleState"] for one in self.group()["Instances"])


def groups(daemon, environment, directory, image):
    port = free_port()
    run = Run(daemon, environment, directory, "groups", "eu-west-1", {"image": image, "port": port})
    run.make()
    elb = daemon.client("elbv2", region="eu-west-1")
    zones = elb.describe_load_balancers(Names=["groups"])["LoadBalancers"][0]["AvailabilityZones"]
    node = zones[0]["LoadBalancerAddresses"][0]["IpAddress"]
    # Apply has waited: all of them serve.
    served = {get(node, port)[1].get("x-target") for _ in range(20)}
    assert served == {one["InstanceId"] for one in run.group()["Instances"]} and len(served) == 2, served
    alarms = daemon.client("cloudwatch", region="eu-west-1").describe_alarms()["MetricAlarms"]
    assert sum(alarm["AlarmName"].startswith("TargetTracking-groups-Alarm") for alarm in alarms) == 4, alarms
    run.change()
    served = {get(node, port)[1].get("x-target") for _ in range(30)}
    assert len(served) == 3, served
    run.destroy()
    left = daemon.client("cloudwatch", region="eu-west-1").describe_alarms()["MetricAlarms"]
    assert not left, left


def mixed(daemon, environment, directory, image):
    run = Run(daemon, environment, directory, "mixed", "eu-west-2", {"image": image})
    run.make()
    ec2 = daemon.client("ec2", region="eu-west-2")

    def instances():
        found = ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
        return [(one["InstanceType"], one.get("InstanceLifecycle", "on-demand")) for held in found["Reservations"] for one in held["Instances"]]

    # The deepest pools: those with the most room that is likely to stay.
    assert instances() == [("m5.large", "spot")] * 3, instances()
    run.change()
    wait(lambda: len(instances()) == 4, lambda: f"four instances run: {instances()}", 30)
    run.destroy()


def refresh(daemon, environment, directory, image):
    run = Run(daemon, environment, directory, "refresh", "eu-west-3", {"image": image})
    run.make()
    first = {one["InstanceId"] for one in run.group()["Instances"]}
    run.change()
    refreshes = lambda: run.scaling.describe_instance_refreshes(AutoScalingGroupName="refresh")["InstanceRefreshes"]
    told = lambda: json.dumps(refreshes()[0], default=str)
    wait(lambda: refreshes()[0]["Status"] == "Successful", lambda: f"the refresh is over: {told()}", 300)
    group = run.group()
    second = {one["InstanceId"] for one in group["Instances"] if one["LifecycleState"] == "InService"}
    assert not first & second and len(second) == 2, (first, second)
    versions = {one["LaunchTemplate"]["Version"] for one in group["Instances"] if one["LifecycleState"] == "InService"}
    assert versions == {"2"}, versions
    run.terraform.assert_unchanged("after the refresh")
    run.destroy()


def main():
    plugins = mirror()
    if plugins is None:
        not_checked("the AWS provider 5.100.0 was not found")
    asked = sys.argv[1:] or ["groups", "mixed", "refresh"]
    with tempfile.TemporaryDirectory() as made, tempfile.NamedTemporaryFile("w", suffix=".json") as shapes:
        json.dump(SHAPES, shapes)
        shapes.flush()
        with Daemon(pool="127.192.0.0/14", shapes=shapes.name, **FLAGS) as daemon:
            image = add_image(daemon, "plain", sample_command())
            directory = pathlib.Path(made)
            environment = environment_of_terraform(daemon, directory, plugins)
            for name in asked:
                {"groups": groups, "mixed": mixed, "refresh": refresh}[name](daemon, environment, directory, image)
            assert "panic" not in daemon.stderr(), daemon.stderr()[-2000:]
            daemon.stop()
    print("terraform groups: passed")


if __name__ == "__main__":
    sys.exit(main())
