"""The two published functions beside workers of a queue's backlog, with their calls, on schedules of their own:
`backlog_functions.py [--publish SECONDS] [--set SECONDS]` (60 and 60; 0 leaves one out).

One publishes the backlog per instance: visible messages over instances in service (environment: queueName, asgName). The other sets the
target of the group's policy to the acceptable latency over what a message took last (asgName, desiredLatency, defaultMsgProcDuration).
As published, nothing is published while no instance is in service: that division fails, is told, and the next turn comes."""

import argparse
import datetime
import os
import sys
import time

import boto3
from botocore.config import Config

CONFIG = Config(retries={"max_attempts": 10, "mode": "standard"})
NAMESPACE = "ASG-Metrics"
DAY = datetime.timedelta(days=1)


def publish():
    """Backlog per instance, with a second's resolution."""
    group = os.environ["asgName"]
    queue = boto3.resource("sqs", config=CONFIG).get_queue_by_name(QueueName=os.environ["queueName"])
    visible = int(queue.attributes["ApproximateNumberOfMessages"])
    told = boto3.client("autoscaling", config=CONFIG).describe_auto_scaling_groups(AutoScalingGroupNames=[group], MaxRecords=100)
    instances = [one for described in told["AutoScalingGroups"] for one in described["Instances"] if one["LifecycleState"] == "InService"]
    backlog = visible / len(instances)
    boto3.client("cloudwatch", config=CONFIG).put_metric_data(Namespace=NAMESPACE, MetricData=[
        {"MetricName": "BPI", "Value": backlog, "Dimensions": [{"Name": "Type", "Value": "Single Queue"}], "StorageResolution": 1}])
    return f"BPI {backlog:g}: {visible} messages, {len(instances)} instances"


def set_target():
    """The policy as it is described, with another target value, put again."""
    group, latency = os.environ["asgName"], int(os.environ["desiredLatency"])
    metrics, scaling = (boto3.client(service, config=CONFIG) for service in ("cloudwatch", "autoscaling"))
    # Dates without a time zone, which clients send as UTC.
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    told = metrics.get_metric_data(MetricDataQueries=[{"Id": "query_123", "MetricStat": {
        "Metric": {"Namespace": NAMESPACE, "MetricName": "MsgProcessingDuration"}, "Period": 1, "Stat": "Average"}}], StartTime=now - DAY, EndTime=now)
    values = told["MetricDataResults"][0]["Values"]
    duration = values[0] if values else int(os.environ["defaultMsgProcDuration"])
    target = int(latency / duration)
    policy = scaling.describe_policies(AutoScalingGroupName=group, PolicyTypes=["TargetTrackingScaling"])["ScalingPolicies"][0]
    configuration = policy["TargetTrackingConfiguration"]
    configuration["TargetValue"] = target
    scaling.put_scaling_policy(AutoScalingGroupName=group, PolicyName=policy["PolicyName"], PolicyType=policy["PolicyType"],
                               TargetTrackingConfiguration=configuration)
    metrics.put_metric_data(Namespace=NAMESPACE, MetricData=[{"MetricName": "ASG-Target-BPI", "Value": target, "StorageResolution": 1}])
    return f"target {target}: {latency} s over {duration:g} s"


def main():
    parser = argparse.ArgumentParser(description="The two published functions, on schedules of their own.")
    parser.add_argument("--publish", type=float, default=60, metavar="SECONDS")
    parser.add_argument("--set", type=float, default=60, metavar="SECONDS")
    arguments = parser.parse_args()
    began = time.monotonic()
    # Each with its period and the turn that it is at.
    functions = [[function, period, 0] for function, period in ((set_target, arguments.set), (publish, arguments.publish)) if period]
    if not functions:
        sys.exit("neither function runs")
    while True:
        function = min(functions, key=lambda one: one[1] * one[2])
        time.sleep(max(0, began + function[1] * function[2] - time.monotonic()))
        function[2] += 1
        try:
            print(function[0](), flush=True)
        except Exception as error:  # noqa: BLE001: a function that fails is called again at its time
            print(f"{function[0].__name__} failed: {error!r}", flush=True)


if __name__ == "__main__":
    main()
