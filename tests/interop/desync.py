"""The test vectors of http_desync_guardian, ALB's own classifier, as raw bytes through a live listener in each of the three
modes: what happens to the request, to both connections, and what the access log says of it. See desync/README.md."""

import collections
import json
import pathlib
import socket
import sys
import tempfile

from collector import Collector, Target, fields, read_head
from house import Balancer, House, wait

FOLDER = pathlib.Path(__file__).parent / "desync"
HOST = b"Host: desync.example\r\n"


def framed(vector):
    """A body as Forebay reads it, for vectors whose request it forwards."""
    codings = [value.strip().lower() for name, value in vector["headers"] if name.lower() == "transfer-encoding"]
    if codings == ["chunked"]:
        return b"5\r\nhello\r\n0\r\n\r\n"
    lengths = [value.strip() for name, value in vector["headers"] if name.lower() == "content-length"]
    return b"a" * int(lengths[0]) if lengths and lengths[0].isdigit() and len(lengths[0]) < 7 else b""


def raw(vector):
    """The request as the guardian's own tests write it, with a Host behind its headers: they have none."""
    head = f"{vector['method']} {vector['uri']} {vector['version']}\r\n"
    for name, value in vector["headers"]:
        head += f"{name}: {value}\r\n"
    return head.encode() + (b"" if any(name.lower() == "host" for name, _ in vector["headers"]) else HOST) + b"\r\n"


def send(port, vector):
    """Status, whether the answer says close, whether the connection was then closed, and the client's own port."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as stream:
        own = stream.getsockname()[1]
        stream.sendall(raw(vector) + framed(vector))
        head, rest = read_head(stream)
        assert head is not None, f"no answer, {rest!r}"
        status = int(head.split(b" ")[1])
        says_close = b"\r\nconnection: close\r\n" in head.lower()
        closed = False
        if says_close:
            stream.settimeout(5)
            try:
                while stream.recv(65536):
                    pass
                closed = True
            except ConnectionResetError:
                closed = True
            except TimeoutError:
                pass
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
    tier, reason = vector["tier"], vector["reason"]
    if exception:
        tier, reason = exception.get("class", [tier, reason])
        if exception.get("status"):
            return exception["status"], True, None, tier, reason
    what = course(mode, tier)
    if what == "refuse":
        return 400, True, None, tier, reason
    names = [name.lower() for name, _ in vector["headers"]]
    # RFC 9112 section 6.1: after a request with both, the connection is closed whatever the mode; section 9.3: HTTP/1.0
    # connections are kept only if asked for.
    closes = what == "close" or {"transfer-encoding", "content-length"} <= set(names) or vector["version"] == "HTTP/1.0"
    return 200, closes, what == "close", tier, reason


def main():
    vectors = json.loads((FOLDER / "vectors.json").read_text())
    exceptions = {(e["file"], e["name"]): e for e in json.loads((FOLDER / "exceptions.json").read_text())}
    assert len(vectors) == 159, len(vectors)
    unknown = set(exceptions) - {(v["file"], v["name"]) for v in vectors}
    assert not unknown, f"exceptions for vectors that are not there: {unknown}"
    folder = tempfile.TemporaryDirectory(prefix="forebay-desync-")
    collector = Collector(pathlib.Path(folder.name) / "collector")
    target = Target()
    failures, counts = [], collections.Counter()
    with House(workers=1, live_log=f"unix:{collector.path}") as house:
        balancer = Balancer(house)
        balancer.register(target)
        balancer.wait_healthy(target)
        for mode in ["monitor", "defensive", "strictest"]:
            balancer.elb.modify_load_balancer_attributes(
                LoadBalancerArn=balancer.arn,
                Attributes=[{"Key": "routing.http.desync_mitigation_mode", "Value": mode}],
            )
            for vector in vectors:
                name = f"{mode} / {vector['file']} / {vector['name']}"
                exception = exceptions.get((vector["file"], vector["name"]))
                want = expected(mode, vector, exception)
                seen = len(target.heads)
                try:
                    status, closed, port = send(balancer.port, vector)
                except (AssertionError, OSError) as error:
                    failures.append(f"{name}: {error!r}")
                    continue
                target_closed = None
                if len(target.heads) > seen:
                    peer = target.heads[-1][0]
                    if want[2]:
                        wait(lambda: peer in target.closed, "the target's connection is closed", 5)
                    target_closed = peer in target.closed
                    counts["forwarded"] += 1
                line = fields(collector.wait(lambda line: f" 127.0.0.1:{port} " in line)[-1])
                logged = [line[27], line[28]]
                tier, reason = want[3:]
                log = ["-", "-"] if tier == "Compliant" else [tier, reason]
                found = (status, closed, target_closed, *logged)
                wanted = (want[0], want[1], want[2], *log)
                # One connection to the target serves many requests: that it is still open is only told where it matters.
                if found != wanted:
                    failures.append(f"{name}: found {found}, expected {wanted}\n    {raw(vector)!r}")
                if int(line[8]) != status:
                    failures.append(f"{name}: the log says {line[8]}, the client got {status}")
                counts[mode, status] += 1
        house.stop()
    for failure in failures:
        print(failure)
    print(dict(counts))
    print(f"{3 * len(vectors) - len(failures)} of {3 * len(vectors)} agree; {len(exceptions)} vectors are exceptions")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
