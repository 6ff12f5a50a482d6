"""Who means ill at the ports beside traffic: agents and nodes that take nothing of what they are told, connections that say nothing,
calls whose bodies never end, and a log that nobody reads. None of them costs memory without a bound, and none keeps an honest one
waiting.

Short unless told otherwise; `FOREBAY_STRICT=1 hostile.py --seconds 60` shows the claims. Parts can be named: agents nodes silence
calls log."""

import argparse
import concurrent.futures
import contextlib
import http.client
import multiprocessing
import os
import pathlib
import resource
import selectors
import shutil
import socket
import ssl
import struct
import tempfile
import threading
import time
import types

import botocore.auth
import botocore.awsrequest
import botocore.credentials

from agent_end import METHOD, Agent, Application, Node, field
from frames import certificate
from daemon import REGION, Balancer, Daemon, Sample, bound, read_keys, wait
from http2_wire import ACK, CONTEXT, DATA, END_HEADERS, HEADERS, PING, PREFACE, RST, SETTINGS, WINDOW, Wire, frame

SECONDS = 3
GROWTH = 4 * 1024  # KiB that a hostile channel may cost
SILENT = 1100
# SETTINGS_INITIAL_WINDOW_SIZE: nothing may be sent.
NO_WINDOW = struct.pack(">HI", 4, 0)


def message(content):
    return b"\0" + struct.pack(">I", len(content)) + content


def server_context(directory):
    pem, key = certificate()
    for name, content in [("cert", pem), ("key", key)]:
        (directory / f"hostile-{name}.pem").write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "hostile-cert.pem", directory / "hostile-key.pem")
    context.set_alpn_protocols(["h2"])
    return context


class Frames:
    """Frames of one connection, as they come, and how much may be sent."""

    def __init__(self, stream):
        self.stream, self.buffer, self.window = stream, b"", 65535

    def exact(self, count):
        while len(self.buffer) < count:
            got = self.stream.recv(65536)
            if not got:
                raise ConnectionResetError
            self.buffer += got
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def next(self):
        head = self.exact(9)
        return head[3], head[4], int.from_bytes(head[5:9], "big"), self.exact(int.from_bytes(head[:3], "big"))

    def spend(self):
        """A frame's worth of the window; meanwhile every PING is answered, as by one that lives."""
        while self.window < 16384:
            kind, flags, stream, payload = self.next()
            if kind == PING and not flags & ACK:
                self.stream.sendall(frame(PING, ACK, 0, payload))
            elif kind == WINDOW and stream:
                self.window += int.from_bytes(payload, "big")
            elif kind == RST:
                raise ConnectionResetError
        self.window -= 16384
        return 16384


class HostileAgent:
    """Says Welcome, takes nothing, and asks for permits back without an end; again and again."""

    def __init__(self, ip, directory):
        self.channels = self.recalls = 0
        self.context = server_context(directory)
        self.listener = socket.create_server((ip, 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError, ssl.SSLError), self.context.wrap_socket(raw, server_side=True) as stream:
                self.serve(stream)

    def serve(self, stream):
        frames = Frames(stream)
        frames.exact(len(PREFACE))
        stream.sendall(frame(SETTINGS, payload=NO_WINDOW))
        while True:
            kind, flags, on, payload = frames.next()
            if kind == SETTINGS and not flags & ACK:
                stream.sendall(frame(SETTINGS, ACK))
            elif kind == HEADERS:
                break
        # :status 200, and content-type as a literal.
        head = b"\x88\x0f\x10\x10application/grpc"
        stream.sendall(frame(HEADERS, END_HEADERS, on, head) + frame(DATA, 0, on, message(field(1, field(1, 1)))))
        frames.window -= 9
        self.channels += 1
        recall = message(field(3, b""))
        batch = recall * (16384 // len(recall) + 1)
        at = 0
        while True:
            room = frames.spend()
            start = at % len(recall)
            stream.sendall(frame(DATA, 0, on, batch[start:start + room]))
            at += room
            self.recalls += room // len(recall)

    def close(self):
        self.listener.close()


def grows(memory_kib, seconds, before):
    """By how many KiB the resident memory of a process was above this at most in that time."""
    most, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        most = max(most, memory_kib() - before)
        time.sleep(0.05)
    return most


def agents(directory, seconds):
    """A balancer with a target whose agent means ill, while another target's channel stands."""
    with Daemon(pool="127.120.0.0/14", workers=1) as daemon:
        front = Balancer(daemon)
        hostile = HostileAgent("127.0.0.1", directory)
        ec2 = daemon.client("ec2")
        made = front.elb.create_target_group(
            Name="hostile", Protocol="HTTP", Port=80, VpcId=ec2.describe_vpcs()["Vpcs"][0]["VpcId"], TargetType="ip",
            TargetControlPort=hostile.port, HealthCheckEnabled=True)
        group = made["TargetGroups"][0]["TargetGroupArn"]
        front.elb.modify_listener(ListenerArn=front.listener, DefaultActions=[{"Type": "forward", "TargetGroupArn": group}])
        before = daemon.memory_kib()
        front.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "127.0.0.1", "Port": 9}])
        grew = grows(daemon.memory_kib, seconds, before)
        said = daemon.stderr()
        lines = said.count("no control channel")
        assert hostile.channels > 1, "the channel was never given up"
        assert "panicked" not in said, said
        # One of a row goes to the log, and rows last.
        assert lines <= 2 + seconds, (lines, said[-2000:])
        hostile.close()
    bound(grew, GROWTH, "KiB that a hostile agent cost its node", 4)
    return f"a hostile agent: + {grew} KiB in {seconds} s, {hostile.recalls} recalls over {hostile.channels} channels"


class HostileNode:
    """A channel that takes nothing, on which many requests are said to wait, again and again: each time it is granted permits."""

    def __init__(self, agent):
        self.wire = Wire(types.SimpleNamespace(ip="127.0.0.1", port=agent.control), settings=NO_WINDOW)
        self.frames = Frames(self.wire.socket)
        self.frames.buffer, self.wire.buffer = self.wire.buffer, b""
        more = [("content-type", "application/grpc"), ("te", "trailers")]
        hello = message(field(1, field(1, 1)))
        self.wire.request(1, self.wire.fields("POST", METHOD, *more), END_HEADERS)
        self.wire.socket.sendall(frame(DATA, 0, 1, hello))
        self.window = {0: 65535 - len(hello), 1: 65535 - len(hello)}
        self.said = 0

    def speak(self):
        demand = message(field(2, field(1, 100_000) + field(2, 1 << 40)))
        batch = demand * 400
        while min(self.window.values()) < len(batch):
            kind, flags, stream, payload = self.frames.next()
            if kind == PING and not flags & ACK:
                self.wire.socket.sendall(frame(PING, ACK, 0, payload))
            elif kind == WINDOW:
                self.window[stream] += int.from_bytes(payload, "big")
            elif kind == RST:
                raise ConnectionResetError
        for on in self.window:
            self.window[on] -= len(batch)
        self.wire.socket.sendall(frame(DATA, 0, 1, batch))
        self.said += 400


def nodes(directory, seconds):
    """An agent that such nodes come to, one after another."""
    application = Application()
    ended = said = 0
    with Agent(application.address, directory, limit=1000) as agent:
        before = agent.memory_kib()
        stop = threading.Event()

        def come():
            nonlocal ended, said
            while not stop.is_set():
                node = HostileNode(agent)
                with contextlib.suppress(OSError, ssl.SSLError):
                    while not stop.is_set():
                        node.speak()
                ended, said = ended + 1, said + node.said
                node.wire.socket.close()

        thread = threading.Thread(target=come, daemon=True)
        thread.start()
        grew = grows(agent.memory_kib, seconds, before)
        stop.set()
        thread.join(20)
        # Whoever comes then gets what there is.
        with Node(agent) as honest:
            honest.take()
    application.close()
    assert ended > 1, "such a node was never given up"
    bound(grew, GROWTH, "KiB that a hostile node cost its agent", 4)
    return f"hostile nodes: + {grew} KiB in {seconds} s, {said} words over {ended} connections"


def silence(directory, seconds):
    """The control port with many connections that say nothing: some as TCP, some as far as TLS."""
    application = Application()
    with Agent(application.address, directory, limit=4) as agent:
        silent = [socket.create_connection(("127.0.0.1", agent.control), timeout=10) for _ in range(SILENT)]
        shaken = []
        for _ in range(50):
            with contextlib.suppress(OSError):
                shaken.append(CONTEXT.wrap_socket(socket.create_connection(("127.0.0.1", agent.control), timeout=10)))
        began = time.monotonic()
        with Node(agent) as node:
            node.take()
            took = time.monotonic() - began
            for client in silent + shaken:
                client.close()
            # It is not in the way of who comes later, and stays.
            more = [socket.create_connection(("127.0.0.1", agent.control), timeout=10) for _ in range(SILENT)]
            node.give_back(node.ids)
            assert node.ended is None and agent.metric("channels") == 1
            for client in more:
                client.close()
    application.close()
    bound(took, 1, f"seconds until a node had a permit beside {SILENT} silent connections", 4)
    return f"{SILENT} silent connections at the control port: a node has a permit after {took * 1000:.0f} ms"


class Crowd:
    """Connections that send this and then nothing; a new one comes for each that is closed."""

    def __init__(self, address, count, sends):
        self.address, self.sends, self.came = address, sends, multiprocessing.Value("q", 0)
        self.selector = selectors.DefaultSelector()
        for _ in range(count):
            self.open()

    def open(self):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(self.address)
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.sends else 0)
        self.selector.register(client, events, memoryview(self.sends))
        self.came.value += 1

    def work(self):
        for key, events in self.selector.select(0.01):
            try:
                if events & selectors.EVENT_WRITE:
                    rest = key.data[key.fileobj.send(key.data):]
                    wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if rest else 0)
                    self.selector.modify(key.fileobj, wanted, rest)
                elif not key.fileobj.recv(65536):
                    raise ConnectionResetError
            except BlockingIOError:
                continue
            except OSError:
                self.selector.unregister(key.fileobj)
                key.fileobj.close()
                self.open()

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()


def endless(daemon, length):
    """A call whose signature is its own, less the last byte of its body."""
    host = daemon.api.removeprefix("http://")
    request = botocore.awsrequest.AWSRequest("POST", daemon.api + "/", {"Host": host}, b"a" * length)
    keys = botocore.credentials.Credentials(*read_keys(daemon.directory / "credentials", "default"))
    botocore.auth.SigV4Auth(keys, "elasticloadbalancing", REGION).add_auth(request)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"POST / HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n".encode() + b"a" * (length - 1)


def calls(directory, seconds):
    """The API with connections that say nothing, and with calls whose bodies never end; then signed calls beside them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    with Daemon(pool="127.120.0.0/14", workers=1) as daemon:
        host, port = daemon.api.removeprefix("http://").split(":")
        elb = daemon.client("elbv2")
        elb.describe_load_balancers()
        before, most, slowest, made = daemon.memory_kib(), 0, 0.0, 0
        crowds = [Crowd((host, int(port)), SILENT, b""), Crowd((host, int(port)), 1000, endless(daemon, 1 << 20))]

        def crowd_in():
            while True:
                for crowd in crowds:
                    crowd.work()

        # A process of its own: what a call takes is not to be the time until this one finds a processor.
        process = multiprocessing.get_context("fork").Process(target=crowd_in, daemon=True)
        process.start()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            # A client of its own: whoever comes anew is served.
            elb = daemon.client("elbv2")
            began = time.monotonic()
            elb.describe_load_balancers()
            slowest, made = max(slowest, time.monotonic() - began), made + 1
            most = max(most, daemon.memory_kib() - before)
        process.kill()
        process.join(20)
        came = [crowd.came.value for crowd in crowds]
        # Those of the admin address cost nobody its figures.
        admin = Crowd(tuple((daemon.admin.removeprefix("http://").split(":")[0], int(daemon.admin.rsplit(":", 1)[1]))), 500, b"")
        began = time.monotonic()
        daemon.metric("forebay_requests_total")
        scraped = time.monotonic() - began
        for crowd in [*crowds, admin]:
            crowd.close()
        assert "panicked" not in daemon.stderr()
    bound(slowest, 1, "seconds that a signed call took beside silent and endless ones", 4)
    bound(scraped, 1, "seconds that a scrape took beside silent connections", 4)
    bound(most, 64 * 1024, "KiB that silent and endless calls cost", 2)
    return (
        f"{came[0]} silent connections and {came[1]} endless bodies: the slowest of {made} signed calls took {slowest * 1000:.0f} ms, "
        f"+ {most} KiB; a scrape beside 500 silent ones {scraped * 1000:.0f} ms")


class Unread(Daemon):
    """Its standard error is a pipe that nobody reads."""

    def open_log(self, path):
        os.mkfifo(path)
        # Its reading end stays open.
        return open(path, "r+b", buffering=0)


def log(directory, seconds):
    """A log that nobody reads, and much to log: traffic, calls and the end go on."""
    # Each request has its line; and libraries speak when they are asked to.
    with Unread(pool="127.120.0.0/14", workers=1, log="debug,hyper=trace") as daemon, Sample("a") as sample:
        front = Balancer(daemon)
        front.register(sample)
        front.wait_healthy(sample)
        deadline = time.monotonic() + seconds

        def client(_):
            slowest = count = 0
            connection = http.client.HTTPConnection(front.nodes[0], front.port, timeout=20)
            while count < 100 or time.monotonic() < deadline:
                began = time.monotonic()
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200, answer.status
                slowest, count = max(slowest, time.monotonic() - began), count + 1
            connection.close()
            return slowest, count

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(client, number) for number in range(8)]
            while not all(client.done() for client in clients):
                front.elb.describe_load_balancers()
                time.sleep(0.05)
        figures = [client.result() for client in clients]
        dropped = wait(lambda: daemon.metric("forebay_process_log_lines_dropped_total"), "lines are dropped and counted")
        began = time.monotonic()
        daemon.stop()
        ended = time.monotonic() - began
    slowest, made = max(figure[0] for figure in figures), sum(figure[1] for figure in figures)
    bound(slowest, 1, "seconds that a request took beside a log that nobody reads")
    return f"a log that nobody reads: {made} requests, the slowest in {slowest * 1000:.0f} ms; {dropped:.0f} lines dropped; ended in {ended:.1f} s"


PARTS = {"agents": agents, "nodes": nodes, "silence": silence, "calls": calls, "log": log}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS])
    arguments = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="forebay-hostile-"))
    try:
        for name in arguments.parts or PARTS:
            print("hostile:", PARTS[name](directory, arguments.seconds), flush=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
