"""Everything at once, and much of it wrong: HTTP/1.1, HTTPS, HTTP/2 and WebSockets from clients that reset, half-close and
truncate, to targets that do the same, beside honest clients and honest targets for whom nothing may ever go wrong."""

import argparse
import asyncio
import json
import os
import pathlib
import random
import subprocess
import sys
import time

from chaos_clients import Clients
from frames import Secure
from daemon import Daemon, wait

# Descriptors that may be open more than before the load; memory that may be held more than at a third of it.
DESCRIPTORS = 4
GROWTH_KIB = 16 * 1024


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def group(front, name, path, ports):
    """A group of these ports behind a path of both listeners."""
    arn = front.group("HTTP1", path, [("127.0.0.1", port) for port in ports])
    front.elb.create_rule(
        ListenerArn=front.balancer.listener, Priority=front.priority,
        Conditions=[{"Field": "path-pattern", "Values": [path]}], Actions=[{"Type": "forward", "TargetGroupArn": arn}])
    return arn


async def load(daemon, clients, seconds):
    third = None
    task = asyncio.create_task(clients.run(seconds))
    began = time.monotonic()
    while not task.done():
        await asyncio.wait([task], timeout=0.5)
        assert daemon.process.poll() is None, daemon.stderr()
        if third is None and time.monotonic() - began > seconds / 3:
            third = daemon.memory_kib()
    await task
    return third


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=float, default=25)
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = arguments.parse_args()
    random.seed(arguments.seed)
    print(f"  seed {arguments.seed}, {arguments.seconds:.0f} s")
    script = pathlib.Path(__file__).with_name("chaos_targets.py")
    targets = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        ports = json.loads(targets.stdout.readline())
        with Daemon() as daemon:
            run(daemon, targets, ports, arguments.seconds)
    finally:
        targets.kill()
        targets.wait()


def run(daemon, targets, ports, seconds):
    front = Secure(daemon, name="chaos")
    group(front, "honest", "/honest*", ports["honest"])
    group(front, "chaotic", "/chaos*", ports["chaotic"])
    front.group("HTTP2", "/h2*", [("127.0.0.1", port) for port in ports["http2"]], Matcher={"HttpCode": "200"})
    front.elb.modify_load_balancer_attributes(
        LoadBalancerArn=front.balancer.arn, Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "5"}])
    before = descriptors(daemon)
    clients = Clients(front.ip, front.balancer.port, front.port)
    third = asyncio.run(load(daemon, clients, seconds))
    wait(lambda: daemon.metric(r"active_connections\b") == 0, "no client connection is open", 20)
    wait(lambda: daemon.metric(r"in_flight\b") == 0, "nothing is in flight", 20)
    end = daemon.memory_kib()
    requests = daemon.metric(r"^\w*target_requests")
    seen = json.loads(targets.communicate("", timeout=10)[0])
    # Connections kept for later to targets that are gone now are found closed.
    wait(lambda: descriptors(daemon) <= before + DESCRIPTORS, "descriptors are closed", 60)
    print(f"  {sum(clients.counts.values())} outcomes: {dict(sorted(clients.counts.items()))}")
    print(f"  honest targets: {seen['honest']} requests, {seen['cut']} cut; {seen['websockets']} WebSockets; tricks: {seen['chaos']}")
    print(f"  {requests:.0f} requests to targets; memory {third} -> {end} KiB; descriptors {before} -> {descriptors(daemon)}")
    assert not clients.faults, "\n".join(map(str, clients.faults))
    assert not seen["wrong"], "\n".join(seen["wrong"][:10])
    assert "panicked" not in daemon.stderr(), daemon.stderr()
    assert daemon.process.poll() is None
    assert end - third <= GROWTH_KIB, f"memory grew from {third} to {end} KiB"
    counts = clients.counts
    for needed in ("honest 200", "chaos 200", "chaos 502", "chaos cut", "honest websocket", "h2 200", "h2 reset", "rude", "nonsense"):
        assert counts[needed] > 0, f"{needed} never happened: the chaos was none"
    daemon.stop()
    print("chaos passed")


if __name__ == "__main__":
    main()
