"""WebSockets and slow uploads that live through thousands of configuration changes, round after round, and memory that does not
grow with the rounds; WebSocket semantics judged by `websockets`."""

import asyncio
import http.client
import http.server
import ssl
import sys
import threading
import time

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from frames import NAME, Secure
from daemon import Daemon, Sample, bound, wait

SOCKETS = 1000
UPLOADS = 100
# As `upgrade.py 10000 3` a round takes the minute that Forebay's bounds speak of; without, the same pace for a shorter time.
CHANGES = int(sys.argv[1]) if len(sys.argv) > 1 else 600
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 5
SECONDS = CHANGES * 60 / 10_000
WRITERS = 4


class Targets(threading.Thread):
    """A WebSocket echo server on a loop of its own."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ready = threading.Event()
        self.start()
        assert self.ready.wait(10)

    def run(self):
        asyncio.run(self.loop())

    async def loop(self):
        async def echo(socket):
            async for message in socket:
                if message == "close":
                    await socket.close(4001, "as asked")
                    return
                await socket.send(message)

        def page(connection, request):
            # Anything that is no WebSocket, health checks among them.
            if "upgrade" not in request.headers.get("connection", "").lower():
                return connection.respond(200, "plain\n")
            if request.path == "/refuse":
                return connection.respond(403, "no\n")
            return None

        async with serve(echo, "127.0.0.1", 0, process_request=page, max_size=None, ping_interval=None) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.ready.set()
            await asyncio.get_running_loop().create_future()


class Sink(http.server.BaseHTTPRequestHandler):
    """Counts the bytes of an upload."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length, read = int(self.headers["content-length"]), 0
        while read < length:
            read += len(self.rfile.read1(min(65536, length - read)))
        self.answer(b"%d" % read)

    def do_GET(self):
        self.answer(b"ok")

    def answer(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def context(front):
    made = ssl.create_default_context(cadata=front.pem.decode())
    return made


async def semantics(front):
    """What a WebSocket does through the balancer."""
    clear = f"ws://{front.ip}:{front.balancer.port}/"
    for url, options in ((clear, {}), (f"wss://{front.address}/", {"ssl": context(front), "server_hostname": NAME})):
        async with connect(url, max_size=None, **options) as socket:
            for message in ("", "hello", b"\0\1\2", "x" * 3_000_000):
                await socket.send(message)
                assert await socket.recv() == message
            pong = await socket.ping()
            await pong
            await socket.send("close")
            try:
                await socket.recv()
                raise AssertionError("the close did not come through")
            except websockets.ConnectionClosed as closed:
                assert closed.rcvd.code == 4001 and closed.rcvd.reason == "as asked", closed
        try:
            async with connect(url + "refuse", **options):
                raise AssertionError("a refusal did not come through")
        except websockets.InvalidStatus as refused:
            assert refused.response.status_code == 403, refused


async def long_lived(front, changed):
    """Sockets that say something every second until the changes are over; returns messages echoed."""
    clear = f"ws://{front.ip}:{front.balancer.port}/"
    gate = asyncio.Semaphore(50)
    opened = 0
    all_open = asyncio.Event()

    async def one(index):
        nonlocal opened
        options = {"ssl": tls, "server_hostname": NAME} if index % 4 == 0 else {}
        url = f"wss://{front.address}/" if options else clear
        async with gate:
            socket = await connect(url, ping_interval=None, open_timeout=60, **options)
        opened += 1
        if opened == SOCKETS:
            all_open.set()
        echoed = 0
        async with socket:
            while not changed.is_set():
                await socket.send(f"{index}-{echoed}")
                assert await socket.recv() == f"{index}-{echoed}"
                echoed += 1
                await asyncio.sleep(1)
        return echoed

    tls = context(front)
    tasks = [asyncio.create_task(one(index)) for index in range(SOCKETS)]
    await asyncio.wait_for(all_open.wait(), 120)
    return tasks


def upload(front, path_port, begun, changed, results):
    """A body of which a piece goes out every half second, until the changes are over."""
    connection = http.client.HTTPConnection(front.ip, path_port, timeout=60)
    piece, total = b"x" * 1000, 400_000
    connection.putrequest("POST", "/up")
    connection.putheader("content-length", str(total))
    connection.endheaders()
    sent = 0
    while not changed.is_set() and sent + 2000 < total:
        connection.send(piece)
        sent += len(piece)
        if sent == 2 * len(piece):
            begun.append(True)
        changed.wait(0.5)
    connection.send(b"x" * (total - sent))
    answer = connection.getresponse()
    results.append((answer.status, answer.read()))


def changes(house_, front, spare, start, counts, index, stop):
    """Configuration changes of many kinds, evenly over the time."""
    elb = house_.client("elbv2")
    done = 0
    share = CHANGES // WRITERS
    while done < share:
        due = start + SECONDS * done / share
        time.sleep(max(0, due - time.monotonic()))
        priority = 1000 + index * 1000 + done % 500
        kind = done % 6
        if kind == 0:
            rule = elb.create_rule(
                ListenerArn=front.listener if index % 2 else front.balancer.listener, Priority=priority,
                Conditions=[{"Field": "path-pattern", "Values": [f"/never-{index}-{done}"]}],
                Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}])["Rules"][0]["RuleArn"]
        elif kind == 1:
            elb.delete_rule(RuleArn=rule)
        elif kind == 2:
            elb.register_targets(TargetGroupArn=front.balancer.group, Targets=[{"Id": spare.ip, "Port": 20000 + index * 1000 + done % 50}])
        elif kind == 3:
            elb.deregister_targets(TargetGroupArn=front.balancer.group, Targets=[{"Id": spare.ip, "Port": 20000 + index * 1000 + (done - 1) % 50}])
        elif kind == 4:
            elb.modify_load_balancer_attributes(LoadBalancerArn=front.balancer.arn, Attributes=[
                {"Key": "routing.http.xff_client_port.enabled", "Value": "true" if done % 12 == 4 else "false"}])
        else:
            elb.modify_listener(ListenerArn=front.listener, SslPolicy="ELBSecurityPolicy-TLS13-1-2-" + ("2021-06" if done % 12 == 5 else "Res-2021-06"))
        done += 1
        counts[index] = done


async def hold(running, front, sink_port, spare):
    changed, begun, results = threading.Event(), [], []
    sockets = await long_lived(front, changed)
    uploads = [threading.Thread(target=upload, args=(front, front.balancer.port, begun, changed, results)) for _ in range(UPLOADS)]
    for thread in uploads:
        thread.start()
    wait(lambda: len(begun) == UPLOADS, "all uploads have begun")
    held = running.memory_kib()
    counts, start = [0] * WRITERS, time.monotonic()
    writers = [
        asyncio.create_task(asyncio.to_thread(changes, running, front, spare, start, counts, index, changed)) for index in range(WRITERS)]
    await asyncio.gather(*writers)
    took = time.monotonic() - start
    during = running.memory_kib()
    changed.set()
    echoed = await asyncio.gather(*sockets)
    for thread in uploads:
        await asyncio.to_thread(thread.join)
    whole = results.count((200, b"400000"))
    assert whole == UPLOADS, f"{whole} of {UPLOADS} uploads arrived whole: {set(results)}"
    print(f"{sum(counts)} changes in {took:.0f} s; {SOCKETS} WebSockets exchanged {sum(echoed)} messages and {UPLOADS} slow uploads "
          f"arrived whole: 0 dropped; {held} KiB with all open, {during} after the changes", end="", flush=True)
    return held, during


def main():
    targets = Targets()
    http.server.ThreadingHTTPServer.request_queue_size = 1024
    sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    with Daemon(workers=2) as running:
        front = Secure(running, name="upgrade")

        class Place:
            ip, port = "127.0.0.1", targets.port
            address = f"127.0.0.1:{targets.port}"
        front.balancer.register(Place)
        front.balancer.wait_healthy(Place)
        vpc = running.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
        up = front.elb.create_target_group(Name="up", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip")["TargetGroups"][0]["TargetGroupArn"]
        front.elb.create_rule(ListenerArn=front.balancer.listener, Priority=1, Conditions=[{"Field": "path-pattern", "Values": ["/up"]}],
                              Actions=[{"Type": "forward", "TargetGroupArn": up}])
        front.elb.register_targets(TargetGroupArn=up, Targets=[{"Id": "127.0.0.1", "Port": sink.server_address[1]}])
        asyncio.run(semantics(front))
        print("echo, binary, 3 MB, ping, close code and refusal come through, in clear and over TLS")
        with Sample("spare", listen="127.0.0.9:0") as spare:
            rounds = []
            for _ in range(ROUNDS):
                held, during = asyncio.run(hold(running, front, sink.server_address[1], spare))
                wait(lambda: running.metric(r"^forebay_active_connections\b") == 0, "no client connection is open")
                rounds.append((held, during, running.memory_kib()))
                print(f", {rounds[-1][2]} with all closed")
        # The first round makes what later ones use again. After it neither changes nor connections may add to it: 1 KiB kept of each
        # change, or of each connection, would break these bounds.
        for held, during, _ in rounds[1:]:
            bound(during - held, CHANGES // 2 + 256, f"KiB that changes added: {rounds}", slack=3)
        _, *later = [closed for *_, closed in rounds]
        if later:
            bound(later[-1] - later[0], 0.04 * later[0], f"KiB that rounds added: {rounds}", slack=3)
        running.stop()


if __name__ == "__main__":
    main()
