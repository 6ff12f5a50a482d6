"""Published workers, unmodified in their calls, in groups that are sized by their queue's backlog: two fleets side by side, one whose messages
take twice as long, each in a region of its own, as the worker reads one parameter there. All is to be done within the latency.

`--full` is the published size, 50 messages of 25 s and of 50 s within 300 s; without, 6 messages of 14.5 s and of 29 s within 45 s: a third of
that is left over for the workers' own starts, which other work on this machine makes longer. So it runs alone."""

import contextlib
import os
import pathlib
import re
import shutil
import sys
import time

from daemon import Daemon, wait
from fleets import FLAGS, add_image
from workers import Workers, command

FULL = "--full" in sys.argv[1:]
COUNT, SECONDS, LATENCY = (50, (25, 50), 300) if FULL else (6, (14.5, 29), 45)
REGIONS = ("eu-west-1", "us-west-2")


def booted(daemon):
    """Seconds after its start when a worker had asked for all that it needs, by instance."""
    found = {}
    for log in (daemon.directory / "instances").glob("i-*/console.log"):
        with contextlib.suppress(FileNotFoundError):    # It went with its instance.
            found[log.parent.name] = re.search(r"works on .*, ([0-9.]+) s after", log.read_text())
    return {name: float(match[1]) for name, match in found.items() if match}


def run(daemon, folder):
    image = add_image(daemon, "worker", command(folder))
    fleets = [Workers(daemon, image, region, f"work-{seconds:g}s".replace(".", "-"), LATENCY, processing_seconds=seconds)
              for region, seconds in zip(REGIONS, SECONDS)]
    began = {}
    for fleet, seconds in zip(fleets, SECONDS):
        began[fleet.name] = time.monotonic()
        fleet.put(COUNT, seconds)
    took, most, boots = {}, {fleet.name: 0 for fleet in fleets}, {}
    until = time.monotonic() + 3 * LATENCY
    while len(took) < len(fleets) and time.monotonic() < until:
        boots.update(booted(daemon))
        for fleet in fleets:
            most[fleet.name] = max(most[fleet.name], len(fleet.serving()))
            if fleet.name not in took and not any(fleet.counts()):
                took[fleet.name] = time.monotonic() - began[fleet.name]
                print(f"{COUNT} messages of {fleet.name}: done within {took[fleet.name]:.1f} s by {most[fleet.name]} instances", flush=True)
        time.sleep(0.2)
    slowest = max(boots.values())
    print(f"{len(boots)} workers asked for their first message at most {slowest:.1f} s after their start", flush=True)
    for fleet in fleets:
        why = [(one["StartTime"], one["StatusCode"], one["Cause"])
               for one in fleet.scaling.describe_scaling_activities(AutoScalingGroupName=fleet.name)["Activities"]]
        assert fleet.name in took, f"{fleet.name}: not done: {fleet.counts()} {why}"
        assert took[fleet.name] < LATENCY, f"{fleet.name}: done after {took[fleet.name]:.1f} s, within {LATENCY} s was promised: {why}"
    for fleet in fleets:
        # Nothing is left to do: all go.
        wait(lambda fleet=fleet: not fleet.instances(), lambda fleet=fleet: f"{fleet.name}: instances go: {fleet.instances()}", 180)
        fleet.end()


def main():
    folder = pathlib.Path(f"/tmp/forebay-workers-{os.getpid()}")
    with Daemon(pool="127.19.0.0/16", **FLAGS) as daemon:
        try:
            run(daemon, folder)
        except AssertionError:
            print(daemon.stderr()[-4000:], file=sys.stderr)
            raise
        wait(lambda: not list((daemon.directory / "instances").glob("i-*")), "nothing is left of instances", 60)
        daemon.stop()
    shutil.rmtree(folder, ignore_errors=True)
    print("backlog-live: passed")


if __name__ == "__main__":
    main()
