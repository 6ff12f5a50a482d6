"""Spot workers that are told to go while they work: they get no more messages, are replaced before they go, and what one of them could not
finish is visible again as soon as it has ended. No message is lost, none is done twice, and all are done within the latency, though the
visibility timeout is ten times as long."""

import datetime
import json
import os
import pathlib
import shutil
import sys
import time

from cloudwatch_reads import now
from daemon import Daemon, wait
from fleets import FLAGS, add_image
from workers import Workers, command

COUNT, SECONDS, LATENCY = 8, 20, 60
REGION = "eu-west-3"
SHAPES = [{"name": "c6i.large", "vcpus": 2, "memoryMib": 4096, "onDemandPrice": 0.085, "spotPrice": 0.031}]


def done(daemon, instance):
    """How many messages an instance says it has done."""
    logs = list((daemon.directory / "instances" / instance).rglob("*.log"))
    return sum(log.read_text(errors="replace").count("done: ") for log in logs)


def measured(daemon):
    """How many messages workers say they have done, by the metric that they put."""
    told = daemon.client("cloudwatch", region=REGION).get_metric_statistics(
        Namespace="ASG-Metrics", MetricName="MsgProcessingDuration", Period=60, Statistics=["SampleCount"],
        StartTime=now() - datetime.timedelta(minutes=10), EndTime=now() + datetime.timedelta(minutes=1))
    return sum(point["SampleCount"] for point in told["Datapoints"])


def notice(fleet, instance, seconds):
    fleet.ec2.create_tags(Resources=[instance], Tags=[{"Key": "forebay:spot-interruption", "Value": str(seconds)}])


def state(fleet, instance):
    (reservation,) = fleet.ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    (found,) = reservation["Instances"]
    return found


def run(daemon, folder):
    image = add_image(daemon, "worker", command(folder))
    fleet = Workers(daemon, image, REGION, "spot", LATENCY, visibility=10 * LATENCY, spot=True, processing_seconds=SECONDS, scale_in="safe")
    began = time.monotonic()
    fleet.put(COUNT, SECONDS)
    wait(lambda: len(fleet.serving()) > 1 and fleet.counts()[1] >= len(fleet.serving()), lambda: f"all work: {fleet.instances()} {fleet.counts()}", 40)
    first, second = fleet.serving()[:2]
    # The one can't finish what it has, the other can.
    notice(fleet, first, 2)
    notice(fleet, second, 30)
    had = done(daemon, second)
    replaced = lambda: [activity for activity in fleet.scaling.describe_scaling_activities(AutoScalingGroupName=fleet.name)["Activities"]
                        if "interruption notice" in activity["Cause"]]
    wait(lambda: len(replaced()) >= 2, lambda: f"both are replaced: {replaced()}", 15)
    assert state(fleet, second)["State"]["Name"] == "running", "a replacement comes before the old one goes"
    wait(lambda: state(fleet, first)["State"]["Name"] == "terminated", "the first has ended", 30)
    assert state(fleet, first)["StateReason"]["Code"] == "Server.SpotInstanceTermination", state(fleet, first)["StateReason"]
    wait(lambda: state(fleet, second)["State"]["Name"] == "terminated", "the second has ended", 50)
    finished = done(daemon, second)
    assert finished <= had + 1, f"the second got {finished - had} messages after its notice"
    wait(lambda: not any(fleet.counts()), lambda: f"all is done: {fleet.counts()}", LATENCY)
    took = time.monotonic() - began
    assert took < LATENCY, f"done after {took:.1f} s, within {LATENCY} s was promised"
    wait(lambda: measured(daemon) >= COUNT, lambda: f"each is done: {measured(daemon)}", 10)
    assert measured(daemon) == COUNT, f"{measured(daemon)} times something was done, for {COUNT} messages"
    print(f"{COUNT} messages of {SECONDS} s, two notices: done within {took:.1f} s, each once; a visibility timeout lasts {10 * LATENCY} s", flush=True)
    wait(lambda: not fleet.instances(), lambda: f"instances go: {fleet.instances()}", 120)
    fleet.end()


def main():
    folder = pathlib.Path(f"/tmp/forebay-spot-{os.getpid()}")
    folder.mkdir(mode=0o755)
    (folder / "shapes.json").write_text(json.dumps(SHAPES))
    with Daemon(pool="127.20.0.0/16", shapes=folder / "shapes.json", **FLAGS) as daemon:
        try:
            run(daemon, folder)
        except AssertionError:
            print(daemon.stderr()[-4000:], file=sys.stderr)
            raise
        wait(lambda: not list((daemon.directory / "instances").glob("i-*")), "nothing is left of instances", 60)
        daemon.stop()
    shutil.rmtree(folder, ignore_errors=True)
    print("backlog-spot: passed")


if __name__ == "__main__":
    main()
