"""Bounds that are set from outside: a load balancer's tags for slow senders (HTTP/1.1, HTTP/2, gRPC), and the ceiling for
buffers: thousands of slow uploads stay within it, whoever comes then is told so, and all is well afterwards."""

import socket
import struct
import threading
import time

import botocore.exceptions
import grpc

from collector import Target
from frames import Secure
from grpc_suite import Echo, secure_channel, serve
from daemon import Daemon, Sample, bound, get, wait
from http2_wire import DATA, END_HEADERS, Wire, frame

GRACE = 5  # seconds that a client may fall behind its least rate
CEILING = 16 * 1024 * 1024
UPLOADS = 3000
PER_CONNECTION = 4 * 1024  # what an open connection may cost beside its buffers
SLACK = 6 * 1024 * 1024  # of the allocator and all that is not per request


def refused(work):
    try:
        work()
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"] == "ValidationError"
    return False


def trickle(address, head, piece=b"x", pause=0.2):
    """Sends a head and then a piece at a time until something comes: its status, and after how many seconds."""
    began = time.monotonic()
    with socket.create_connection(address, timeout=pause) as stream:
        stream.sendall(head)
        while time.monotonic() < began + 30:
            try:
                data = stream.recv(65536)
                return int(data.split(b" ")[1]) if data else None, time.monotonic() - began
            except TimeoutError:
                stream.send(piece)
    raise AssertionError("nothing came")


def senders(daemon, front, echo):
    elb, arn, ip, port = front.elb, front.balancer.arn, front.ip, front.balancer.port
    tag = lambda key, value: elb.add_tags(ResourceArns=[arn], Tags=[{"Key": key, "Value": value}])  # noqa: E731
    for key, value in [("request-head-timeout", "0"), ("request-head-timeout", "soon"), ("minimum-request-rate", "-1"), ("minimum-request-rate", "1k")]:
        assert refused(lambda: tag("forebay:" + key, value)), (key, value)
    # In force once the call is answered.
    tag("forebay:request-head-timeout", "2")
    status, took = trickle((ip, port), b"GET / HTTP/1.1\r\nHost: a\r\nA: ")
    assert status == 408 and 1.7 < took < 4, (status, took)
    elb.remove_tags(ResourceArns=[arn], TagKeys=["forebay:request-head-timeout"])
    tag("forebay:minimum-request-rate", "1000")
    results = {}

    def http1():
        results["HTTP/1.1"] = trickle((ip, port), b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")

    def http2(path, name):
        with Wire(front) as wire:
            # One thread sends and reads: OpenSSL has no connection do both at once.
            began, verdict = time.monotonic(), "silence"
            wire.socket.settimeout(0.2)
            more = [("content-type", "application/grpc"), ("te", "trailers")] if path != "/" else []
            wire.request(1, wire.fields("POST", path, *more), END_HEADERS)
            while verdict == "silence" and time.monotonic() < began + 30:
                wire.send(frame(DATA, 0, 1, b"x"))
                verdict = wire.verdict(1)
            results[name] = verdict, time.monotonic() - began

    def steady():
        """Three times the least rate in messages of a gRPC stream, for twice the grace."""
        def messages():
            for _ in range(4 * GRACE):
                yield b"m" * 1500
                time.sleep(0.5)
        with secure_channel(front) as channel:
            results["steady"] = channel.stream_unary("/test.Echo/Up")(messages(), timeout=40)

    threads = [threading.Thread(target=http1), threading.Thread(target=steady), threading.Thread(target=http2, args=("/", "HTTP/2")),
               threading.Thread(target=http2, args=("/test.Echo/Up", "HTTP/2 to gRPC"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results.pop("steady") == b"%d" % (4 * GRACE * 1500), results
    for name, (status, took) in results.items():
        assert status in (408, "status 408") and GRACE - 1 < took < GRACE + 4, (name, status, took)
    elb.remove_tags(ResourceArns=[arn], TagKeys=["forebay:minimum-request-rate"])
    print("  " + ", ".join(f"{name}: {status} after {took:.1f} s" for name, (status, took) in sorted(results.items())))


class Kept:
    """One connection that stays."""

    def __init__(self, address):
        self.stream = socket.create_connection(address, timeout=10)

    def get(self):
        self.stream.sendall(b"GET /kept HTTP/1.1\r\nHost: a\r\n\r\n")
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.stream.recv(65536)
            assert more, f"closed after {data!r}"
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += self.stream.recv(65536)
        assert b"connection: close" not in head.lower(), head
        return int(head.split(b" ")[1])


def uploads(address, count):
    """Slow uploads: each has sent a part of its body, and stops there."""
    streams = []
    for _ in range(count):
        stream = socket.create_connection(address, timeout=10)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            stream.sendall(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 60_000)
        except OSError:
            pass  # refused and gone already
        stream.setblocking(False)
        streams.append(stream)
    return streams


def answers(streams):
    """Takes out those that were answered: with 503, or closed because nothing was left even for that."""
    told, closed, left = 0, 0, []
    for stream in streams:
        try:
            data = stream.recv(4096)
        except BlockingIOError:
            left.append(stream)
            continue
        except OSError:
            data = b""
        assert not data or data.startswith(b"HTTP/1.1 503"), data[:100]
        told, closed = told + bool(data), closed + (not data)
        stream.close()
    return told, closed, left


def ceiling():
    # A target that takes connections and reads nothing more than a head: the worst case.
    def stuck(_, stream, head):
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    target = Target(stuck)
    with Daemon(workers=2, max_buffer_memory="16M") as daemon, Sample("free") as sample:
        front = Secure(daemon, name="bounds")
        front.balancer.register(target)
        front.balancer.wait_healthy(target)
        address = front.balancer.nodes[0], front.balancer.port
        # One on each worker.
        keepers = [Kept(address) for _ in range(8)]
        assert [kept.get() for kept in keepers] == [200] * 8
        open_now = lambda: int(daemon.metric(r"^forebay_active_connections\b"))  # noqa: E731
        before = daemon.memory_kib() * 1024
        for turn in range(2):
            began = time.monotonic()
            streams, told, closed = uploads(address, UPLOADS), 0, 0

            def settled():
                nonlocal streams, told, closed
                more = answers(streams)
                told, closed, streams = told + more[0], closed + more[1], more[2]
                return open_now() == len(streams) + len(keepers)

            wait(settled, "whoever is not refused is under way", 60)
            took, peak = time.monotonic() - began, daemon.memory_kib() * 1024
            most = before + CEILING + SLACK + UPLOADS * PER_CONNECTION
            print(f"  {UPLOADS} slow uploads in {took:.1f} s: {len(streams)} under way, {told} told 503, {closed} closed; "
                  f"memory {before >> 20} -> {peak >> 20} MiB, bound {most >> 20}")
            assert peak < most and len(streams) > 100 and told > UPLOADS / 2 and closed <= UPLOADS / 20, (told, closed, len(streams))
            count = daemon.metric(r"^forebay_memory_refusals_total")
            assert count >= told
            # Connections stay; whoever asks now is told at once.
            began = time.monotonic()
            assert [kept.get() for kept in keepers] == [503] * len(keepers)
            bound(time.monotonic() - began, 2, "seconds until all were told")
            # Requests are counted when their answers are out.
            wait(lambda: daemon.metric(r"^forebay_memory_refusals_total") == count + len(keepers), "each refusal is counted", 10)
            with Wire(front) as wire:
                wire.request(1)
                assert wire.verdict(1) in ("status 503", "stream REFUSED_STREAM")
            for stream in streams:
                stream.close()
            wait(lambda: open_now() == len(keepers), "the uploads are gone", 20)
            wait(lambda: [kept.get() for kept in keepers] == [200] * len(keepers), "all is well", 20)
            wait(lambda: daemon.metric(r"^forebay_target_in_flight\b") == 0, "nothing is in flight", 10)
            with Wire(front) as wire:
                wire.request(1)
                assert wire.verdict(1) == "status 200"
        front.balancer.register(sample)
        assert get(*address)[0] == 200
        assert "panicked" not in daemon.stderr()
        daemon.stop()


def main():
    with Daemon(workers=2) as daemon, Sample("plain") as sample:
        front = Secure(daemon, name="bounds")
        front.balancer.register(sample)
        front.balancer.wait_healthy(sample)
        echo = Echo()
        server, port = serve(echo)
        front.group("GRPC", "/test.Echo/*", [("127.0.0.1", port)], Matcher={"GrpcCode": "12"})
        senders(daemon, front, echo)
        server.stop(0)
        assert "panicked" not in daemon.stderr()
        daemon.stop()
    ceiling()
    print("bounds passed")


if __name__ == "__main__":
    main()
