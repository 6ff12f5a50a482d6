"""Fleets of workers on a queue, for the interop suites: instances that are `backlog_worker.py`, in a group that is sized by the backlog."""

import json
import os
import pathlib
import random
import shutil
import sys

HERE = pathlib.Path(__file__).parent
PARAMETER = "ProcessingQueueName"


def command(folder, script="backlog_worker.py"):
    """A worker's command, with its script where any user may read it: instances are nobody's. Keys, region and endpoint are the instance's own."""
    folder.mkdir(mode=0o755, exist_ok=True)
    shutil.copy(HERE / script, folder)
    # The environment's packages without its interpreter's link, which may lead where others must not look.
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    return f"exec env HOME=/nonexistent PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={packages} python3 {folder / script}"


class Workers:
    """A queue and the group of workers on it, in a region of its own."""

    def __init__(self, daemon, image, region, name, latency, visibility=120, spot=False, maximum=60, **tags):
        self.region, self.name = region, name
        self.sqs, self.scaling = daemon.client("sqs", region=region), daemon.client("autoscaling", region=region)
        self.ec2, self.iam = daemon.client("ec2", region=region), daemon.client("iam", region=region)
        self.queue = f"{name}.fifo"
        self.url = self.sqs.create_queue(QueueName=self.queue, Attributes={"FifoQueue": "true", "VisibilityTimeout": str(visibility)})["QueueUrl"]
        daemon.client("ssm", region=region).put_parameter(Name=PARAMETER, Type="String", Value=self.queue)
        data = {"ImageId": image, "InstanceType": "c6i.large", "IamInstanceProfile": {"Name": name}}
        if spot:
            data["InstanceMarketOptions"] = {"MarketType": "spot"}
        template = self.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)["LaunchTemplate"]["LaunchTemplateId"]
        subnets = [subnet["SubnetId"] for subnet in self.ec2.describe_subnets()["Subnets"]]
        tags = {"queue": self.queue, "latency": latency, "idle-seconds": 5, **{key.replace("_", "-"): value for key, value in tags.items()}}
        self.scaling.create_auto_scaling_group(
            AutoScalingGroupName=name, MinSize=0, MaxSize=maximum, VPCZoneIdentifier=",".join(subnets), DefaultInstanceWarmup=2,
            LaunchTemplate={"LaunchTemplateId": template, "Version": "$Latest"},
            Tags=[{"Key": f"forebay:backlog-{key}", "Value": str(value), "PropagateAtLaunch": False} for key, value in tags.items()])

    def put(self, count, seconds):
        """Sends so many messages at once; their bodies' ids."""
        ids = random.sample(range(1 << 16), count)
        for start in range(0, count, 10):
            entries = [{"Id": str(number), "MessageBody": json.dumps({"id": number, "duration": seconds}), "MessageGroupId": str(number),
                        "MessageDeduplicationId": f"{number}:{number}"} for number in ids[start:start + 10]]
            assert len(self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)["Successful"]) == len(entries)
        return ids

    def counts(self):
        """Messages that are visible, and in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return tuple(int(found[name]) for name in names)

    def instances(self):
        (group,) = self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"]
        return group["Instances"]

    def serving(self):
        return [one["InstanceId"] for one in self.instances() if one["LifecycleState"] == "InService"]

    def end(self):
        self.scaling.delete_auto_scaling_group(AutoScalingGroupName=self.name, ForceDelete=True)
