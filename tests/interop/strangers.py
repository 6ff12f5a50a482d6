"""Strangers who hold what is dear: silent connections, slow requests at a low limit on open files, frames that made the log grow. A new
request and a call of the API must be answered throughout. `strangers.py full` does it at the size that docs/claims.md speaks of."""

import contextlib
import fcntl
import http.client
import os
import re
import resource
import socket
import ssl
import subprocess
import sys
import threading
import time

from frames import Secure
from daemon import BINARY, Daemon, Sample, bound, wait
from http2_wire import ACK, CONTEXT, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, SETTINGS, Wire, frame

FULL = "full" in sys.argv[1:]
SILENT = 12_000 if FULL else 2_000
ACKS = 200_000 if FULL else 20_000


class Bounded(Daemon):
    """A daemon with a limit on open files, or with a standard error of its own."""

    def __init__(self, files=None, stderr=None, **flags):
        self.files, self.pipe = files, stderr
        super().__init__(**flags)

    def start(self, api="127.0.0.1:0"):
        command = [BINARY, "up", "--api", api, "--admin", "127.0.0.1:0", *self.arguments]
        self.log = open(self.directory.parent / (self.directory.name + ".log"), "ab")

        def limit():
            if self.files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.files, self.files))

        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.pipe or self.log, text=True, preexec_fn=limit)
        line = self.process.stdout.readline()
        match = re.match(r"forebay ready api=(\S+) admin=(\S+) ", line)
        assert match, f"forebay did not become ready: {line!r}\n{self.stderr()}"
        self.api, self.admin = match.groups()
        return self


def ask(ip, port, path="/", timeout=10):
    """A request over a connection of its own: its status and how long it took."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(ip, port, timeout=timeout)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status, time.monotonic() - began


def connect(ip, port):
    return socket.create_connection((ip, port), timeout=10)


def silent(kind, count):
    """What silent connections of this kind cost, and that they take nothing from others. Each kind has a daemon of its own: what an
    allocator keeps of the one would make the next look free."""
    with Daemon(workers=2, max_buffer_memory="16M") as running, Sample("a") as target:
        front = Secure(running)
        front.balancer.register(target)
        front.balancer.wait_healthy(target)
        ip, port = front.balancer.nodes[0], front.balancer.port
        wait(lambda: ask(ip, port)[0] == 200, "requests are served")
        with Wire(front) as wire:
            wire.request(1)
            wire.verdict(1)
        before = running.memory_kib()
        held = []
        for _ in range(count):
            if kind == "HTTP/2":
                held.append(Wire(front))
            else:
                held.append(connect(ip, port if kind == "clear" else front.port))
        wait(lambda: running.metric("^forebay_active_connections") >= count, "all are taken")
        statuses = [ask(ip, port)[0] for _ in range(100)]
        assert statuses == [200] * 100, f"{kind}: {statuses}"
        each = (running.memory_kib() - before) * 1024 / count
        for one in held:
            one.socket.close() if kind == "HTTP/2" else one.close()
        assert running.metric("^forebay_memory_refusals_total") == 0
        running.stop()
    print(f"strangers: {count} silent connections ({kind}): {each:.0f} bytes each; no honest request was refused with 16M of buffers", flush=True)
    return each


def full_pipe():
    """A pipe that nobody reads, full to the last byte."""
    reading, writing = os.pipe()
    flags = fcntl.fcntl(writing, fcntl.F_GETFL)
    fcntl.fcntl(writing, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x")
    fcntl.fcntl(writing, fcntl.F_SETFL, flags)
    return reading, writing


def p99(ip, port, seconds, stop=None):
    """The 99th percentile of requests one after another over one connection, in ms."""
    connection = http.client.HTTPConnection(ip, port, timeout=20)
    times, until = [], time.monotonic() + seconds
    while time.monotonic() < until or (stop and not stop.is_set()):
        began = time.monotonic()
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        times.append(time.monotonic() - began)
    connection.close()
    times.sort()
    return times[len(times) * 99 // 100] * 1000, len(times)


def stray_acks():
    """Answers to pings that nobody sent, while nobody reads the log."""
    reading, writing = full_pipe()
    with Bounded(stderr=writing, workers=1) as running, Sample("a") as target:
        front = Secure(running)
        front.balancer.register(target)
        front.balancer.wait_healthy(target)
        ip, port = front.balancer.nodes[0], front.balancer.port
        calm, _ = p99(ip, port, 3)
        stop, sent = threading.Event(), 0
        judged = []
        other = threading.Thread(target=lambda: judged.append(p99(ip, port, 1, stop)))
        other.start()
        burst = frame(PING, ACK, payload=b"12345678") * 1000
        while sent < ACKS:
            try:
                with Wire(front) as wire:
                    wire.send(burst)
                    wire.verdict(0)
            except (OSError, AssertionError):
                pass
            sent += 1000
        stop.set()
        other.join()
        flooded, requests = judged[0]
        print(f"strangers: {sent} stray answers to pings with standard error a full pipe: p99 of another client {calm:.2f} -> {flooded:.2f} ms ({requests} requests)", flush=True)
        bound(flooded, max(2 * calm, 5), "p99 in ms")
        running.kill()
    os.close(reading)
    os.close(writing)


class Watch:
    """Asks for a new request and a signed call all the time: the slowest of each, in seconds."""

    def __init__(self, front, running):
        self.ip, self.port = front.balancer.nodes[0], front.balancer.port
        self.elb = running.client("elbv2")
        self.requests, self.calls, self.statuses, self.failures = [], [], {}, []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.loop, args=(work,)) for work in (self.request, self.call)]
        for thread in self.threads:
            thread.start()

    def loop(self, work):
        while not self.stop.is_set():
            try:
                work()
            except Exception as error:
                self.failures.append(f"{work.__name__}: {error!r}")
            time.sleep(0.02)

    def request(self):
        status, took = ask(self.ip, self.port, "/?delay=0")
        self.requests.append(took)
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def call(self):
        began = time.monotonic()
        self.elb.describe_target_groups()
        self.calls.append(time.monotonic() - began)

    def round(self, times, what):
        """Waits until so many more requests and calls came to their end, or one failed."""
        requests, calls = len(self.requests) + times, len(self.calls) + times
        wait(lambda: self.failures or (len(self.requests) >= requests and len(self.calls) >= calls), what)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def descriptors():
    """Slow requests hold more descriptors than there are."""
    with Bounded(files=1024, workers=2) as running, Sample("a") as target:
        front = Secure(running)
        front.balancer.register(target)
        front.balancer.wait_healthy(target)
        ip, port = front.balancer.nodes[0], front.balancer.port
        watch = Watch(front, running)
        slow = []
        for _ in range(800):
            client = connect(ip, port)
            with contextlib.suppress(OSError):
                client.sendall(b"GET /?delay=60000 HTTP/1.1\r\nHost: a\r\n\r\n")
            slow.append(client)
        watch.round(20, "requests and calls are answered beside slow clients")
        first = len(watch.requests)
        for client in slow:
            client.close()
        wires = []
        for _ in range(20):
            try:
                wire = Wire(front)
            except (OSError, AssertionError):
                continue
            wires.append(wire)
            block = b"".join(
                frame(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * number, wire.block(wire.fields(path="/?delay=60000")))
                for number in range(128))
            wire.send(block)
        watch.round(20, "requests and calls are answered beside slow streams")
        watch.end()
        for wire in wires:
            wire.socket.close()
        assert not watch.failures, watch.failures[:3]
        assert set(watch.statuses) <= {200, 503} and len(watch.requests) > first > 10, watch.statuses
        slowest, call = max(watch.requests), max(watch.calls)
        print(
            f"strangers: 800 slow clients, then {len(wires)} x 128 slow streams at 1,024 open files: the slowest new request {slowest * 1000:.0f} ms "
            f"({watch.statuses}), the slowest signed call {call * 1000:.0f} ms", flush=True)
        bound(slowest, 0.2, "the slowest new request in s")
        bound(call, 1, "the slowest signed call in s", 5)
        wait(lambda: ask(ip, port)[0] == 200, "all is well again")
        running.stop()


def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    each = silent("clear", SILENT)
    assert each <= 2560, each
    silent("TLS", SILENT // 4)
    silent("HTTP/2", min(SILENT // 4, 500))
    stray_acks()
    descriptors()
    print("strangers: passed")


main()
