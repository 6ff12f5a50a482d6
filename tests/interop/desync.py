"""The test vectors of http_desync_guardian, ALB's own classifier, as raw bytes through a live listener in each of the three
modes: what happens to the request, to both connections, and what the access log says of it. See desync/README.md."""

import collections
import json
import pathlib
import socket
import sys
import tempfile

from collector import Collector, Target, fields, read_head
from daemon import Balancer, Daemon, wait

FOLDER = pathlib.Path(__file__).parent / "desync"
HOST = b"Host: desync.example\r\n"


def framed(vector):
    """A body as Forebay reads it, for vectors whose request it forwards."""
    codings = [value.strip().lower() for name, value in vector["headers"] if name.lower() == "transfer-encoding"]
    if codings == ["chunked"]:
        return b"5\r\nhello\r\n0\r\n\r\n"
    lengths = [value.strip() for name, value in vector["headers"] if name.lower() == "content-length"]
    return b"a" * int(lengths[0]) if lengths and lengths[0].isdigit() and len(lengths[0]) < 8 else b""


def raw(vector):
    """The request as the guardian's own tests write it, with a Host behind its headers: they have none."""
    head = f"{vector['method']} {vector['uri']} {vector['version']}\r\n"
    for name, value in vector["headers"]:
        head += f"{name}: {value}\r\n"
    return head.encode() + (b"" if any(name.lower() == "host" for name, _ in vector["headers"]) else HOST) + b"\r\n"


def send(port, vector):
    """Status, whether the connection was then closed, and the client's own port."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as stream:
        own = stream.getsockname()[1]
        stream.sendall(raw(vector) + framed(vector))
        head, rest = read_head(stream)
        assert head is not None, f"no answer, {rest!r}"
        status = int(head.split(b" ")[1])
        closed = False
        if b"\r\nconnection: close\r\n" in head.lower():
            stream.settimeout(5)
            try:
                while stream.recv(65536):
                    pass
                closed = True
            except ConnectionResetError:
                closed = True
        return status, closed, own


def course(mode, tier):
    """What ALB's page on the modes says."""
    if mode == "monitor" or tier == "Compliant":
        return "pass"
    if mode == "strictest":
        return "refuse"
    return {"Acceptable": "pass", "Ambiguous": "close", "Severe": "refuse"}[tier]


def expected(mode, vector, exception):
    """Status, whether the client's connection closes, whether the target's does (none: it sees nothing), tier, reason."""
    tier, reason = exception.get("class", [vector["tier"], vector["reason"]])
    if "status" in exception:
        return exception["status"], True, None, tier, reason
    what = course(mode, tier)
    if what == "refuse":
        return 400, True, None, tier, reason
    names = {name.lower() for name, _ in vector["headers"]}
    # RFC 9112 section 6.1: after a request with both, the connection is closed whatever the mode; section 9.3: HTTP/1.0
    # connections are kept only if asked for.
    closes = what == "close" or {"transfer-encoding", "content-length"} <= names or vector["version"] == "HTTP/1.0"
    return 200, closes, what == "close", tier, reason


def check(mode, vectors, exceptions, balancer, target, collector, counts):
    """Sends all vectors in one mode; returns what differs."""
    failures, done = [], []
    since = len(collector.lines)
    for vector in vectors:
        seen = len(target.heads)
        try:
            status, closed, port = send(balancer.port, vector)
        except (AssertionError, OSError) as error:
            failures.append(f"{mode} / {vector['number']} {vector['name']}: {error!r}")
            continue
        peer = target.heads[-1][0] if len(target.heads) > seen else None
        done.append((vector, status, closed, port, peer))
    lines = {}
    for line in collector.wait(lambda line: True, since + len(done))[since:]:
        line = fields(line)
        lines[line[3]] = line
    for vector, status, closed, port, peer in done:
        want = expected(mode, vector, exceptions.get(vector["number"], {}))
        target_closed = None
        if peer:
            counts["forwarded"] += 1
            if want[2]:
                wait(lambda: peer in target.closed, "the target's connection is closed", 5)
            # One connection to the target serves many requests: that it is still open is told only where it matters.
            target_closed = bool(want[2]) and peer in target.closed
        line = lines.get(f"127.0.0.1:{port}")
        if line is None:
            failures.append(f"{mode} / {vector['number']} {vector['name']}: no line")
            continue
        found = (status, closed, target_closed, line[27], line[28])
        wanted = want[:3] + (("-", "-") if want[3] == "Compliant" else want[3:])
        if found != wanted or int(line[8]) != status:
            failures.append(f"{mode} / {vector['number']} {vector['name']}: found {found}, expected {wanted}, logged {line[8]}\n    {raw(vector)!r}")
        counts[mode, status] += 1
    return failures


def main():
    vectors = json.loads((FOLDER / "vectors.json").read_text())
    for number, vector in enumerate(vectors, 1):
        vector["number"] = number
    listed = json.loads((FOLDER / "exceptions.json").read_text())
    exceptions = {exception["number"]: exception for exception in listed}
    assert len(vectors) == 159 and len(exceptions) == len(listed)
    for number, exception in exceptions.items():
        assert vectors[number - 1]["name"] == exception["name"], f"exception {number} is for another vector"
    folder = tempfile.TemporaryDirectory(prefix="forebay-desync-")
    collector = Collector(pathlib.Path(folder.name) / "collector")
    target = Target()
    failures, counts = [], collections.Counter()
    with Daemon(workers=1, live_log=f"unix:{collector.path}") as daemon:
        balancer = Balancer(daemon, name="desync")
        balancer.register(target)
        balancer.wait_healthy(target)
        for mode in ["monitor", "defensive", "strictest"]:
            balancer.elb.modify_load_balancer_attributes(
                LoadBalancerArn=balancer.arn,
                Attributes=[{"Key": "routing.http.desync_mitigation_mode", "Value": mode}],
            )
            failures += check(mode, vectors, exceptions, balancer, target, collector, counts)
        daemon.stop()
    for failure in failures:
        print(failure)
    print(dict(counts))
    print(f"{3 * len(vectors) - len(failures)} of {3 * len(vectors)} agree; {len(exceptions)} vectors are exceptions")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
