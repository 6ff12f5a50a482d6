"""The published workers of a queue, their metric and their target setter, unmodified in their calls, against Forebay: a group of instances
that are such workers scales on the backlog until all is done, and the target moves when messages take longer."""

import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

from cloudwatch_reads import now
from daemon import REGION, Daemon, read_keys, wait
from fleets import FLAGS, add_image

HERE = pathlib.Path(__file__).parent
QUEUE, GROUP = "ProcessingQueue.fifo", "Test-ASG"
LATENCY = 10


def environment(daemon):
    access_key, secret = read_keys(daemon.directory / "credentials", "default")
    return {"AWS_ENDPOINT_URL": daemon.api, "AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true"}


def worker_command(daemon, folder):
    """Where any user may read it: instances are nobody's."""
    folder.mkdir(mode=0o755, exist_ok=True)
    shutil.copy(HERE / "backlog_worker.py", folder)
    words = " ".join(f"{name}={value}" for name, value in environment(daemon).items())
    # The environment's packages without its interpreter's link, which may lead where others must not look.
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    return f"exec env {words} HOME=/nonexistent PYTHONPATH={packages} python3 {folder / 'backlog_worker.py'}"


def make_group(daemon, folder):
    scaling, ec2 = daemon.client("autoscaling"), daemon.client("ec2")
    image = add_image(daemon, "worker", worker_command(daemon, folder))
    template = ec2.create_launch_template(LaunchTemplateName="worker", LaunchTemplateData={"ImageId": image, "InstanceType": "c6i.large"})
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=GROUP, MinSize=1, MaxSize=6, DesiredCapacity=1, VPCZoneIdentifier=",".join(subnets), DefaultInstanceWarmup=0,
        LaunchTemplate={"LaunchTemplateId": template["LaunchTemplate"]["LaunchTemplateId"], "Version": "$Latest"})
    metric = {"MetricName": "BPI", "Namespace": "ASG-Metrics", "Statistic": "Average", "Dimensions": [{"Name": "Type", "Value": "Single Queue"}]}
    scaling.enable_metrics_collection(AutoScalingGroupName=GROUP, Granularity="1Minute", Metrics=["GroupInServiceInstances"])
    scaling.put_scaling_policy(
        AutoScalingGroupName=GROUP, PolicyName="backlog", PolicyType="TargetTrackingScaling",
        TargetTrackingConfiguration={"CustomizedMetricSpecification": {**metric, "Period": 10}, "TargetValue": 100, "DisableScaleIn": True})
    return scaling


def produce(daemon, count, duration):
    more = {"queue_name": QUEUE, "default_msg_proc_duration": str(duration), "number_of_messages": str(count)}
    ran = subprocess.run([sys.executable, HERE / "backlog_worker.py", "--produce"], env=os.environ | environment(daemon) | more, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def metric_values(client, name, dimensions=()):
    told = client.get_metric_data(MetricDataQueries=[{"Id": "a", "MetricStat": {
        "Metric": {"Namespace": "ASG-Metrics", "MetricName": name, "Dimensions": list(dimensions)}, "Period": 1, "Stat": "Average"}}],
        StartTime=now() - datetime.timedelta(minutes=10), EndTime=now() + datetime.timedelta(seconds=5))
    return told["MetricDataResults"][0]["Values"]


def documented_policy():
    """The target tracking configuration of docs/queue-workers.md, for this queue and this group."""
    text = (HERE.parents[1] / "docs" / "queue-workers.md").read_text()
    (found,) = re.findall(r"--target-tracking-configuration '(\{.*?\})'\n", text, re.DOTALL)
    return json.loads(found.replace('"jobs"', json.dumps(QUEUE)).replace('"workers"', json.dumps(GROUP)))


def tracks_by_metric_math(daemon, scaling, metrics):
    """The plain way that the documentation has: the policy is taken, its alarms watch the expression, and the expression has values."""
    policy = documented_policy()
    made = scaling.put_scaling_policy(AutoScalingGroupName=GROUP, PolicyName="math", PolicyType="TargetTrackingScaling",
                                      TargetTrackingConfiguration={**policy, "DisableScaleIn": True})
    queries = policy["CustomizedMetricSpecification"]["Metrics"]
    (alarm,) = metrics.describe_alarms(AlarmNames=[one["AlarmName"] for one in made["Alarms"] if "High" in one["AlarmName"]])["MetricAlarms"]
    assert {one.get("Expression") for one in alarm["Metrics"]} >= {"(visible / instances) / (300 / seconds)"}, alarm
    asked = [{**one, **({"MetricStat": {**one["MetricStat"], "Period": 60}} if "MetricStat" in one else {})} for one in queries]
    values = lambda: metrics.get_metric_data(MetricDataQueries=asked, StartTime=now() - datetime.timedelta(minutes=10),
                                             EndTime=now() + datetime.timedelta(minutes=1))["MetricDataResults"][0]["Values"]
    # The group's size is told at the beginning of a minute, and how long messages take when one is done: in one minute there must be both.
    until = time.monotonic() + 120
    while not values():
        assert time.monotonic() < until, "the expression has no value"
        produce(daemon, 1, 1)
        time.sleep(2)


def main():
    with Daemon(pool="127.18.0.0/16", **FLAGS) as daemon:
        folder = pathlib.Path(f"/tmp/forebay-backlog-{os.getpid()}")
        sqs = daemon.client("sqs")
        url = sqs.create_queue(QueueName=QUEUE, Attributes={"FifoQueue": "true", "VisibilityTimeout": "60"})["QueueUrl"]
        daemon.client("ssm").put_parameter(Name="ProcessingQueueName", Type="String", Value=QUEUE)
        scaling, metrics = make_group(daemon, folder), daemon.client("cloudwatch")
        in_service = lambda: [one for one in scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"][0]["Instances"]
                              if one["LifecycleState"] == "InService"]
        wait(in_service, "a worker is in service")
        more = {"queueName": QUEUE, "asgName": GROUP, "desiredLatency": str(LATENCY), "defaultMsgProcDuration": "1"}
        functions = subprocess.Popen([sys.executable, HERE / "backlog_functions.py", "--publish", "1", "--set", "3"], stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, text=True, env=os.environ | environment(daemon) | more)
        said = []
        reader = threading.Thread(target=lambda: said.extend(functions.stdout))
        reader.start()
        try:
            target = lambda: scaling.describe_policies(AutoScalingGroupName=GROUP)["ScalingPolicies"][0]["TargetTrackingConfiguration"]
            figures = lambda: [int(value) for value in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[
                "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"])["Attributes"].values()]
            before = target()
            # The first must last until the alarm has seen three periods of ten seconds.
            for count, duration in ((45, 1), (15, 2)):
                produce(daemon, count, duration)
                wait(lambda: target()["TargetValue"] == LATENCY // duration, lambda: f"the target is {LATENCY // duration}: {target()} {said[-5:]}", 90)
                wait(lambda: not any(figures()), lambda: f"all is done: {figures()} {said[-5:]}", 120)
                print(f"{count} messages of {duration} s: done, {len(in_service())} instances, target {target()['TargetValue']}", flush=True)
            assert {**target(), "TargetValue": 0} == {**before, "TargetValue": 0}, (before, target())
            assert len(in_service()) > 1, f"the group did not grow: {said[-20:]}"
        finally:
            functions.kill()
            functions.wait()
            reader.join()
        dimension = [{"Name": "Type", "Value": "Single Queue"}]
        assert set(metric_values(metrics, "MsgProcessingDuration")) == {1, 2}, metric_values(metrics, "MsgProcessingDuration")
        assert {5, 10} <= set(metric_values(metrics, "ASG-Target-BPI")), metric_values(metrics, "ASG-Target-BPI")
        assert max(metric_values(metrics, "BPI", dimension)) > 3, metric_values(metrics, "BPI", dimension)
        assert not [line for line in said if "failed" in line], [line for line in said if "failed" in line][:3]
        tracks_by_metric_math(daemon, scaling, metrics)
        scaling.delete_auto_scaling_group(AutoScalingGroupName=GROUP, ForceDelete=True)
        wait(lambda: not list((daemon.directory / "instances").glob("i-*")), "nothing is left of instances", 60)
        daemon.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print("backlog: passed")


if __name__ == "__main__":
    main()
