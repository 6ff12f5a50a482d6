"""Collects live log lines from a Unix socket, and a raw target that behaves as its path says."""

import socket
import threading
import time


class Collector:
    """Listens where `forebay up --live-log unix:PATH` sends its lines."""

    def __init__(self, path):
        self.path = str(path)
        self.lines = []
        self.condition = threading.Condition()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen(4)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            stream, _ = self.socket.accept()
            threading.Thread(target=self.read, args=(stream,), daemon=True).start()

    def read(self, stream):
        for line in stream.makefile("r", encoding="ascii", newline="\n"):
            with self.condition:
                self.lines.append(line)
                self.condition.notify_all()

    def wait(self, select, count=1, seconds=10, since=0):
        """The lines for which select(line) holds, once there are this many; `since` passes over the first ones."""
        deadline = time.monotonic() + seconds
        with self.condition:
            while True:
                found = [line for line in self.lines[since:] if select(line)]
                if len(found) >= count:
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{len(found)} of {count} log lines came within {seconds} s")
                self.condition.wait(left)


# Fields of a line in their order, as AWS names them.
ACCESS = (
    "type", "time", "elb", "client:port", "target:port", "request_processing_time", "target_processing_time", "response_processing_time",
    "elb_status_code", "target_status_code", "received_bytes", "sent_bytes", "request", "user_agent", "ssl_cipher", "ssl_protocol",
    "target_group_arn", "trace_id", "domain_name", "chosen_cert_arn", "matched_rule_priority", "request_creation_time",
    "actions_executed", "redirect_url", "error_reason", "target:port_list", "target_status_code_list", "classification",
    "classification_reason", "conn_trace_id", "transformed_host", "transformed_uri", "request_transform_status",
)
CONNECTION = (
    "timestamp", "client_ip", "client_port", "listener_port", "tls_protocol", "tls_cipher", "tls_handshake_latency",
    "leaf_client_cert_subject", "leaf_client_cert_validity", "leaf_client_cert_serial_number", "tls_verify_status", "conn_trace_id",
    "tls_keyexchange",
)
HEALTH = ("type", "time", "latency", "target_addr", "target_group_id", "status", "status_code", "reason_code")


def misfits(found, names):
    """Which fields are missing at a line's end, and what is too much there."""
    return [f"no {name}" for name in names[len(found):]] + [f"too much: {value!r}" for value in found[len(names):]]


def fields(line):
    """A log line's fields; quotes are taken off, escapes stay."""
    assert line.endswith("\n"), line
    out, rest = [], line[:-1]
    while rest:
        if rest.startswith('"'):
            end = rest.index('"', 1)
            out.append(rest[1:end])
            rest = rest[end + 1:]
            assert rest == "" or rest.startswith(" "), line
        else:
            field, _, rest = rest.partition(" ")
            out.append(field)
            continue
        rest = rest[1:]
    return out


def read_head(stream, buffer=b""):
    """Bytes up to a head's end, and what came behind it; none if the peer closed first."""
    while b"\r\n\r\n" not in buffer:
        try:
            more = stream.recv(65536)
        except OSError:
            return None, buffer
        if not more:
            return None, buffer
        buffer += more
    head, _, rest = buffer.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def read_body(stream, head, buffer):
    """Reads over a request's body; returns what came behind it, or none if it broke off."""
    lower = head.lower()
    if b"\r\ntransfer-encoding: chunked\r\n" in lower:
        while not buffer.endswith(b"0\r\n\r\n"):
            more = stream.recv(65536)
            if not more:
                return None
            buffer += more
        return b""
    length = 0
    for line in lower.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(buffer) < length:
        more = stream.recv(65536)
        if not more:
            return None
        buffer += more
    return buffer[length:]


class Target:
    """A target over plain sockets. `answer(self, stream, head)` says what a request gets: bytes to send, or none to close
    the connection. Remembers heads, and how its connections ended."""

    def __init__(self, answer=None, listen="127.0.0.1"):
        self.answer = answer or (lambda target, stream, head: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        self.heads = []
        self.lock = threading.Lock()
        self.socket = socket.create_server((listen, 0), backlog=256)
        self.ip, self.port = self.socket.getsockname()
        self.address = f"{self.ip}:{self.port}"
        self.closed = {}
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                stream, peer = self.socket.accept()
            except OSError:
                return
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(stream, peer), daemon=True).start()

    def serve(self, stream, peer):
        buffer = b""
        with stream:
            while True:
                head, buffer = read_head(stream, buffer)
                if head is None:
                    break
                probe = b"ELB-HealthChecker" in head
                if not probe:
                    with self.lock:
                        self.heads.append((peer, head))
                buffer = read_body(stream, head, buffer)
                if buffer is None:
                    break
                answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" if probe else self.answer(self, stream, head)
                if answer is None:
                    break
                try:
                    stream.sendall(answer)
                except OSError:
                    break
        with self.lock:
            self.closed[peer] = time.monotonic()

    def close(self):
        self.socket.close()
