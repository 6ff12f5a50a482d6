"""Smuggling and malformed requests, each citing its source, through the balancer to six unlike origins: each sees exactly one
request, or none, and the next client on a pooled connection gets its own answer. See smuggling/corpus.py."""

import collections
import concurrent.futures
import os
import re
import socket
import sys
import tempfile
import time

from frames import certificate
from daemon import Balancer, Daemon, free_port
from smuggling import corpus, servers, wire

ONLY = os.environ.get("FOREBAY_ORIGINS", "").split()
SEEN = re.compile(rb"\r\nx-seen: ([^\r]*)\r", re.I)
FINAL = re.compile(rb"HTTP/1\.1 [2-5][0-9][0-9] ")


def read(stream, data=b"", answers=None):
    """Reads to the end, or until this many final answers have begun."""
    while answers is None or len(FINAL.findall(data)) < answers:
        try:
            more = stream.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            break
        if not more:
            break
        data += more
    return data


def clean(front, tag):
    """A plain request on a connection of its own: what is wrong with its answer."""
    with socket.create_connection((front.node, front.port), timeout=10) as stream:
        stream.sendall(f"GET /clean-{tag} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n".encode())
        data = read(stream)
    seen = SEEN.findall(data)
    if data.startswith(b"HTTP/1.1 200 ") and len(FINAL.findall(data)) == 1 and seen == [b"/clean-" + tag.encode()]:
        return []
    return [f"the next client was answered with {data[:200]!r}"]


def http1(front, vector, run):
    """Sends the vector as it is; returns what the client was answered."""
    with socket.create_connection((front.node, front.port), timeout=10) as stream:
        try:
            stream.sendall(vector.render(run))
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all was sent
        data = b""
        if not vector.eof or vector.early and front.origin.name in servers.EARLY:
            # Not ended before it is answered: an end would tell the balancer more than the bytes do.
            data = read(stream, answers=sum(vector.expected(run) or (1, 0)))
        try:
            stream.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return read(stream, data)


def answered(vector, data):
    """What is wrong with the answers."""
    seen = [name.decode("latin-1") for name in SEEN.findall(data)]
    inner = [name for name in seen if (servers.NAMES.search(name) or [""])[0].startswith("inner")]
    if inner and not vector.exact:
        return [f"the client got the hidden request's answer {inner}"]
    return [] if data or vector.eof else ["the client was not answered"]


class Front:
    """One load balancer before one origin, with a plain and a TLS listener."""

    def __init__(self, daemon, origin, secret):
        self.origin = origin
        self.streams = {}
        self.balancer = Balancer(daemon, name=origin.name, interval=300)
        elb = self.balancer.elb
        elb.modify_target_group(TargetGroupArn=self.balancer.group, HealthCheckPath="/health", Matcher={"HttpCode": "200-404"})
        self.balancer.register(origin)
        self.tls = free_port()
        elb.create_listener(
            LoadBalancerArn=self.balancer.arn, Protocol="HTTPS", Port=self.tls, Certificates=[{"CertificateArn": secret}],
            SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.balancer.group}])
        self.node, self.port = self.balancer.nodes[0], self.balancer.port
        self.balancer.wait_healthy(origin)

    def mode(self, mode):
        self.balancer.elb.modify_load_balancer_attributes(
            LoadBalancerArn=self.balancer.arn, Attributes=[{"Key": "routing.http.desync_mitigation_mode", "Value": mode}])

    def run(self, vectors, run, send):
        """All vectors, one after another; what is wrong."""
        wrong = []
        for vector in vectors:
            try:
                found = send(self, vector, run)
            except TimeoutError:
                found = ["the connection hung"]
            try:
                found += clean(self, vector.tag(run))
            except OSError as error:
                found.append(f"the next client was not answered: {error!r}")
            wrong += [(vector, run, text) for text in found]
        return wrong


def count(origin):
    """How often each name was seen, and by which connections (ports) in order. What an origin could not read names nothing: it
    belongs to the vector whose clean request is next, as vectors come one after another."""
    counts, ports, unread = collections.Counter(), {}, 0
    for port, _, target, rest in origin.seen():
        name = servers.NAMES.search(target) or servers.NAMES.search(" ".join(map(str, rest)))
        if name is None:
            unread += not target.startswith("/health")
            continue
        counts[name[0]] += 1
        ports.setdefault(name[0], port)
        if name[1] == "clean":
            counts["unread-" + name[2]] += unread
            unread = 0
    counts["unread"] = unread
    return counts, ports


def judge(counts, ports, vectors, run):
    """What is wrong with what an origin saw in this run, and the row of the table."""
    wrong, row = [], collections.Counter(vectors=len(vectors))
    for vector in vectors:
        tag = vector.tag(run)
        outer, inner, unread, after = (counts[f"{kind}-{tag}"] for kind in ("outer", "inner", "unread", "clean"))
        outer += unread
        expected = vector.expected(run) or (min(outer, 1), 0)
        row["forwarded"] += outer > 0
        row["refused"] += outer == 0
        row["unread"] += unread
        row["inner"] += max(0, inner - expected[1])
        row["reused"] += outer > 0 and ports.get(f"outer-{tag}") == ports.get(f"clean-{tag}")
        if (outer, inner) != expected:
            wrong.append((vector, run, f"the origin saw {outer} outer and {inner} inner requests, expected {expected}"))
        if after != 1:
            wrong.append((vector, run, f"the origin saw the next client's request {after} times"))
    return wrong, row


RUNS = [
    ("m", "HTTP/1.1, monitor", "monitor", lambda front, vector, run: answered(vector, http1(front, vector, run))),
    ("d", "HTTP/1.1, defensive", "defensive", lambda front, vector, run: answered(vector, http1(front, vector, run))),
    ("h", "HTTP/2, monitor", "monitor", wire.send),
]


def main():
    lacking = servers.missing()
    if lacking:
        sys.exit(f"origins: FAILED: {', '.join(lacking)} missing: run tests/interop/install.sh")
    vectors = corpus.load()
    assert len(vectors) >= 300 and all(vector.source for vector in vectors)
    streams = wire.expressible(vectors)
    names = ONLY or list(servers.STARTS)
    wrong, began = [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="forebay-origins-") as folder, Daemon(pool="127.168.0.0/14", workers=1) as daemon:
        origins = []
        try:
            for name in names:
                origins.append(servers.Origin(folder, name, servers.STARTS[name]))
            pem, key = certificate()
            secret = daemon.client("acm").import_certificate(Certificate=pem, PrivateKey=key)["CertificateArn"]
            fronts = [Front(daemon, origin, secret) for origin in origins]
            with concurrent.futures.ThreadPoolExecutor(len(fronts)) as pool:
                for run, title, mode, send in RUNS:
                    started = time.monotonic()
                    list(pool.map(lambda front: front.mode(mode), fronts))
                    chosen = streams if run == "h" else vectors
                    for front, found in zip(fronts, pool.map(lambda front: front.run(chosen, run, send), fronts)):
                        wrong += [(front.origin.name, *entry) for entry in found]
                    print(f"{title}: {len(chosen)} vectors to {len(fronts)} origins in {time.monotonic() - started:.1f} s")
            daemon.stop()
        finally:
            for origin in origins:
                origin.stop()
        assert "panicked" not in daemon.stderr(), daemon.stderr()
        print(f"{'origin':<10}{'run':<22}{'vectors':>8}{'forwarded':>10}{'refused':>8}{'inner seen':>11}{'reused':>7}{'unread':>7}")
        for origin in origins:
            counts, ports = count(origin)
            if counts["unread"]:
                wrong.append((origin.name, vectors[-1], "z", f"{counts['unread']} requests after the last"))
            for run, title, *_ in RUNS:
                found, row = judge(counts, ports, streams if run == "h" else vectors, run)
                wrong += [(origin.name, *entry) for entry in found]
                print(f"{origin.name:<10}{title:<22}{row['vectors']:>8}{row['forwarded']:>10}{row['refused']:>8}{row['inner']:>11}"
                      f"{row['reused']:>7}{row['unread']:>7}")
                # Else the clean requests would prove nothing about pooled connections.
                assert row["reused"] >= 50, f"{origin.name}: pooled connections were used again {row['reused']} times only"
    for origin, vector, run, text in wrong:
        print(f"{origin} / {run}{vector.number:03} {vector.name} ({vector.source}): {text}")
    print(f"{len(vectors)} vectors in HTTP/1.1 and {len(streams)} in HTTP/2, {len(wrong)} wrong, in {time.monotonic() - began:.0f} s")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
