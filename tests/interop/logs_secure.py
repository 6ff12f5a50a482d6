"""Log lines of requests over TLS, HTTP/2, gRPC and WebSockets, field by field, and of the connections that carried them or
failed to: a part of logs.py."""

import base64
import calendar
import hashlib
import re
import socket
import ssl
import struct
import subprocess
import time

from collector import ACCESS, CONNECTION, Target, fields, misfits
from frames import NAME, Secure
from grpc_suite import Echo, serve
from http2_wire import CONTEXT, DATA, END_HEADERS, END_STREAM, HEADERS, Wire, frame

CIPHER = "TLS_AES_256_GCM_SHA384|TLS_AES_128_GCM_SHA256|TLS_CHACHA20_POLY1305_SHA256"
OLD_CIPHER = "ECDHE-ECDSA-AES(128|256)-GCM-SHA(256|384)"
GROUP = "x25519|X25519|secp256r1|secp384r1|X25519MLKEM768|SecP256r1MLKEM768"


def answer(_, stream, head):
    """What the target of these cases does: an echo behind a WebSocket's upgrade, else some bytes."""
    path = head.split(b" ")[1].decode()
    if b"upgrade: websocket" not in head.lower():
        if path == "/chunked":
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        return b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\nX-Some: thing\r\n\r\n" + b"x" * 300
    if path == "/refuse":
        return b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"
    key = re.search(rb"\r\nSec-WebSocket-Key: ([^\r]*)\r\n", head, re.I).group(1)
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    stream.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    while data := stream.recv(65536):
        stream.sendall(data)
    return None


class Book:
    """Compares lines with what they must be."""

    def __init__(self, front, collector, target):
        self.front, self.collector, self.target = front, collector, target
        self.failures, self.count = [], 0
        described = front.elb.describe_listeners(ListenerArns=[front.listener])["Listeners"][0]
        self.certificate = described["Certificates"][0]["CertificateArn"]
        self.dns = front.elb.describe_load_balancers(LoadBalancerArns=[front.balancer.arn])["LoadBalancers"][0]["DNSName"]
        self.name = front.balancer.arn.split(":loadbalancer/")[1]

    def line(self, port, path):
        return fields(self.collector.wait(lambda line: f" 127.0.0.1:{port} " in line and f"{path} HTTP/" in line)[-1])

    def check(self, name, port, path, began, **want):
        """`want`: fields by their names below; a regular expression in a list."""
        self.count += 1
        ended = time.time()
        found = self.line(port, path)
        secure = want.pop("secure", True)
        names = {
            "kind": 0, "elb": 2, "client": 3, "target": 4, "request_time": 5, "target_time": 6, "response_time": 7, "status": 8,
            "target_status": 9, "received": 10, "sent": 11, "line": 12, "agent": 13, "cipher": 14, "protocol": 15, "group": 16, "trace": 17,
            "domain": 18, "certificate": 19, "priority": 20, "actions": 22, "redirect": 23, "error": 24, "targets": 25, "statuses": 26,
            "class": 27, "class_reason": 28, "connection": 29, "new_host": 30, "new_url": 31, "transform": 32,
        }
        expected = {
            "elb": self.name, "client": f"127.0.0.1:{port}", "target": self.target.address, "request_time": [r"0\.\d{3}"],
            "target_time": [r"0\.\d{3}"], "response_time": [r"0\.\d{3}"], "status": "200", "target_status": "200", "agent": "-",
            "cipher": [CIPHER] if secure else "-", "protocol": "TLSv1.3" if secure else "-", "group": self.front.balancer.group,
            "trace": [r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}"], "domain": NAME if secure else "-", "certificate": self.certificate if secure else "-",
            "priority": "0", "actions": "forward", "redirect": "-", "error": "-", "class": "-", "class_reason": "-",
            "connection": ["TID_[0-9a-f]{32}"], "new_host": "-", "new_url": "-", "transform": "-",
        } | want
        expected.setdefault("targets", expected["target"])
        expected.setdefault("statuses", expected["target_status"])
        problems = misfits(found, ACCESS)
        for key, value in expected.items():
            got = found[names[key]]
            if not (re.fullmatch(value[0], got) if isinstance(value, list) else got == str(value)):
                problems.append(f"field {names[key] + 1} ({key}): {got!r}, expected {value!r}")
        for at, latest in ((1, ended + 0.35), (21, ended)):
            stamp = calendar.timegm(time.strptime(found[at][:19], "%Y-%m-%dT%H:%M:%S")) + int(found[at][20:26]) / 1e6
            if not began - 0.01 <= stamp <= latest:
                problems.append(f"time {found[at]}")
        if problems:
            self.failures.append(f"{name}: " + "; ".join(problems))
        return found[29]

    def connection(self, name, port, listener, tid=None, **want):
        self.count += 1
        line = self.collector.wait(lambda line: line[0].isdigit() and f" 127.0.0.1 {port} {listener} " in line)[-1]
        found = fields(line)
        expected = {4: "TLSv1.3", 5: [CIPHER], 6: [r"0\.\d{3}"], 7: "-", 8: "-", 9: "-", 10: "Success", 11: tid or ["TID_[0-9a-f]{32}"], 12: [GROUP]}
        expected |= {int(key[1:]): value for key, value in want.items()}
        problems = misfits(found, CONNECTION)
        for at, value in expected.items():
            if not (re.fullmatch(value[0], found[at]) if isinstance(value, list) else found[at] == value):
                problems.append(f"field {at + 1} ({CONNECTION[at]}): {found[at]!r}, expected {value!r}")
        if problems:
            self.failures.append(f"connection, {name}: " + "; ".join(problems))


def secured(front, name=NAME, **options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if "maximum" in options:
        context.maximum_version = options["maximum"]
    raw = socket.create_connection((front.ip, front.port), timeout=20)
    return context.wrap_socket(raw, server_hostname=name)


def whole(stream, request):
    """Sends a request whose answer ends with the connection."""
    stream.sendall(request)
    data = b""
    while more := stream.recv(65536):
        data += more
    return data


def request(method, path, *lines, body=b"", close=True):
    head = [f"{method} {path} HTTP/1.1", "Host: logs.example", *lines] + (["Connection: close"] if close else [])
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def https(book):
    front = book.front
    url = lambda path: f"https://logs.example:{front.port}{path}"  # noqa: E731
    cases = [
        ("GET", "/a?b=c", [], b"", {"agent": "curl/8", "lines": ["User-Agent: curl/8"]}),
        ("POST", "/upload", ["Content-Length: 5"], b"hello", {}),
        ("PUT", "/chunked", ["Transfer-Encoding: chunked"], b"3\r\nabc\r\n0\r\n\r\n", {}),
        ("HEAD", "/head", [], b"", {}),
        ("TRACE", "/none", [], b"", {"status": "405", "target": "-", "target_status": "-", "group": "-", "trace": "-", "priority": "-", "actions": "-"}),
        ("POST", "/two", ["Content-Length: 1", "Content-Length: 2"], b"ab", {
            "status": "400", "target": "-", "target_status": "-", "group": "-", "trace": "-", "priority": "-", "actions": "-",
            "class": "Severe", "class_reason": "MultipleContentLength", "cut": True}),
    ]
    for method, path, lines, body, want in cases:
        began = time.time()
        with secured(front) as stream:
            port = stream.getsockname()[1]
            sent = request(method, path, *lines, *want.pop("lines", []), body=body)
            data = whole(stream, sent)
        if want.get("target") == "-":
            want |= {key: "-1" for key in ("request_time", "target_time", "response_time")}
        received = len(sent) - (len(body) if want.pop("cut", False) else 0)
        tid = book.check(f"https {path}", port, path, began, kind="https", line=f"{method} {url(path)} HTTP/1.1", received=received, sent=len(data), **want)
        book.connection(f"https {path}", port, front.port, tid)
    for name, want in ((None, {"domain": "-"}), ("other.test", {"domain": "other.test"})):
        began = time.time()
        with secured(front, name) as stream:
            port, sent = stream.getsockname()[1], request("GET", "/name")
            data = whole(stream, sent)
        book.check(f"SNI {name}", port, "/name", began, kind="https", line=f"GET {url('/name')} HTTP/1.1", received=len(sent), sent=len(data), **want)
    began = time.time()
    with secured(front, maximum=ssl.TLSVersion.TLSv1_2) as stream:
        port, sent = stream.getsockname()[1], request("GET", "/old")
        data = whole(stream, sent)
    tid = book.check("TLS 1.2", port, "/old", began, kind="https", line=f"GET {url('/old')} HTTP/1.1", received=len(sent), sent=len(data),
                     cipher=[OLD_CIPHER], protocol="TLSv1.2")
    book.connection("TLS 1.2", port, front.port, tid, f4="TLSv1.2", f5=[OLD_CIPHER])
    resumed(book, url)


def resumed(book, url):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    session = None
    for turn in range(2):
        began = time.time()
        raw = socket.create_connection((book.front.ip, book.front.port), timeout=20)
        with context.wrap_socket(raw, server_hostname=NAME, session=session) as stream:
            port, sent = stream.getsockname()[1], request("GET", f"/session/{turn}")
            data = whole(stream, sent)
            session = stream.session
            assert stream.session_reused == bool(turn)
        certificate = "session-reused" if turn else book.certificate
        book.check(f"session {turn}", port, f"/session/{turn}", began, kind="https", line=f"GET {url(f'/session/{turn}')} HTTP/1.1",
                   received=len(sent), sent=len(data), certificate=certificate)


def head_size(listed):
    """A head's bytes as HTTP/1.1 would write them, pseudo-fields aside."""
    return sum(len(name) + len(value) + 4 for name, value in listed if not name.startswith(":")) + 2


class Call:
    """A stream of HTTP/2, and what its answer was."""

    def __init__(self, wire, stream, method, path, *more, body=None):
        asked = wire.fields(method, path, *more)
        wire.request(stream, asked, END_HEADERS | (0 if body is not None else END_STREAM))
        if body is not None:
            wire.send(frame(DATA, END_STREAM, stream, body))
        self.received = len(f"{method} {path} HTTP/1.1\r\n") + len(f"Host: {wire.authority}\r\n") + head_size(asked) + len(body or b"")
        self.sent, self.status, self.trailers = 0, None, {}
        ended = False
        while not ended:
            kind, flags, on, payload = wire.read()
            if on != stream or kind not in (HEADERS, DATA):
                continue
            ended = bool(flags & END_STREAM)
            if kind == DATA:
                self.sent += len(payload)
                continue
            listed = [(str(name), str(value)) for name, value in wire.decoder.decode(payload)]
            if self.status is None:
                self.status = dict(listed)[":status"]
                self.sent += len(f"HTTP/1.1 {self.status} \r\n") + head_size(listed)
            self.trailers |= dict(listed)


def http2(book, grpc_group, grpc_port):
    front = book.front
    with Wire(front) as wire:
        port, base, tids = wire.socket.getsockname()[1], f"https://{front.ip}:{front.port}", set()
        none = {"target": "-", "target_status": "-", "request_time": "-1", "target_time": "-1", "response_time": "-1"}
        message = b"\0" + struct.pack(">I", 5) + b"hello"
        grpc = [("content-type", "application/grpc"), ("te", "trailers")]
        to_grpc = {"kind": "grpcs", "group": grpc_group, "target": f"127.0.0.1:{grpc_port}", "priority": "1"}
        cases = [
            ("GET", "/h2?x=y", [("user-agent", "h2/1")], None, {"agent": "h2/1"}),
            ("POST", "/h2/upload", [("content-length", "2000")], b"b" * 2000, {}),
            ("POST", "/h2/open", [], b"b" * 100, {}),
            ("HEAD", "/h2/head", [], None, {}),
            ("POST", "/test.Echo/Unary", grpc, message, to_grpc),
            ("POST", "/test.Echo/Fail", grpc, b"\0" + struct.pack(">I", 1) + b"5", to_grpc),
            # An answer made here does not wait for a body.
            ("POST", "/h2/mismatch", grpc, message, {"kind": "grpcs", "status": "464", "unread": len(message), **none}),
            ("TRACE", "/h2/none", [], None, {"status": "405", "group": "-", "trace": "-", "priority": "-", "actions": "-", **none}),
        ]
        for turn, (method, path, more, body, want) in enumerate(cases):
            began = time.time()
            call = Call(wire, 2 * turn + 1, method, path, *more, body=body)
            assert call.status == want.get("status", "200"), (path, call.status)
            line = f"{method} {base}{path} HTTP/2.0"
            call.received -= want.pop("unread", 0)
            tids.add(book.check(f"h2 {path}", port, path, began, **{"kind": "h2", "line": line, "received": call.received, "sent": call.sent, **want}))
    if len(tids) != 1:
        book.failures.append(f"h2: {len(tids)} names of one connection")
    book.connection("h2", port, front.port, tids.pop())


def upgrade(path):
    lines = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    return request("GET", path, *lines, close=False)


def websockets(book):
    front = book.front
    for kind, secure in (("ws", False), ("wss", True)):
        listener = front.port if secure else front.balancer.port
        connect = (lambda: secured(front)) if secure else (lambda: socket.create_connection((front.ip, front.balancer.port), timeout=20))
        base = f"{'https' if secure else 'http'}://logs.example:{listener}"
        # Earlier connections may have had the same port.
        since, began = len(book.collector.lines), time.time()
        with connect() as stream:
            port, sent = stream.getsockname()[1], upgrade(f"/{kind}")
            stream.sendall(sent)
            data = b""
            while b"\r\n\r\n" not in data:
                data += stream.recv(65536)
            assert data.startswith(b"HTTP/1.1 101 "), data
            for size in (1, 1000, 100_000):
                stream.sendall(b"f" * size)
                sent, wanted = sent + b"f" * size, len(data) + size
                while len(data) < wanted:
                    data += stream.recv(65536)
            # No line before it closes.
            told = [line for line in book.collector.lines[since:] if f" 127.0.0.1:{port} " in line]
            assert not told, told
            if secure:
                stream = stream.unwrap()
            stream.shutdown(socket.SHUT_WR)
            while stream.recv(65536):
                pass
        tid = book.check(kind, port, f"/{kind}", began, kind=kind, secure=secure, status="101", target_status="101",
                         line=f"GET {base}/{kind} HTTP/1.1", received=len(sent), sent=len(data))
        if secure:
            book.connection(kind, port, listener, tid)
        # A refused upgrade is an ordinary request.
        began = time.time()
        with connect() as stream:
            port, sent = stream.getsockname()[1], upgrade("/refuse").replace(b"\r\n\r\n", b"\r\n\r\n", 1)
            stream.sendall(sent)
            data = b""
            while not data.endswith(b"\r\n\r\nno"):
                data += stream.recv(65536)
        book.check(f"{kind} refused", port, "/refuse", began, kind="https" if secure else "http", secure=secure, status="403",
                   target_status="403", line=f"GET {base}/refuse HTTP/1.1", received=len(sent), sent=len(data))


def broken(book):
    """Handshakes that come to nothing have a line in the connection log, and none in the access log."""
    front = book.front
    # Earlier connections may have had the same ports.
    since = len(book.collector.lines)
    failed = dict(f4="-", f5="-", f6="-", f10="Failed:UnmappedConnectionError", f12="-")

    def raw(data):
        with socket.create_connection((front.ip, front.port), timeout=20) as stream:
            port = stream.getsockname()[1]
            stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)
            while stream.recv(65536):
                pass
        return port

    hello = ssl.MemoryBIO(), ssl.MemoryBIO()
    maker = CONTEXT.wrap_bio(*hello, server_hostname=NAME)
    try:
        maker.do_handshake()
    except ssl.SSLWantReadError:
        pass
    client_hello = hello[1].read()
    ports = {"plain HTTP": raw(request("GET", "/")), "garbage": raw(b"\x16\x03\x01\x00\x05hello"), "half a hello": raw(client_hello[:100])}
    context = ssl.create_default_context()  # trusts nobody here
    raw_stream = socket.create_connection((front.ip, front.port), timeout=20)
    ports["distrust"] = raw_stream.getsockname()[1]
    try:
        context.wrap_socket(raw_stream, server_hostname=NAME)
        raise AssertionError("an unknown authority was trusted")
    except ssl.SSLCertVerificationError:
        raw_stream.close()
    # No cipher in common: what the policy's name has and rustls does not.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        bound = probe.getsockname()[1]
    command = ["openssl", "s_client", "-connect", f"{front.ip}:{front.port}", "-bind", f"127.0.0.1:{bound}", "-tls1_2", "-cipher", "AES128-SHA"]
    assert subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=20).returncode != 0
    ports["no cipher in common"] = bound
    for name, port in ports.items():
        book.connection(name, port, front.port, **failed)
        told = [line for line in book.collector.lines[since:] if f" 127.0.0.1:{port} " in line and not line[0].isdigit()]
        if told:
            book.failures.append(f"connection, {name}: an access line too: {told}")


def check_secure(daemon, collector):
    """All of it; the failures, and how many lines were compared."""
    target = Target(answer)
    front = Secure(daemon, name="secure-logs")
    front.balancer.register(target)
    front.balancer.wait_healthy(target)
    echo = Echo()
    server, port = serve(echo)
    group = front.group("GRPC", "/test.Echo/*", [("127.0.0.1", port)], Matcher={"GrpcCode": "12"})
    book = Book(front, collector, target)
    for part in (https, lambda book: http2(book, group, port), websockets, broken):
        try:
            part(book)
        except (AssertionError, OSError) as error:
            book.failures.append(f"{getattr(part, '__name__', 'h2')}: {error!r}")
    server.stop(0)
    return book.failures, book.count
