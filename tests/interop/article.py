"""The published set-up with nothing of ours in it: two functions with the published calls, each on a schedule of a minute, one publishes the
backlog per instance, the other sets the target of the group's policy; workers with the published calls do the messages of a FIFO queue.
UpdateFunctionConfiguration changes the acceptable latency between.

`article.py [--minutes M]` (2.4). With six minutes or more the group must have grown by its alarm, and all messages must be done."""

import argparse
import io
import os
import pathlib
import shutil
import time
import zipfile

from backlog import GROUP, QUEUE, make_group, metric_values, produce
from daemon import Daemon, wait
from fleets import FLAGS
from functions_cases.place import TRUST, python
from schedules import runs

HERE = pathlib.Path(__file__).parent
# Seconds of a message, and the acceptable latency before and after.
DURATION, LATENCIES = 4, (80, 40)


def archive():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as files:
        for name in ("published_functions.py", "backlog_functions.py"):
            files.write(HERE / name, name)
    return packed.getvalue()


def make_functions(daemon):
    """Each with its environment as published, on `rate(1 minute)`."""
    functions, scheduler = daemon.client("lambda"), daemon.client("scheduler")
    role = daemon.client("iam").create_role(RoleName="published", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    variables = {"publish": {"queueName": QUEUE, "asgName": GROUP},
                 "set_target": {"asgName": GROUP, "desiredLatency": str(LATENCIES[0]), "defaultMsgProcDuration": str(DURATION)}}
    for name, environment in variables.items():
        arn = functions.create_function(FunctionName=name, Runtime="python3.11", Handler=f"published_functions.{name}", Role=role, Timeout=30,
                                        MemorySize=256, Code={"ZipFile": archive()}, Environment={"Variables": environment})["FunctionArn"]
        scheduler.create_schedule(Name=name, ScheduleExpression="rate(1 minute)", FlexibleTimeWindow={"Mode": "OFF"},
                                  Target={"Arn": arn, "RoleArn": role})
    return functions, variables


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=2.4)
    arguments = parser.parse_args()
    folder = pathlib.Path(f"/tmp/forebay-article-{os.getpid()}")
    with python() as flags, Daemon(pool="127.28.0.0/16", **flags, **FLAGS) as daemon:
        sqs = daemon.client("sqs")
        url = sqs.create_queue(QueueName=QUEUE, Attributes={"FifoQueue": "true", "VisibilityTimeout": "60"})["QueueUrl"]
        daemon.client("ssm").put_parameter(Name="ProcessingQueueName", Type="String", Value=QUEUE)
        scaling, metrics = make_group(daemon, folder), daemon.client("cloudwatch")
        group = lambda: scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"][0]
        in_service = lambda: [one for one in group()["Instances"] if one["LifecycleState"] == "InService"]
        wait(in_service, "a worker is in service")
        target = lambda: scaling.describe_policies(AutoScalingGroupName=GROUP)["ScalingPolicies"][0]["TargetTrackingConfiguration"]["TargetValue"]
        produce(daemon, 120 if arguments.minutes >= 6 else 20, DURATION)
        began = time.monotonic()
        functions, variables = make_functions(daemon)
        log = lambda name: (daemon.directory / "functions" / "logs" / f"{name}.log").read_text()
        wait(lambda: target() == LATENCIES[0] // DURATION, lambda: f"the target is {LATENCIES[0] // DURATION}: {target()}\n{log('set_target')}", 90)
        # Half of the time passes, and then the acceptable latency changes.
        time.sleep(max(0, arguments.minutes * 30 - (time.monotonic() - began)))
        variables["set_target"]["desiredLatency"] = str(LATENCIES[1])
        functions.update_function_configuration(FunctionName="set_target", Environment={"Variables": variables["set_target"]})
        wait(lambda: target() == LATENCIES[1] // DURATION, lambda: f"the target is {LATENCIES[1] // DURATION}: {target()}\n{log('set_target')}", 90)
        time.sleep(max(0, arguments.minutes * 60 - (time.monotonic() - began)))
        passed = int((time.monotonic() - began) / 60)
        values = {name: metric_values(metrics, name, dimensions) for name, dimensions in
                  (("BPI", [{"Name": "Type", "Value": "Single Queue"}]), ("ASG-Target-BPI", []))}
        for name, found in values.items():
            assert passed <= len(found) <= passed + 2, f"{name} in {passed} minutes: {found}\n{log('publish')}"
        assert {LATENCIES[0] // DURATION, LATENCIES[1] // DURATION} == set(values["ASG-Target-BPI"]), values
        for name in variables:
            done = runs(daemon, f"default/{name}")
            assert len(done) >= passed and all(run["status"] == "ok" for run in done), done
            # Each run was given to the function once.
            assert log(name).count("START RequestId") == len(done), (len(done), log(name))
        most = group()["DesiredCapacity"]
        if arguments.minutes >= 6:
            assert most > 1, f"the group has grown: {group()}"
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        left = lambda: [int(value) for value in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()]
        if arguments.minutes >= 6:
            wait(lambda: not any(left()), lambda: f"all is done: {left()}", 400)
        took = (time.monotonic() - began) / 60
        scaling.delete_auto_scaling_group(AutoScalingGroupName=GROUP, ForceDelete=True)
        daemon.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"article: {passed} minutes, two published functions each minute: {len(values['BPI'])} backlogs from {max(values['BPI']):g} to {min(values['BPI']):g}, "
          f"targets {LATENCIES[0] // DURATION} and, after UpdateFunctionConfiguration, {LATENCIES[1] // DURATION}; {most} instances ordered, {took:.1f} minutes in all")


if __name__ == "__main__":
    main()
