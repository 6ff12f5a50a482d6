"""Several nodes, each a process of its own, share targets with agents, while targets join and leave, nodes stop abruptly, agents are
killed and whoever stands still stands still. The targets count: never more than the limit at once. And whenever a request waits at
a node that lives, no slot that it may use stays free for more than 50 ms (100 ms around a node's death).

`FOREBAY_STRICT=1 permits.py --seconds 1800 --nodes 4 --targets 20 --limit 2` is the long run; without arguments it is short."""

import argparse
import asyncio
import collections
import pathlib
import random
import signal
import subprocess
import tempfile
import time

from daemon import BINARY, STRICT, Balancer, Daemon, free_port, wait

SAMPLE = 0.005
CONTROL = 3000


class Target:
    """A target: an application that counts, and the agent beside it."""

    def __init__(self, number, limit):
        self.ip, self.port, self.limit = f"127.91.{number // 200}.{number % 200 + 1}", 8000, limit
        self.address = f"{self.ip}:{self.port}"
        self.held = self.most = self.served = 0
        self.free_since = time.monotonic()
        self.seen = set()
        self.agent = None
        self.troubled, self.calm = False, 0.0

    async def listen(self):
        self.server = await asyncio.start_server(self.serve, self.ip, 9000, backlog=1024)

    def start_agent(self):
        self.agent = subprocess.Popen(
            [BINARY, "agent", "--data-address", self.address, "--control-address", f"{self.ip}:{CONTROL}",
             "--destination-address", f"{self.ip}:9000", "--max-concurrency", str(self.limit)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.agent.stdout.readline()
        assert line.startswith("forebay agent ready"), line

    def disturb(self, troubled):
        """What nodes know of it may be old: it counts again once they have used it again after that."""
        self.troubled = troubled
        self.calm = time.monotonic()
        self.seen.clear()

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"ELB-HealthChecker" not in head:
                    await self.work(head.split(b" ", 2)[1].decode(), reader)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def work(self, path, reader):
        _, node, number, ms = path.split("/")
        self.held += 1
        self.most = max(self.most, self.held)
        assert self.held <= self.limit, f"{self.held} at {self.address}, limit {self.limit}"
        Load.pending.pop((int(node), int(number)), None)
        if not self.troubled:
            self.seen.add(int(node))
        try:
            # Whoever was killed between us and the node has let go of its connection: then the work ends, too.
            gone = asyncio.ensure_future(reader.read(1))
            done, _ = await asyncio.wait([gone], timeout=int(ms) / 1000)
            if done:
                raise ConnectionError
            gone.cancel()
            await asyncio.wait([gone])
            self.served += 1
        finally:
            self.held -= 1
            self.free_since = time.monotonic()


class Load:
    pending = {}


class Node:
    def __init__(self, number):
        self.number = number
        self.daemon = Daemon(pool=f"127.{100 + 4 * number}.0.0/14", workers=1)
        self.balancer = self.make()
        self.alive, self.calm = True, time.monotonic()
        self.answers = collections.Counter()
        self.registered = set()

    def make(self):
        elb, ec2 = self.daemon.client("elbv2"), self.daemon.client("ec2")
        balancer = Balancer(self.daemon, name="unused", interval=5)
        vpc = ec2.describe_subnets()["Subnets"][0]["VpcId"]
        tags = [{"Key": "forebay:queue-wait", "Value": "60"}]
        made = elb.create_target_group(
            Name="controlled", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip", TargetControlPort=CONTROL, Tags=tags,
            HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2)
        balancer.group = made["TargetGroups"][0]["TargetGroupArn"]
        elb.modify_listener(ListenerArn=balancer.listener, DefaultActions=[{"Type": "forward", "TargetGroupArn": balancer.group}])
        elb.modify_target_group_attributes(
            TargetGroupArn=balancer.group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}])
        return balancer

    def waits(self):
        """How many wait in its queue; none if it does not say."""
        try:
            return self.daemon.metric("^forebay_surge_queue_length")
        except OSError:
            return 0

    def restart(self):
        self.daemon.start()
        self.balancer.elb = self.daemon.client("elbv2")

    async def client(self, draws, number, until, busy):
        """Requests, one after the other, over one connection as long as it lasts."""
        reader = writer = None
        turn = 0
        while time.monotonic() < until:
            if not self.alive or not busy():
                await asyncio.sleep(0.05)
                continue
            turn += 1
            key = (self.number, number * 1_000_000 + turn)
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection(self.balancer.nodes[0], self.balancer.port)
                writer.write(f"GET /{key[0]}/{key[1]}/{draws.randint(5, 60)} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                Load.pending[key] = time.monotonic()
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
                self.answers[int(head[9:12])] += 1
            except (ConnectionError, asyncio.IncompleteReadError):
                self.answers["cut"] += 1
                if writer:
                    writer.close()
                writer = None
                await asyncio.sleep(0.02)
            finally:
                Load.pending.pop(key, None)
        if writer:
            writer.close()


class Watch:
    """Looks every few milliseconds whether some slot is free that some request waits for."""

    def __init__(self, nodes, targets):
        self.nodes, self.targets = nodes, targets
        self.worst, self.over, self.strand = 0.0, [], {}
        self.died = 0.0

    async def run(self, until):
        while time.monotonic() < until:
            await asyncio.sleep(SAMPLE)
            self.look(time.monotonic())

    def look(self, now):
        waiting = {}
        for (node, number), since in Load.pending.items():
            if now - since > SAMPLE:
                waiting.setdefault(node, since)
        strands = {}
        for node, since in waiting.items():
            place = self.nodes[node]
            if not place.alive or now < place.calm:
                continue
            for target in self.targets:
                if target.held < target.limit and node in target.seen and target.address in place.registered:
                    key = (node, target.address, target.served)
                    # Each look counts for its interval: what this process itself missed is nobody's fault.
                    strands[key] = self.strand.get(key, 0) + 1
        # Whoever was sent to an agent that stands still does not wait for a slot: it has one. The node knows who waits.
        for node in {key[0] for key, looks in strands.items() if looks * SAMPLE >= 0.04}:
            if not self.nodes[node].waits():
                strands = {key: looks for key, looks in strands.items() if key[0] != node}
        self.strand = strands
        for key, looks in strands.items():
            span = looks * SAMPLE
            allowed = 0.1 if now - self.died < 0.5 else 0.05
            self.worst = max(self.worst, span)
            if span > allowed and key not in {entry[0] for entry in self.over}:
                target = next(target for target in self.targets if target.address == key[1])
                self.over.append((key, f"{now - target.calm:.2f} s after its last trouble"))


async def call(work, *arguments):
    return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)


async def trouble(draws, kinds, nodes, targets, watch, until, counts):
    while time.monotonic() < until - 3:
        await asyncio.sleep(draws.uniform(0.2, 1.0))
        what = draws.choice(kinds)
        target, node = draws.choice(targets), draws.choice(nodes)
        counts[what] += 1
        if what == "agent":
            target.disturb(True)
            target.agent.kill()
            await call(target.agent.wait)
            await asyncio.sleep(draws.uniform(0, 0.5))
            await call(target.start_agent)
            target.disturb(False)
        elif what == "node" and len(nodes) > 1:
            node.alive = False
            watch.died = time.monotonic()
            node.daemon.kill()
            for other in targets:
                other.seen.discard(node.number)
            await asyncio.sleep(draws.uniform(0, 1))
            await call(node.restart)
            node.alive = True
        elif what == "leave":
            node.registered.discard(target.address)
            await call(node.balancer.deregister, target)
            await asyncio.sleep(draws.uniform(0, 2))
            await call(register, node, target)
        elif what == "still agent":
            target.disturb(True)
            target.agent.send_signal(signal.SIGSTOP)
            await asyncio.sleep(draws.uniform(0.1, 1))
            target.agent.send_signal(signal.SIGCONT)
            target.disturb(False)
        elif what == "still node":
            node.calm = float("inf")
            watch.died = time.monotonic() + 2
            for other in targets:
                other.seen.discard(node.number)
            node.daemon.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(draws.uniform(0.1, 1))
            node.daemon.process.send_signal(signal.SIGCONT)
            node.calm = time.monotonic() + 0.5


def register(node, target):
    node.balancer.register(target)
    node.registered.add(target.address)


def healthy(node, targets):
    wanted = {target.address for target in targets}
    return lambda: {address for address, state in node.balancer.states().items() if state == "healthy"} >= wanted


async def run(options):
    draws = random.Random(options.seed)
    targets = [Target(number, options.limit) for number in range(options.targets)]
    for target in targets:
        await target.listen()
        await call(target.start_agent)
    nodes = [await call(Node, number) for number in range(options.nodes)]
    for node in nodes:
        for target in targets:
            await call(register, node, target)
        await call(wait, healthy(node, targets), "targets are healthy")
    watch, counts = Watch(nodes, targets), collections.Counter()
    until = time.monotonic() + options.seconds
    # Four seconds of more than there is room for, two of little.
    busy = lambda: time.monotonic() % 6 < 4
    slots = options.targets * options.limit
    clients = max(4, slots * 2 // options.nodes)
    tasks = [
        asyncio.create_task(node.client(random.Random(f"{options.seed}-{node.number}-{number}"), number, until, busy if number else lambda: True))
        for node in nodes for number in range(clients)]
    tasks += [asyncio.create_task(watch.run(until)), asyncio.create_task(trouble(draws, options.kinds.split(","), nodes, targets, watch, until, counts))]
    done = await asyncio.wait_for(asyncio.gather(*tasks), options.seconds + 90)
    assert done is not None
    # When all is calm, every slot is to be had again.
    answers = sum((node.answers for node in nodes), collections.Counter())
    most = max(target.most for target in targets)
    assert most == options.limit, (most, options.limit)
    free = lambda: sum(node.daemon.metric('^forebay_slots.*state="free"') for node in nodes) == slots
    await call(wait, free, "every slot is a permit at some node again", 20)
    print(f"{options.nodes} nodes, {options.targets} targets, limit {options.limit}, {options.seconds} s: "
          f"{sum(target.served for target in targets)} served, {dict(answers)}, trouble {dict(counts)}, "
          f"never more than {most} at a target; longest a slot was free while a request waited: {watch.worst * 1000:.0f} ms, "
          f"over the bound {len(watch.over)} times {watch.over[:5]}")
    for target in targets:
        target.agent.terminate()
    for node in nodes:
        node.daemon.__exit__()
    return watch


def main():
    parser = argparse.ArgumentParser()
    for name, default in [("seconds", 25), ("nodes", 3), ("targets", 4), ("limit", 2), ("seed", 1)]:
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--kinds", default="agent,agent,node,leave,still agent,still node", help="what happens, at random")
    options = parser.parse_args()
    watch = asyncio.run(run(options))
    assert not STRICT or not watch.over, watch.over
    print("permits: passed")


main()
