"""`forebay agent`, an application to stand beside, and a node's end of the control channel spoken by grpcio: nothing of ours
decodes what the agent says."""

import contextlib
import http.client
import json
import os
import pathlib
import queue
import re
import signal
import socket
import subprocess
import threading
import time

import grpc

from frames import NAME, certificate
from daemon import BINARY, free_port, wait

METHOD = "/forebay.targetcontrol.v1.TargetControl/Channel"
PROBE = {"User-Agent": "ELB-HealthChecker/2.0"}
WORK_ID = "x-amzn-target-control-work-id"
REFUSED = "x-forebay-work-refused"


class Application:
    """Speaks HTTP/1.1, counts how many requests it works on at once, and answers with the head that it saw. `/slow/S` takes
    S seconds, whether its client stays or not; `/held` until `release` is set."""

    def __init__(self, port=0):
        self.lock = threading.Lock()
        self.now = self.most = self.served = 0
        self.release = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=2048)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(ConnectionError):
            rest = b""
            while True:
                while b"\r\n\r\n" not in rest:
                    got = connection.recv(65536)
                    if not got:
                        return
                    rest += got
                head, rest = rest.split(b"\r\n\r\n", 1)
                length = re.search(rb"\r\ncontent-length: *(\d+)", head.lower())
                length = int(length.group(1)) if length else 0
                while len(rest) < length:
                    rest += connection.recv(65536)
                rest = rest[length:]
                probe = b"ELB-HealthChecker" in head
                with self.lock:
                    self.now += not probe
                    self.most = max(self.most, self.now)
                path = head.split(b" ")[1].decode()
                if path.startswith("/slow/"):
                    time.sleep(float(path.rsplit("/", 1)[1]))
                elif path == "/held":
                    self.release.wait(60)
                with self.lock:
                    self.now -= not probe
                    self.served += not probe
                body = json.dumps(head.decode("latin-1").split("\r\n")).encode()
                answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Forebay-Work-Refused: unknown\r\nServer: app\r\n\r\n" % len(body)
                try:
                    connection.sendall(answer + body)
                except OSError:
                    return

    def close(self):
        self.listener.close()


class Agent:
    """`forebay agent`, told everything by its environment, as a container is."""

    def __init__(self, destination, directory, limit=1, binary=BINARY, data=None, control=None, name="DESTINATION_ADDRESS", **more):
        self.pem, key = certificate()
        paths = {"CERT": self.pem, "KEY": key}
        for what, content in paths.items():
            (directory / f"agent-{what.lower()}.pem").write_bytes(content)
        self.environment = {
            "PATH": os.environ["PATH"],
            "TARGET_CONTROL_DATA_ADDRESS": data or "127.0.0.1:0",
            "TARGET_CONTROL_CONTROL_ADDRESS": control or "127.0.0.1:0",
            f"TARGET_CONTROL_{name}": destination,
            "TARGET_CONTROL_MAX_CONCURRENCY": str(limit),
            "TARGET_CONTROL_TLS_CERT_PATH": str(directory / "agent-cert.pem"),
            "TARGET_CONTROL_TLS_KEY_PATH": str(directory / "agent-key.pem"),
            "TARGET_CONTROL_ADMIN_ADDRESS": "127.0.0.1:0",
            **{f"TARGET_CONTROL_{key}": value for key, value in more.items()},
        }
        self.binary = binary
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.binary, "agent"], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        match = re.match(r"forebay agent ready data=(\S+):(\d+) control=(\S+):(\d+) admin=http://\S+:(\d+)\n", line)
        assert match, f"the agent did not start: {line!r} {self.process.stderr.read()}"
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        self.port, self.control, self.admin = (int(match.group(at)) for at in (2, 4, 5))
        # The same addresses when it comes back.
        self.environment["TARGET_CONTROL_DATA_ADDRESS"] = f"127.0.0.1:{self.port}"
        self.environment["TARGET_CONTROL_CONTROL_ADDRESS"] = f"127.0.0.1:{self.control}"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, within=20):
        self.process.terminate()
        return self.process.wait(timeout=within)

    def metric(self, name):
        text = self.ask("GET", "/metrics")[1]
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"forebay_agent_{name}[ {{]", line))

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def signal(self, which):
        self.process.send_signal(which)

    def memory_kib(self, what="VmRSS"):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{what}:\s+(\d+)", status).group(1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    """A field of a message: a number, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(message):
    """The fields of a message, as (number, value)."""
    at, found = 0, []

    def number():
        nonlocal at
        value = shift = 0
        while True:
            value |= (message[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if message[at - 1] < 128:
                return value

    while at < len(message):
        key = number()
        kind = key & 7
        if kind == 0:
            value = number()
        elif kind == 1:
            value, at = int.from_bytes(message[at:at + 8], "little"), at + 8
        else:
            assert kind == 2, f"wire type {kind}"
            length = number()
            value, at = message[at:at + length], at + length
        found.append((key >> 3, value))
    return found


class Node:
    """A node's end of one channel. Recalls are answered at once if it is `live`."""

    def __init__(self, agent, version=1, hello=True, live=True):
        credentials = grpc.ssl_channel_credentials(agent.pem)
        options = [("grpc.ssl_target_name_override", NAME), ("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.secure_channel(f"127.0.0.1:{agent.control}", credentials, options=options)
        self.out = queue.Queue()
        self.call = self.channel.stream_stream(METHOD)(iter(self.out.get, None))
        self.lock = threading.Lock()
        self.ids, self.limit, self.recalls, self.incarnation, self.ended = [], None, [], None, None
        self.seen, self.live = 0, live
        if hello:
            self.say(1, field(1, version) + field(2, b"grpcio"))
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def say(self, kind, message):
        self.out.put(field(kind, message))

    def demand(self, waiting):
        with self.lock:
            self.say(2, field(1, waiting) + field(2, self.seen))

    def give_back(self, ids):
        self.say(3, b"".join(field(1, id) for id in ids))

    def read(self):
        try:
            for message in self.call:
                for kind, content in fields(message):
                    self.hear(kind, fields(content))
        except grpc.RpcError as error:
            self.ended = (error.code(), error.details())

    def hear(self, kind, content):
        content_of = lambda number: [value for at, value in content if at == number]
        with self.lock:
            if kind == 1:
                assert content_of(1) == [1]
                self.incarnation = content_of(2)[0]
            elif kind == 2:
                got = content_of(1)
                assert all(len(id) == 16 for id in got)
                self.ids += got
                self.seen += len(got)
            elif kind == 3:
                # None is a sign of life that is asked for.
                count = (content_of(1) or [0])[0]
                self.recalls.append(count)
                if self.live:
                    back, self.ids = self.ids[:count], self.ids[count:]
                    self.give_back(back)
            elif kind == 4:
                self.limit = (content_of(1) or [0])[0]

    def take(self, within=5):
        """A permit, as its header has it."""
        wait(lambda: self.ids, "a permit is granted", within)
        with self.lock:
            return self.ids.pop(0).hex()

    def close(self):
        self.out.put(None)
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
