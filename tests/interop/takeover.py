"""One Forebay takes over from another, under load: kept connections, new ones, WebSockets, slow uploads, a group with a limit, requests that wait in line.
Nothing fails, nothing is refused, the limit holds, and who came first is served first; whatever a successor does that does not make it, nobody notices."""

import asyncio
import collections
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from daemon import BINARY, Daemon, Sample, wait
from frames import certificate
from load import Client

FULL = "--full" in sys.argv
TAKEOVERS = 10 if FULL else 3
KEPT, RATE = 30, 300
NEW = 100
SOCKETS, UPLOADS = (50, 20) if FULL else (20, 8)
DRAIN = 10
LIMIT = 2
NAME = "shop.example"


class Runs(Daemon):
    """A Forebay that is replaced by others: the process that serves now is `process`, and its output is read by a thread."""

    def take_over(self, how):
        """Has a successor take over; returns how long that took, and the process that was."""
        before, began = self.process, time.monotonic()
        # As many workers as before, more, fewer: each listening socket has one that looks at it.
        at = self.arguments.index("--workers") + 1
        if how == "flag":
            self.arguments[at] = {"2": "3", "3": "1", "1": "2"}[self.arguments[at]]
        if how == "signal":
            said = re.compile(r"process (\d+) serves now")
            known = len(said.findall(self.stderr()))
            before.send_signal(signal.SIGUSR2)
            # Its standard output is that of the process before.
            line = self.lines()
            self.process = Adopted(int(wait(lambda: said.findall(self.stderr())[known:], "the process before says who serves")[0]))
        else:
            self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=self.log, text=True)
            self.out = self.process.stdout
            line = self.lines()
        assert re.match(r"forebay ready api=", line), f"{line!r}\n{self.stderr()[-3000:]}"
        assert f"api={self.api} admin={self.admin} " in line, line
        return time.monotonic() - began, before

    def lines(self):
        self.out = getattr(self, "out", self.process.stdout)
        return self.out.readline()

    def command(self, *more):
        return [BINARY, "up", "--api", "127.0.0.1:0", "--admin", "127.0.0.1:0", *self.arguments, "--take-over", *more]


class Adopted:
    """A process that another one started."""

    def __init__(self, pid):
        self.pid = pid

    def poll(self):
        try:
            state = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()[0]
        except OSError:
            return 0
        return 0 if state == "Z" else None

    def send_signal(self, number):
        os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout=60):
        wait(lambda: self.poll() is not None, f"process {self.pid} ends", timeout)
        return 0


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class Targets(threading.Thread):
    """Applications on a loop of their own: one that counts who is there at once, one that notes the order, WebSockets, uploads."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ready = threading.Event()
        self.most, self.now, self.order, self.served = collections.Counter(), collections.Counter(), [], collections.Counter()
        self.closed = []
        self.start()
        assert self.ready.wait(10)

    def run(self):
        asyncio.run(self.loop())

    async def loop(self):
        self.ports = {}
        for name, ip in (("limited-a", "127.0.0.1"), ("limited-b", "127.0.0.1"), ("line", "127.0.0.1"), ("up", "127.0.0.1"),
                         ("later", "127.0.0.1"), ("agent", "127.0.0.1")):
            server = await asyncio.start_server(lambda reader, writer, name=name: self.talk(name, reader, writer), ip, 0, backlog=1024)
            self.ports[name] = server.sockets[0].getsockname()[1]

        async def echo(connection):
            try:
                async for message in connection:
                    await connection.send(message)
            finally:
                self.closed.append(connection.close_code)

        def page(connection, request):
            if "upgrade" not in request.headers.get("connection", "").lower():
                return connection.respond(200, "plain\n")
            return None

        server = await serve(echo, "127.0.0.1", 0, process_request=page, ping_interval=None)
        self.ports["ws"] = server.sockets[0].getsockname()[1]
        self.ready.set()
        await asyncio.get_running_loop().create_future()

    async def talk(self, name, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                path = head.split()[1]
                length = re.search(r"(?i)content-length: (\d+)", head)
                left, read = int(length.group(1)) if length else 0, 0
                while read < left:
                    read += len(await reader.read(min(65536, left - read)))
                if path != "/health":
                    self.now[name] += 1
                    self.most[name] = max(self.most[name], self.now[name])
                    if name == "line":
                        self.order.append(int(path.rsplit("/", 1)[1]))
                        await asyncio.sleep(0.03)
                    elif name.startswith(("limited", "agent")):
                        await asyncio.sleep(0.02 + 0.04 * (self.served[name] % 3) / 2)
                    self.now[name] -= 1
                    self.served[name] += 1
                body = str(read).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nX-Target: %s\r\nContent-Length: %d\r\n\r\n%s" % (name.encode(), len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class Place:
    """A load balancer, with a rule for each kind of work."""

    def __init__(self, running, targets, samples):
        self.elb, ec2 = running.client("elbv2", retries=5), running.client("ec2")
        vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]]
        made = self.elb.create_load_balancer(Name="front", Subnets=subnets)["LoadBalancers"][0]
        self.arn, self.name = made["LoadBalancerArn"], made["DNSName"]
        self.vpc, self.groups = vpc, {}
        plain_group = self.group("plain", [(sample.ip, sample.port) for sample in samples])
        self.port = free_port()
        self.listener = self.elb.create_listener(
            LoadBalancerArn=self.arn, Protocol="HTTP", Port=self.port, DefaultActions=[{"Type": "forward", "TargetGroupArn": plain_group}],
        )["Listeners"][0]["ListenerArn"]
        queue = [{"Key": "forebay:concurrency", "Value": str(LIMIT)}, {"Key": "forebay:queue-length", "Value": "500"},
                 {"Key": "forebay:queue-wait", "Value": "20"}]
        limited = [("127.0.0.1", targets.ports["limited-a"]), ("127.0.0.1", targets.ports["limited-b"])]
        one = [{"Key": "forebay:concurrency", "Value": "1"}, *queue[1:]]
        kinds = [("limited", limited, queue), ("line", [("127.0.0.1", targets.ports["line"])], one),
                 ("ws", [("127.0.0.1", targets.ports["ws"])], []), ("up", [("127.0.0.1", targets.ports["up"])], [])]
        for priority, (name, where, tags) in enumerate(kinds, 1):
            self.elb.create_rule(
                ListenerArn=self.listener, Priority=priority, Conditions=[{"Field": "path-pattern", "Values": [f"/{name}*"]}],
                Actions=[{"Type": "forward", "TargetGroupArn": self.group(name, where, tags)}])
        # Requests may wait for a first target, which comes when another process serves.
        self.elb.create_rule(
            ListenerArn=self.listener, Priority=50, Conditions=[{"Field": "path-pattern", "Values": ["/later*"]}],
            Actions=[{"Type": "forward", "TargetGroupArn": self.group("later", [], queue[1:])}])
        # One request at a time, as an agent at the target has it.
        self.agent = subprocess.Popen(
            [BINARY, "agent", "--data-address", "127.0.0.4:0", "--control-address", "127.0.0.4:0", "--destination-address",
             f"127.0.0.1:{targets.ports['agent']}", "--max-concurrency", "1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.agent.stdout.readline()
        data, control = (int(port) for port in re.findall(r"127\.0\.0\.4:(\d+)", line))
        self.elb.create_rule(
            ListenerArn=self.listener, Priority=51, Conditions=[{"Field": "path-pattern", "Values": ["/agent*"]}],
            Actions=[{"Type": "forward", "TargetGroupArn": self.group("agent", [("127.0.0.4", data)], queue[1:], TargetControlPort=control)}])
        pem, key = certificate(NAME)
        self.pem = pem.decode()
        imported = running.client("acm").import_certificate(Certificate=pem, PrivateKey=key)["CertificateArn"]
        self.tls_port = free_port()
        self.elb.create_listener(
            LoadBalancerArn=self.arn, Protocol="HTTPS", Port=self.tls_port, Certificates=[{"CertificateArn": imported}],
            DefaultActions=[{"Type": "forward", "TargetGroupArn": plain_group}])
        zones = self.elb.describe_load_balancers()["LoadBalancers"][0]["AvailabilityZones"]
        self.ip = zones[0]["LoadBalancerAddresses"][0]["IpAddress"]
        self.healthy()

    def session(self, session=None):
        """A handshake and a request, with a session from before; the session, and whether it was resumed."""
        context = ssl.create_default_context(cadata=self.pem)
        # Its sessions are there once the handshake is over, not some time after.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context = getattr(self, "context", None) or context
        self.context = context
        with socket.create_connection((self.ip, self.tls_port), timeout=10) as plain_socket:
            with context.wrap_socket(plain_socket, server_hostname=NAME, session=session) as secured:
                secured.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert secured.recv(4096).startswith(b"HTTP/1.1 200 ")
                return secured.session, secured.session_reused

    def group(self, name, where, tags=(), **more):
        made = self.elb.create_target_group(
            Name=name, Protocol="HTTP", Port=80, VpcId=self.vpc, TargetType="ip", HealthCheckPath="/health", HealthCheckIntervalSeconds=5,
            **({"Tags": list(tags)} if tags else {}), **more)["TargetGroups"][0]["TargetGroupArn"]
        if where:
            self.elb.register_targets(TargetGroupArn=made, Targets=[{"Id": ip, "Port": port} for ip, port in where])
        self.groups[name] = made
        return made

    def healthy(self):
        for group in self.groups.values():
            wait(lambda: all(one["TargetHealth"]["State"] == "healthy"
                             for one in self.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]), "targets are healthy")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Work:
    """Everything that goes on while one takes over from another."""

    def __init__(self, place):
        self.place, self.stopping = place, False
        self.failures, self.done = [], collections.Counter()
        self.fresh = asyncio.Event()

    async def timed(self, kind, every, one):
        due = time.monotonic()
        while not self.stopping:
            due += every
            await asyncio.sleep(max(0, due - time.monotonic()))
            await self.tried(kind, one())

    async def tried(self, kind, request):
        try:
            status, _, body = await request
            if status == 200:
                self.done[kind] += 1
            else:
                self.failures.append((kind, status, body[:80], time.strftime("%X")))
        except Exception as error:  # noqa: BLE001: whatever it was, the request failed
            self.failures.append((kind, repr(error), time.strftime("%X")))

    async def kept(self, kind, path, every):
        client = Client(self.place.ip, self.place.port)
        await self.timed(kind, every, lambda: client.request(path=path))
        await client.close()

    async def new(self):
        pending = set()

        async def one():
            client = Client(self.place.ip, self.place.port)
            await self.tried("new", client.request())
            await client.close()

        due = time.monotonic()
        while not self.stopping:
            due += 1 / NEW
            await asyncio.sleep(max(0, due - time.monotonic()))
            task = asyncio.ensure_future(one())
            pending.add(task)
            task.add_done_callback(pending.discard)
        await asyncio.gather(*pending)

    async def upload(self):
        """A body of which a piece goes out every 100 ms for three seconds."""
        while not self.stopping:
            try:
                reader, writer = await asyncio.open_connection(self.place.ip, self.place.port)
                writer.write(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n")
                for _ in range(30):
                    writer.write(b"x" * 1000)
                    await writer.drain()
                    await asyncio.sleep(0.1)
                answer = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(5)
                assert answer.startswith(b"HTTP/1.1 200 ") and body == b"30000", (answer, body)
                self.done["upload"] += 1
                writer.close()
            except Exception as error:  # noqa: BLE001
                self.failures.append(("upload", repr(error)))

    async def socket(self, began):
        """Echoes until it is told to go: not before the drain is over, and with 1001."""
        opened, echoed = time.monotonic(), 0
        try:
            async with connect(f"ws://{self.place.ip}:{self.place.port}/ws", ping_interval=None) as connection:
                began.release()
                while not self.stopping:
                    await connection.send(str(echoed))
                    assert await connection.recv() == str(echoed)
                    echoed += 1
                    await asyncio.sleep(0.2)
        except websockets.ConnectionClosed as closed:
            if closed.rcvd is None or closed.rcvd.code != 1001:
                self.failures.append(("socket", repr(closed)))
                return
            self.done["sockets told to go"] += 1
            self.lasted.append(time.monotonic() - self.changed)
        except Exception as error:  # noqa: BLE001
            self.failures.append(("socket", repr(error), time.monotonic() - opened))
        self.done["echoes"] += echoed

    async def line(self, first, count):
        """A burst for a target that takes one at a time; each is numbered as it comes. Returns who waits for the answers."""
        tasks = []
        for number in range(first, first + count):
            client = Client(self.place.ip, self.place.port)
            tasks.append(asyncio.ensure_future(self.tried("line", client.request(path=f"/line/{number}"))))
            await asyncio.sleep(0.01)
        return asyncio.gather(*tasks)


def writes(place, stop, failures, counts):
    """API calls that change something, with the retries that every AWS client makes."""
    number = 0
    while not stop.is_set():
        try:
            place.elb.add_tags(ResourceArns=[place.arn], Tags=[{"Key": "number", "Value": str(number)}])
            number += 1
            counts.append(number)
        except Exception as error:  # noqa: BLE001
            failures.append(("write", repr(error)))
        stop.wait(0.05)


async def under_load(running, place, targets):
    work = Work(place)
    tasks = [asyncio.ensure_future(work.kept("kept", "/", KEPT / RATE)) for _ in range(KEPT)]
    tasks += [asyncio.ensure_future(work.kept("limited", "/limited", 0.05)) for _ in range(8)]
    tasks += [asyncio.ensure_future(work.kept("agent", "/agent", 0.12)) for _ in range(2)]
    tasks += [asyncio.ensure_future(work.upload()) for _ in range(UPLOADS)]
    tasks.append(asyncio.ensure_future(work.new()))
    stop, wrote = threading.Event(), []
    writer = threading.Thread(target=writes, args=(place, stop, work.failures, wrote), daemon=True)
    writer.start()
    took, gone, first = [], [], 1
    began = asyncio.Semaphore(0)
    work.lasted, work.changed = [], time.monotonic()
    sockets = [asyncio.ensure_future(work.socket(began)) for _ in range(SOCKETS)]
    for _ in range(SOCKETS):
        await began.acquire()
    await asyncio.sleep(1)
    work.changed = time.monotonic()
    later = [asyncio.ensure_future(work.tried("later", Client(place.ip, place.port).request(path="/later"))) for _ in range(5)]
    session, resumed = await asyncio.to_thread(place.session)
    assert not resumed
    for number in range(TAKEOVERS):
        # They wait in line when the other one takes over.
        burst = await work.line(first, 40)
        time_taken, before = await asyncio.to_thread(running.take_over, "signal" if number % 2 else "flag")
        took.append(time_taken)
        gone.append(before)
        await burst
        came = [number for number in targets.order if first <= number < first + 40]
        assert came == sorted(came) and len(came) == 40, f"out of order: {came}"
        first += 40
        _, resumed = await asyncio.to_thread(place.session, session)
        assert resumed, "a session of the process before is not resumed"
        if number == 0:
            # Those who wait for a first target do in the process before: they get it.
            await asyncio.to_thread(place.elb.register_targets, TargetGroupArn=place.groups["later"],
                                    Targets=[{"Id": "127.0.0.1", "Port": targets.ports["later"]}])
            await asyncio.wait_for(asyncio.gather(*later), 10)
        await asyncio.sleep(1)
    # All that were open at the first go when its drain is over.
    await asyncio.wait_for(asyncio.gather(*sockets), DRAIN + 10)
    for process in gone:
        await asyncio.to_thread(process.wait, DRAIN + 10)
    work.stopping = True
    await asyncio.gather(*tasks)
    stop.set()
    writer.join()
    assert not work.failures, f"{len(work.failures)} failures of {dict(work.done)}: {work.failures[:10]}\n{plain(running.stderr())[-3000:]}"
    assert work.done["sockets told to go"] == SOCKETS, dict(work.done)
    assert min(work.lasted) > DRAIN - 1, f"a WebSocket ended {min(work.lasted):.1f} s after the first take-over"
    most = max(targets.most["limited-a"], targets.most["limited-b"])
    assert most <= LIMIT and targets.most["line"] <= 1 and targets.most["agent"] == 1, dict(targets.most)
    kept = {tag["Key"]: tag["Value"] for tag in place.elb.describe_tags(ResourceArns=[place.arn])["TagDescriptions"][0]["Tags"]}
    assert kept["number"] == str(wrote[-1] - 1), (kept, wrote[-1])
    took.sort()
    print(f"{TAKEOVERS} take-overs, {took[len(took) // 2] * 1000:.0f} ms each (median; {took[-1] * 1000:.0f} at most): of "
          f"{work.done['kept']} requests on kept connections, {work.done['new']} new connections, {work.done['limited']} to a group with a limit, "
          f"{work.done['line']} in line, {work.done['agent']} by an agent, {work.done['later']} for a first target, {work.done['upload']} slow uploads and {len(wrote)} API writes 0 failed and 0 were refused; "
          f"{SOCKETS} WebSockets exchanged {work.done['echoes']} messages until the drain's end and were told 1001; "
          f"never more than {most} of {LIMIT} at a target; served in the order of arrival; TLS sessions are resumed")


class Fake:
    """A successor that speaks the protocol, as far as it likes."""

    def __init__(self, directory):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(directory / "take-over.sock"))

    def send(self, message):
        body = json.dumps(message).encode()
        self.socket.sendall(struct.pack(">I", len(body)) + body)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self):
        return json.loads(self.exactly(struct.unpack(">I", self.exactly(4))[0]))

    def hello(self, format=1000):
        self.send({"Hello": {"version": 1, "program": "fake", "format": format}})
        return self.receive()

    def freeze(self):
        self.send("Freeze")
        frozen = self.receive()["Frozen"]
        sockets = []
        for _ in range(frozen["batches"]):
            addresses = self.receive()["Sockets"]
            _, descriptors, _, _ = socket.recv_fds(self.socket, 1, len(addresses))
            assert len(descriptors) == len(addresses)
            sockets += descriptors
        return sockets


def fails(running, place):
    """Successors that do not make it, at each step. Returns how many."""
    def nothing(fake):
        pass

    def old(fake):
        assert "older than the running one" in fake.hello(format=1)["Refused"]

    def hello(fake):
        assert "Welcome" in fake.hello()

    def nonsense(fake):
        fake.hello()
        fake.socket.sendall(struct.pack(">I", 1 << 31) + b"x")
        time.sleep(0.05)

    def freeze(fake):
        fake.hello()
        fake.send("Freeze")

    def sockets(fake):
        fake.hello()
        for descriptor in fake.freeze():
            os.close(descriptor)
        time.sleep(0.2)

    def ready(fake):
        sockets(fake)
        fake.send("Ready")

    def yours(fake):
        sockets(fake)
        fake.send("Ready")
        yours = fake.receive()["Yours"]
        assert yours["health"], yours
        time.sleep(0.1)

    steps = [nothing, old, hello, nonsense, freeze, sockets, ready, yours]
    for step in steps:
        seen = plain(running.stderr()).count("a successor did not take over")
        fake = Fake(running.directory)
        step(fake)
        fake.socket.close()
        wait(lambda: plain(running.stderr()).count("a successor did not take over") > seen, f"{step.__name__} is told in the log", 20)
    # Real ones: with flags that do not fit, and killed while they start, well before one could serve.
    refused = subprocess.run(
        [BINARY, "up", "--api", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data-dir", str(running.directory), "--address-pool", "127.114.0.0/16",
         "--take-over"], capture_output=True, text=True, timeout=30)
    assert refused.returncode == 1 and "--address-pool" in refused.stderr, refused.stderr
    kills = 4
    for number in range(kills):
        successor = subprocess.Popen(running.command(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        time.sleep(0.002 + 0.007 * number)
        successor.kill()
        successor.wait()
    wait(lambda: place.elb.add_tags(ResourceArns=[place.arn], Tags=[{"Key": "after", "Value": "failures"}]), "writes go on")
    assert running.process.poll() is None
    nobody = subprocess.run([BINARY, "up", "--data-dir", "/nonexistent", "--take-over"], capture_output=True, text=True, timeout=30)
    assert nobody.returncode == 1, nobody
    return len(steps) + 1 + kills


async def failing(running, place, targets):
    """The same load, and successors that fail."""
    work = Work(place)
    tasks = [asyncio.ensure_future(work.kept("kept", "/", KEPT / RATE)) for _ in range(KEPT)]
    tasks += [asyncio.ensure_future(work.kept("limited", "/limited", 0.05)) for _ in range(8)]
    tasks.append(asyncio.ensure_future(work.new()))
    burst = asyncio.ensure_future(work.line(100_000, 150))
    count = await asyncio.to_thread(fails, running, place)
    await (await burst)
    work.stopping = True
    await asyncio.gather(*tasks)
    assert not work.failures, f"{len(work.failures)} failures of {dict(work.done)}: {work.failures[:10]}\n{plain(running.stderr())[-3000:]}"
    most = max(targets.most["limited-a"], targets.most["limited-b"])
    assert most <= LIMIT and targets.most["line"] <= 1, dict(targets.most)
    print(f"{count} successors that failed, at every step, killed or with flags that do not fit: of {work.done['kept']} requests on kept connections, "
          f"{work.done['new']} new connections and {work.done['line']} in line 0 failed; never more than {most} of {LIMIT} at a target")


def main():
    targets = Targets()
    with Sample("a") as first, Sample("b", listen="127.0.0.2:0") as second, Runs(workers=2, drain_seconds=DRAIN, pool="127.112.0.0/15") as running:
        place = Place(running, targets, [first, second])
        asyncio.run(failing(running, place, targets))
        try:
            asyncio.run(under_load(running, place, targets))
        finally:
            place.agent.kill()
        running.stop()


if __name__ == "__main__":
    main()
