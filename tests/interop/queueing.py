"""The surge queue through the front door: a hard limit at each target (counted by the target), waiting in order of arrival, refusals
with their reasons, ALB's instant answers where no queue is wanted, scale from zero, clients that leave, tenants that flood.

`queueing.py --full` runs the first case at the speed of a second per request."""

import asyncio
import atexit
import collections
import multiprocessing
import re
import socket
import subprocess
import sys
import threading
import time

from daemon import BINARY, STRICT, Balancer, Daemon, bound, free_port, get, metric as sample, wait
from queueing_target import Target

FULL = "--full" in sys.argv


async def ask(ip, port, path, headers="", body=b""):
    """Status, headers and seconds of one request on a connection of its own."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(ip, port)
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    writer.write(f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{length}{headers}\r\n".encode() + body)
    answer = (await reader.read()).decode()
    writer.close()
    head = answer.split("\r\n\r\n")[0]
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in head.split("\r\n")[1:])}
    return int(head.split(" ")[1]), fields, time.monotonic() - began


def tag(balancer, **tags):
    tags = [{"Key": "forebay:" + name.replace("_", "-"), "Value": str(value)} for name, value in tags.items()]
    balancer.elb.add_tags(ResourceArns=[balancer.group], Tags=tags)


def queue_metric(daemon, name):
    return daemon.metric(f"^forebay_{name}")


async def paced(balancer, count, rate, path="/{}"):
    """So many requests, evenly spaced; results in order."""
    tasks, began = [], time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0, began + number / rate - time.monotonic()))
        tasks.append(asyncio.create_task(ask(balancer.nodes[0], balancer.port, path.format(number))))
    return began, await asyncio.gather(*tasks)


def order_and_waits(daemon, balancer, scale=1.0 if FULL else 0.1):
    """Two targets with a slot each, a second per request, ten requests a second for ten seconds."""
    targets = [Target(scale), Target(scale)]
    balancer.register(*targets)
    balancer.wait_healthy(*targets)
    tag(balancer, concurrency=1, queue_length=200, queue_wait=60)
    Target.order.clear()
    rate, count = 10 / scale, 100
    began, results = asyncio.run(paced(balancer, count, rate))
    assert {status for status, _, _ in results} == {200}, collections.Counter(status for status, _, _ in results)
    assert [target.most for target in targets] == [1, 1], "never two at a target"
    # Two targets that are free at the same moment may see theirs in either order, and a worker that is kept from running for a
    # moment reads its request after one that was sent later. A queue that is none of first come, first served is off by dozens.
    numbers = [int(path[1:]) for _, path in Target.order]
    overtaken = max(sum(later > number for later in numbers[:place]) for place, number in enumerate(numbers))
    bound(overtaken, 2, "requests sent later that were served before one", slack=3)
    # The fluid value: request k comes at k / rate and begins when k - 2 others are done, two at a time.
    fluid = [max(0.0, (number / 2 - 0.5) * scale - number / rate) for number in range(count)]
    waits = [took - scale for _, _, took in results]
    far = [(number, waits[number], fluid[number]) for number in range(count) if abs(waits[number] - fluid[number]) > 0.1 * fluid[number] + scale / 2 + 0.1]
    assert not far, far
    print(f"order: 100 served, 0 refused, in order; last waited {waits[-1]:.2f} s, fluid value {fluid[-1]:.2f} s")
    balancer.deregister(*targets)
    return targets


def full(daemon, balancer):
    """As many as may wait do; one more is refused and told when to come again."""
    targets = [Target(0.5), Target(0.5)]
    balancer.register(*targets)
    balancer.wait_healthy(*targets)
    tag(balancer, concurrency=1, queue_length=5, queue_wait=20)

    async def burst():
        waiting = [asyncio.create_task(ask(balancer.nodes[0], balancer.port, f"/{number}")) for number in range(7)]
        while queue_metric(daemon, "surge_queue_length") < 5:
            await asyncio.sleep(0.005)
        refused = await ask(balancer.nodes[0], balancer.port, "/over")
        return refused, await asyncio.gather(*waiting)

    (status, fields, _), others = asyncio.run(burst())
    assert status == 503 and int(fields["retry-after"]) >= 1, (status, fields)
    assert fields["connection"] == "close" and fields["server"] == "awselb/2.0"
    assert {status for status, _, _ in others} == {200}
    wait(lambda: queue_metric(daemon, 'spillover_total.*why="queue-full"') == 1, "the refusal is counted", 10)
    print("full: five waited and were served, the sixth got 503 with Retry-After", fields["retry-after"])
    # Longer than allowed: refused at the deadline.
    tag(balancer, queue_wait=0.3)

    async def late():
        tasks = [asyncio.create_task(ask(balancer.nodes[0], balancer.port, "/late")) for _ in range(5)]
        return await asyncio.gather(*tasks)

    results = asyncio.run(late())
    served = [took for status, _, took in results if status == 200]
    refused = [(fields, took) for status, fields, took in results if status == 503]
    assert len(served) >= 2 and len(refused) >= 1 and len(served) + len(refused) == 5, results
    assert all(int(fields["retry-after"]) >= 1 for fields, _ in refused), refused
    bound(max(took for _, took in refused), 0.3 + 0.25 + 0.2, "seconds until the last was refused")
    assert max(target.most for target in targets) == 1
    balancer.deregister(*targets)


def instant(daemon, balancer):
    """With queue length 0, ALB's answer, byte for byte (its date aside)."""
    tags = [{"Key": "forebay:queue-length", "Value": "0"}]
    subnets = daemon.client("ec2").describe_subnets()["Subnets"]
    made = balancer.elb.create_target_group(
        Name="controlled", Protocol="HTTP", Port=80, VpcId=subnets[0]["VpcId"], TargetType="ip", TargetControlPort=3000, Tags=tags)
    group = made["TargetGroups"][0]
    assert group["TargetControlPort"] == 3000
    port = free_port()
    balancer.elb.create_listener(
        LoadBalancerArn=balancer.arn, Protocol="HTTP", Port=port,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}])
    target = Target(0)
    balancer.elb.register_targets(TargetGroupArn=group["TargetGroupArn"], Targets=[{"Id": target.ip, "Port": target.port}])

    def healthy():
        described = balancer.elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
        return described[0]["TargetHealth"]["State"] == "healthy"

    wait(healthy, "the target is healthy")
    with socket.create_connection((balancer.nodes[0], port), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b""
        while got := client.recv(4096):
            answer += got
    without_date = re.sub(rb"Date: [^\r]{29}\r\n", b"Date: \r\n", answer)
    assert without_date == (
        b"HTTP/1.1 503 Service Unavailable\r\nDate: \r\nContent-Type: text/plain\r\nContent-Length: 19\r\nConnection: close\r\n\r\nService Unavailable"), answer
    assert len(answer) == 157, len(answer)
    status, _, _ = get(balancer.nodes[0], port, headers={"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x", "Sec-WebSocket-Version": "13"})
    assert status == 501, status
    print("instant: 157 bytes, as ALB; a WebSocket gets 501")


def controlled(daemon, balancer):
    """Agents beside two targets: the limit holds by permits, and ALB's seven metrics say what happened."""
    applications = [Target(0.05) for _ in range(2)]
    control, data = free_port("127.92.0.1"), free_port("127.92.0.1")
    agents, admins = [], []
    for number, application in enumerate(applications):
        ip = f"127.92.0.{number + 1}"
        agents.append(subprocess.Popen(
            [BINARY, "agent", "--data-address", f"{ip}:{data}", "--control-address", f"{ip}:{control}", "--destination-address", application.address,
             "--admin", "127.0.0.1:0"],
            stdout=subprocess.PIPE, text=True))
        atexit.register(agents[-1].kill)
        ready = re.match(r"forebay agent ready .* admin=http://(\S+)\n", agents[-1].stdout.readline())
        admins.append(ready.group(1))
    subnets = daemon.client("ec2").describe_subnets()["Subnets"]
    made = balancer.elb.create_target_group(
        Name="agents", Protocol="HTTP", Port=data, VpcId=subnets[0]["VpcId"], TargetType="ip", TargetControlPort=control,
        HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2)
    group = made["TargetGroups"][0]["TargetGroupArn"]
    port = free_port()
    balancer.elb.create_listener(
        LoadBalancerArn=balancer.arn, Protocol="HTTP", Port=port, DefaultActions=[{"Type": "forward", "TargetGroupArn": group}])
    balancer.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": f"127.92.0.{number + 1}"} for number in range(2)])
    metric = lambda name: daemon.metric(f"^forebay_target_control_{name}.*targetgroup/agents/")
    wait(lambda: metric("work_queue_length") == 2, "both agents have granted their slot")
    described = lambda: balancer.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    wait(lambda: all(entry["TargetHealth"]["State"] == "healthy" for entry in described()), "both are healthy")

    async def many(count, body=b""):
        return await asyncio.gather(*(ask(balancer.nodes[number % 3], port, f"/{number}", body=body) for number in range(count)))

    results = asyncio.run(many(100)) + asyncio.run(many(20, b"x" * 1000))
    assert {status for status, _, _ in results} == {200}
    assert [application.most for application in applications] == [1, 1]
    # A node that is slow to use a permit has it revoked: the agent refuses its request, which is sent once more.
    late = lambda: sum(sample(admin, "^forebay_agent_refused_total.*revoked") for admin in admins)
    wait(lambda: metric("requests_total") == 120 + late(), "each request that was sent is counted", 10)
    assert not STRICT or late() == 0, f"{late():.0f} were sent twice on a quiet machine"
    assert metric("request_rejects_total") == 0
    assert metric("active_channels") == 2 and metric("new_channels_total") == 2 and metric("channel_errors_total") == 0
    wait(lambda: metric("work_queue_length") == 2, "both slots are free again")
    wait(lambda: metric("processed_bytes_total") > 120 * 90 + 20_000, "each byte is counted", 10)
    assert metric("processed_bytes_total") < 120 * 300 + 20_000, metric("processed_bytes_total")
    # ALB's way: refused at once.
    balancer.elb.add_tags(ResourceArns=[group], Tags=[{"Key": "forebay:queue-length", "Value": "0"}])
    results = asyncio.run(many(10))
    refused = sum(status == 503 for status, _, _ in results)
    assert 0 < refused <= 8
    wait(lambda: metric("request_rejects_total") == refused and metric("requests_total") == 130 - refused + late(), "each is counted", 10)
    # An agent that ends takes its channel and its permit along; one that comes back brings them.
    agents[0].terminate()
    assert agents[0].wait(20) == 0
    wait(lambda: metric("active_channels") == 1 and metric("work_queue_length") == 1, "one agent is gone")
    assert metric("channel_errors_total") >= 1
    agents[1].terminate()
    assert agents[1].wait(20) == 0
    print(f"controlled: 120 of 120 by permits, one at a time; as ALB {refused} of 10 refused; all seven metrics")


def from_zero(daemon, balancer):
    """No target, a request, a target some seconds later; twice more after it is gone again."""
    tag(balancer, queue_length=10, queue_wait=30)
    balancer.elb.remove_tags(ResourceArns=[balancer.group], TagKeys=["forebay:concurrency"])
    for turn in range(3):
        target = Target(0)
        result = []
        thread = threading.Thread(target=lambda: result.append(asyncio.run(ask(balancer.nodes[0], balancer.port, "/zero"))))
        thread.start()
        wait(lambda: queue_metric(daemon, "surge_queue_length") == 1, "the request waits")
        # What a scaler would take to bring a target up; longer the first time.
        time.sleep(5 if turn == 0 else 1)
        assert not result
        registered = time.monotonic()
        balancer.register(target)
        thread.join(30)
        status, _, took = result[0]
        assert status == 200, result
        bound(time.monotonic() - registered, 1, "seconds until the answer after its target came")
        balancer.deregister(target)
        wait(lambda: not balancer.states(), "the target is gone", 90)
    print("zero: three requests waited for their first target and were answered right after it came")


def leaving(daemon, balancer):
    """Clients that leave free their place at once, with their bodies unread too."""
    target = Target(30)
    balancer.register(target)
    balancer.wait_healthy(target)
    tag(balancer, concurrency=1, queue_length=2000, queue_wait=3600)
    sockets = []
    for number in range(1000):
        client = socket.create_connection((balancer.nodes[number % len(balancer.nodes)], balancer.port), timeout=10)
        body = b"x" * 10_000 if number % 2 else b""
        client.sendall(f"POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        sockets.append(client)
    wait(lambda: queue_metric(daemon, "surge_queue_length") == 999, "all but one wait")
    for client in sockets:
        client.close()
    began = time.monotonic()
    wait(lambda: queue_metric(daemon, "surge_queue_length") == 0, "none waits", 5)
    print(f"leaving: 999 places were free {time.monotonic() - began:.2f} s after their clients had left")
    # Those at the target leave, too, and the next in line takes their slot before it is found to have left.
    assert queue_metric(daemon, "queue_left_total") >= 900
    balancer.deregister(target)


async def flood(ip, port, rate, stop):
    """So many requests a second of tenant A; what they got."""
    answers = collections.Counter()

    async def one():
        status, _, _ = await ask(ip, port, "/a", "X-Tenant: a\r\n")
        answers[status] += 1

    tasks, began, sent = set(), time.monotonic(), 0
    while not stop.is_set():
        while sent < (time.monotonic() - began) * rate and len(tasks) < 2000:
            task = asyncio.create_task(one())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
        await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)
    return answers


def flooder(ip, port, rate, stop, answers):
    answers.put(asyncio.run(flood(ip, port, rate, stop)))


async def steady(ip, port, count, rate):
    tasks, began = [], time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0, began + number / rate - time.monotonic()))
        tasks.append(asyncio.create_task(ask(ip, port, "/b", "X-Tenant: b\r\n")))
    return await asyncio.gather(*tasks)


def tenants(daemon, balancer):
    """A floods with fifty times what B sends; B's share is its own."""
    # Not all alike: targets that work in step would all be free at the same moment, and none until the next.
    targets = [Target(0.2, spread=0.3) for _ in range(6)]
    balancer.register(*targets)
    balancer.wait_healthy(*targets)
    # Thirty a second are served. B sends 5 a second, A 250.
    tag(balancer, concurrency=1, queue_length=200, queue_wait=2, queue_class_header="X-Tenant")
    alone = asyncio.run(steady(balancer.nodes[1], balancer.port, 60, 5))
    # A process of its own: whoever measures must not wait for whoever floods.
    own = multiprocessing.get_context("fork")
    stop, answers = own.Event(), own.Queue()
    process = own.Process(target=flooder, args=(balancer.nodes[0], balancer.port, 250, stop, answers), daemon=True)
    process.start()
    # Thirty a second, two seconds: no more than 60 are let in to wait.
    wait(lambda: queue_metric(daemon, "surge_queue_length") >= 40, "the queue is long", 20)
    with_flood = asyncio.run(steady(balancer.nodes[1], balancer.port, 150, 5))
    stop.set()
    got = answers.get(timeout=20)
    process.join(20)
    good = [took for status, _, took in with_flood if status == 200]
    assert len(good) >= 0.999 * len(with_flood), collections.Counter(status for status, _, _ in with_flood)
    quantile = lambda results: sorted(results)[int(len(results) * 0.99) - 1]
    unloaded, loaded = quantile([took for _, _, took in alone]), quantile(good)
    assert got[503] > 0, got
    assert [target.most for target in targets] == [1] * 6
    print(f"tenants: B had {len(good)} of {len(with_flood)}, p99 {loaded * 1000:.0f} ms with A's flood and {unloaded * 1000:.0f} ms alone; A had {got[200]} and {got[503]} refused")
    bound(loaded, 2 * unloaded, "B's p99 in seconds", slack=3)
    balancer.deregister(*targets)


def main():
    with Daemon(workers=2) as daemon:
        balancer = Balancer(daemon, delay=1, interval=5)
        cases = [order_and_waits, full, instant, controlled, from_zero, leaving, tenants]
        named = [word for word in sys.argv[1:] if not word.startswith("-")]
        for case in cases:
            if not named or case.__name__ in named:
                case(daemon, balancer)
        daemon.stop()
    print("queueing: passed")


main()
