"""OpenTelemetry spans: the tree of each request, its times and attributes, who sees whose parent, sampling, malformed
headers, and a collector that is down, slow or does not want them. Metrics: what /metrics says, and a collector that asks for
patience. All is read with OpenTelemetry's own messages."""

import collections
import contextlib
import http.client
import http.server
import re
import socket
import subprocess
import threading
import time

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest, ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector import Target
from frames import NAME, Secure
from daemon import Daemon, free_port, wait
from http2_wire import Wire

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{PARENT}-01"
SHAPE = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-(0[0-3])$")


class Collector:
    """Takes OTLP/HTTP posts. `mode`: `take`, `slow` (answers nobody), `reject` (half of the spans), or a status."""

    def __init__(self, port=0):
        self.spans, self.resources, self.mode, self.posts, self.streams = [], [], "take", 0, []
        self.condition = threading.Condition()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                collector.streams.append(self.connection)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
                self.answer(*collector.take(body))

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, body):
        request = ExportTraceServiceRequest.FromString(body)
        found = [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]
        assert found
        with self.condition:
            self.posts += 1
            mode = self.mode
            if mode == "slow":
                self.condition.wait_for(lambda: self.mode != "slow", 60)
                return 503, b""
            if isinstance(mode, int):
                return mode, b""
            self.resources += [resource.resource for resource in request.resource_spans]
            self.spans += found
            self.condition.notify_all()
        answer = ExportTraceServiceResponse()
        if mode == "reject":
            answer.partial_success.rejected_spans = len(found) // 2
        return 200, answer.SerializeToString()

    def set(self, mode):
        with self.condition:
            self.mode = mode
            self.condition.notify_all()

    def tree(self, path, seconds=10, count=1):
        """The spans of the last request for this path: `{name: span}`, the server's by ''."""
        def server():
            return [s for s in self.spans if s.kind == Span.SPAN_KIND_SERVER and attributes(s).get("url.path") == path]
        with self.condition:
            assert self.condition.wait_for(lambda: len(server()) >= count, seconds), f"no span of {path} came"
            root = server()[-1]
            # A request's spans are handed over together.
            return {"": root} | {s.name: s for s in self.spans if s.parent_span_id == root.span_id}

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        for stream in self.streams:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)


def attributes(span):
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


def header(head, name):
    """All values of a header that a target saw."""
    return [line.split(b":", 1)[1].strip().decode() for line in head.split(b"\r\n")[1:] if line.lower().startswith(name.encode() + b":")]


def answer(_, stream, head):
    path = head.split(b" ")[1].decode()
    if path.startswith("/slow"):
        time.sleep(0.3)
    if path.startswith("/large"):
        return b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000
    if path.startswith("/cut"):
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
        return None
    if path.startswith("/close"):
        return None
    status = re.match(r"/status/(\d+)", path)
    return f"HTTP/1.1 {status.group(1) if status else 200} X\r\nContent-Length: 2\r\n\r\nok".encode()


class MetricsCollector:
    """Takes metrics over OTLP/HTTP; `answers` are the first posts' statuses and Retry-After, of which none counts as taken."""

    def __init__(self, *answers, rejects=0):
        self.answers, self.rejects, self.times, self.requests = list(answers), rejects, [], []
        self.condition = threading.Condition()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/metrics" and self.headers["Content-Type"] == "application/x-protobuf"
                status, patience, body = collector.take(ExportMetricsServiceRequest.FromString(body))
                self.send_response(status)
                if patience is not None:
                    self.send_header("Retry-After", str(patience))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, request):
        with self.condition:
            self.times.append(time.monotonic())
            if self.answers:
                status, patience = self.answers.pop(0)
                return status, patience, b""
            self.requests.append(request)
            self.condition.notify_all()
        answer = ExportMetricsServiceResponse()
        answer.partial_success.rejected_data_points = self.rejects
        return 200, None, answer.SerializeToString()

    def last(self):
        """What the last snapshot says, by names and labels as on a page of Prometheus', and each metric's kind."""
        with self.condition:
            requests = list(self.requests)
        values, kinds = {}, {}
        for request in requests[-1:]:
            [resource] = request.resource_metrics
            assert attributes(resource.resource)["service.name"] == "forebay" and attributes(resource.resource)["service.version"]
            for told in (told for scope in resource.scope_metrics for told in scope.metrics):
                kinds[told.name] = told.WhichOneof("data")
                values.update(page_lines(told))
        return values, kinds


def page_lines(told):
    """The lines of a page that a metric is."""
    kind = told.WhichOneof("data")
    for point in getattr(told, kind).data_points:
        labels = attributes(point)
        assert 0 < (point.start_time_unix_nano or 1) <= point.time_unix_nano

        def line(end, value, **more):
            return (told.name + end, *sorted({**labels, **more}.items())), value

        if kind != "histogram":
            value = getattr(point, point.WhichOneof("value"))
            if kind == "sum":
                assert told.sum.is_monotonic and told.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE, told.name
            yield line("_total" if kind == "sum" else "", value)
            continue
        assert told.histogram.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE and told.unit == "s"
        below = 0
        for bound, count in zip([*point.explicit_bounds, None], point.bucket_counts, strict=True):
            below += count
            yield line("_bucket", below, le="+Inf" if bound is None else str(float(bound)))
        assert below == point.count
        yield line("_count", point.count)
        yield line("_sum", point.sum)


def page(daemon):
    """The same of a page of Prometheus', and the kinds that it tells."""
    connection = http.client.HTTPConnection(daemon.admin.removeprefix("http://"), timeout=10)
    connection.request("GET", "/metrics")
    values, kinds = {}, {}
    for line in connection.getresponse().read().decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            kinds[name.removesuffix("_total")] = {"counter": "sum"}.get(kind, kind)
        elif not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            name, _, labels = name.rstrip("}").partition("{")
            values[(name, *sorted(re.findall(r'([a-z_]+)="([^"]*)"', labels)))] = float(value)
    return values, kinds


# What changes while two look at it.
MOVES = ("process_", "forebay_exported_", "forebay_connections_", "forebay_active_connections", "forebay_certificate_")


def metrics():
    """To a collector goes what the page says, and a counter of each. One that asks for two seconds gets them; what it rejects is counted."""
    collector, target = MetricsCollector((429, 2), (503, None)), Target(answer)
    with Daemon(workers=2, otlp_metrics_endpoint=collector.url, otlp_metrics_interval=1) as daemon:
        stage = Stage(daemon, target)
        for path in ("/", "/status/404", "/status/503"):
            stage.send(path)

        def still(values):
            return {labels: value for labels, value in values.items() if not labels[0].startswith(MOVES)}

        def is_same():
            (told, kinds), (shown, shown_kinds) = collector.last(), page(daemon)
            return told if told.keys() == shown.keys() and kinds == shown_kinds and still(told) == still(shown) else None

        told = wait(is_same, "the collector was told what the page says", 30)
        assert sum(value for labels, value in told.items() if labels[0] == "forebay_requests_total") >= 3
        assert {dict(labels[1:]).get("code") for labels in told if labels[0] == "forebay_group_response_seconds_count"} == {"2xx", "4xx", "5xx"}
        assert min(value for labels, value in told.items() if labels[0] == "forebay_certificate_expiry_seconds") > 0
        first, second, third = collector.times[:3]
        assert second - first >= 1.9 and third - second >= 0.9, "a receiver's wish, and a longer wait than before"
        counted = lambda name: daemon.metric(f'^forebay_exported_samples_{name}total.*receiver="otlp"')  # noqa: E731
        assert counted("") > 0 and counted("dropped_") == 0
        collector.rejects = 5
        wait(lambda: counted("dropped_") >= 5, "what was not wanted is counted", 10)
        collector.rejects = 0
        before = len(collector.requests)
        daemon.stop()
        assert len(collector.requests) > before, "what there is at the end is told"
    print(f"  {len(told)} lines of the page came over OTLP, the same values; 429 and 503 were waited out")


class Stage:
    def __init__(self, daemon, target):
        self.target = target
        self.front = Secure(daemon, name="otel")
        balancer = self.front.balancer
        self.ip, self.port, self.elb = balancer.nodes[0], balancer.port, balancer.elb
        balancer.register(target)
        balancer.wait_healthy(target)
        self.dead = free_port()
        vpc = daemon.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
        group = self.elb.create_target_group(Name="dead", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip", HealthCheckIntervalSeconds=300)
        group = group["TargetGroups"][0]["TargetGroupArn"]
        self.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "127.0.0.1", "Port": self.dead}])
        for at, (path, action) in enumerate({
            "/dead*": {"Type": "forward", "TargetGroupArn": group},
            "/fixed*": {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "no"}},
        }.items()):
            self.elb.create_rule(ListenerArn=balancer.listener, Priority=at + 1, Actions=[action], Conditions=[{"Field": "path-pattern", "Values": [path]}])

    def send(self, path, *lines, port=None):
        """One request on a connection of its own, with these header lines; its status, and the head its target saw."""
        before = len(self.target.heads)
        with socket.create_connection((self.ip, self.port), timeout=20) as stream:
            extra = "".join(line + "\r\n" for line in lines)
            stream.sendall(f"GET {path} HTTP/1.1\r\nHost: otel.test:99\r\nUser-Agent: spans/1\r\n{extra}Connection: close\r\n\r\n".encode())
            data = b""
            while more := stream.recv(65536):
                data += more
        heads = self.target.heads[before:]
        return int(data.split(b" ")[1]), heads[-1][1] if heads else None


def nested(tree):
    root = tree[""]
    order = [tree[name] for name in ("accept", "connect", "target", "send") if name in tree]
    for span in order:
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano <= root.end_time_unix_nano, tree
        assert span.trace_id == root.trace_id and span.span_id != root.span_id
    for one, next_ in zip(order, order[1:]):
        assert one.end_time_unix_nano <= next_.start_time_unix_nano + 1_000, (one, next_)
    assert abs(root.end_time_unix_nano / 1e9 - time.time()) < 60
    ids = [span.span_id for span in tree.values()]
    assert len(set(ids)) == len(ids) and all(len(each) == 8 for each in ids) and len(root.trace_id) == 16


def shapes(stage, collector):
    """What one request looks like, by what happened to it."""
    status, head = stage.send("/plain?secret=1", f"traceparent: {GOOD}", "tracestate: a=1,b=2", "TraceState: c=3")
    assert status == 200
    tree = collector.tree("/plain")
    nested(tree)
    assert set(tree) == {"", "accept", "connect", "target", "send"}, set(tree)
    root, client = tree[""], tree["target"]
    assert root.name == "GET" and root.trace_id.hex() == TRACE and root.parent_span_id.hex() == PARENT
    assert root.trace_state == "a=1,b=2,c=3" and root.flags == 0x301 and client.kind == Span.SPAN_KIND_CLIENT
    # The target goes on in our span of it; the client's own state stays.
    assert header(head, "traceparent") == [f"00-{TRACE}-{client.span_id.hex()}-01"], head
    assert header(head, "tracestate") == ["a=1,b=2", "c=3"]
    found = attributes(root)
    local = {"client.address", "network.peer.address", "network.peer.port"}
    assert {k: v for k, v in found.items() if k not in local} == {
        "http.request.method": "GET", "url.scheme": "http", "url.path": "/plain", "server.address": "otel.test", "server.port": stage.port,
        "network.protocol.version": "1.1", "http.response.status_code": 200, "user_agent.original": "spans/1",
        "forebay.load_balancer": stage.front.balancer.arn.split("loadbalancer/")[1], "forebay.target_group": stage.front.balancer.group,
        "forebay.target": stage.target.address,
    }, found
    assert found["client.address"] == "127.0.0.1" and found["network.peer.port"] > 0
    assert attributes(client) == {
        "server.address": stage.target.ip, "server.port": stage.target.port, "network.peer.address": stage.target.ip,
        "network.peer.port": stage.target.port, "http.request.method": "GET", "http.response.status_code": 200,
    }, attributes(client)
    resource = {a.key: a.value.string_value for a in collector.resources[0].attributes}
    assert resource["service.name"] == "forebay" and resource["service.version"]
    # Over a pooled connection there is no connect, and the target's time is its own.
    stage.send("/slow/1")
    tree = collector.tree("/slow/1")
    nested(tree)
    assert "connect" not in tree and 0.29 < (tree["target"].end_time_unix_nano - tree["target"].start_time_unix_nano) / 1e9 < 1
    assert tree[""].parent_span_id == b"" and tree[""].flags == 0x101 and tree[""].trace_state == ""
    for path, names, code, error, reason in [
        ("/large", {"accept", "target", "send"}, 200, None, None),
        ("/status/404", {"accept", "target", "send"}, 404, None, None),
        ("/status/500", {"accept", "target", "send"}, 500, "500", None),
        ("/close", {"accept", "target", "send"}, 502, "target-closed", "target-closed"),
        ("/cut", {"accept", "target", "send"}, 200, "target-closed", "target-closed"),
        ("/dead", {"accept", "connect", "send"}, 502, "refused", "refused"),
        ("/fixed", {"accept", "send"}, 503, "fixed-response", "fixed-response"),
    ]:
        assert stage.send(path)[0] == code
        tree = collector.tree(path)
        nested(tree)
        # Whether a connection was pooled is no matter here.
        assert set(tree) - {""} | {"connect"} == names | {"connect"}, (path, set(tree))
        found = attributes(tree[""])
        assert found["http.response.status_code"] == code and found.get("forebay.reason") == reason, (path, found)
        assert found.get("error.type") == error and (tree[""].status.code == Status.STATUS_CODE_ERROR) == bool(error), (path, found)
    assert attributes(collector.tree("/status/404")["target"])["error.type"] == "404"
    assert attributes(collector.tree("/dead")["connect"])["server.port"] == stage.dead
    # The second request of a connection has no accept.
    with socket.create_connection((stage.ip, stage.port), timeout=20) as stream:
        for turn in range(2):
            stream.sendall(f"GET /turn/{turn} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert stream.recv(65536).startswith(b"HTTP/1.1 200")
    assert "accept" in collector.tree("/turn/0") and "accept" not in collector.tree("/turn/1")
    nested(collector.tree("/turn/1"))
    # What never reaches a rule has a span too.
    with socket.create_connection((stage.ip, stage.port), timeout=20) as stream:
        stream.sendall(f"TRACE /refused HTTP/1.1\r\nHost: a\r\ntraceparent: {GOOD}\r\n\r\n".encode())
        assert stream.recv(65536).startswith(b"HTTP/1.1 405")
    tree = collector.tree("/refused")
    nested(tree)
    assert tree[""].trace_id.hex() == TRACE and attributes(tree[""])["forebay.reason"] == "trace-not-allowed" and set(tree) == {"", "accept", "send"}
    with socket.create_connection((stage.ip, stage.port), timeout=20) as stream:
        stream.sendall(b"\0\1\2\r\n\r\n")
        assert stream.recv(65536).startswith(b"HTTP/1.1 400")
    wait(lambda: [s for s in collector.spans if s.name == "HTTP" and attributes(s)["http.response.status_code"] == 400], "a span of what was no request", 10)


def contexts(stage, collector):
    """Trace contexts: joined, begun anew, left alone (W3C Trace Context, sections 3 and 4)."""
    malformed = [
        GOOD.upper(), GOOD[:-1], GOOD + "-x", GOOD.replace("00", "ff", 1), GOOD.replace(TRACE, "0" * 32), GOOD.replace(PARENT, "0" * 16),
        GOOD.replace("-01", "-0x"), "", "x", GOOD.replace("-", "_"), GOOD.replace("00-", "0-", 1),
    ]
    for at, value in enumerate(malformed):
        _, head = stage.send(f"/malformed/{at}", f"traceparent: {value}", "tracestate: a=1")
        tree = collector.tree(f"/malformed/{at}")
        nested(tree)
        seen = header(head, "traceparent")
        assert len(seen) == 1 and SHAPE.match(seen[0]).group(1) == tree[""].trace_id.hex() != TRACE, (value, seen)
        assert tree[""].parent_span_id == b"" and header(head, "tracestate") == [], value
    _, head = stage.send("/two", f"traceparent: {GOOD}", f"traceparent: {GOOD}")
    assert len(header(head, "traceparent")) == 1 and collector.tree("/two")[""].trace_id.hex() != TRACE
    # A later version is read as far as it is known, and goes on as ours.
    _, head = stage.send("/later", f"Traceparent: {GOOD.replace('00', 'cc', 1)}-what-comes")
    assert collector.tree("/later")[""].parent_span_id.hex() == PARENT and SHAPE.match(header(head, "traceparent")[0]).group(1) == TRACE
    # A client that does not record is left alone: its header goes on, and no span is told.
    quiet = GOOD[:-1] + "0"
    _, head = stage.send("/unsampled", f"traceparent: {quiet}", "tracestate: a=1")
    assert header(head, "traceparent") == [quiet] and header(head, "tracestate") == ["a=1"]
    # Without a trace one begins here.
    _, head = stage.send("/fresh", "tracestate: a=1")
    tree = collector.tree("/fresh")
    trace, parent, flags = SHAPE.match(header(head, "traceparent")[0]).groups()
    assert trace == tree[""].trace_id.hex() and parent == tree["target"].span_id.hex() and flags == "01" and header(head, "tracestate") == []
    assert not [span for span in collector.spans if attributes(span).get("url.path") == "/unsampled"]


def http2(stage, collector):
    """HTTP/2 in front, and to targets (where grpcio's health check would be in the way, so by the front only)."""
    with Wire(stage.front) as wire:
        for turn, stream in enumerate((1, 3)):
            path = f"/h2/{turn}"
            before = len(stage.target.heads)
            wire.request(stream, wire.fields("GET", path, ("traceparent", GOOD), ("tracestate", "a=1")))
            assert wire.verdict(stream) == "status 200"
            tree = collector.tree(path)
            nested(tree)
            found = attributes(tree[""])
            assert found["network.protocol.version"] == "2" and found["url.scheme"] == "https" and found["tls.protocol.version"] == "1.3"
            assert tree[""].trace_id.hex() == TRACE and ("accept" in tree) == (turn == 0)
            head = stage.target.heads[before:][0][1]
            assert header(head, "traceparent") == [f"00-{TRACE}-{tree['target'].span_id.hex()}-01"] and header(head, "tracestate") == ["a=1"]
    made = subprocess.run(
        ["curl", "-sk", "--http1.1", "--resolve", f"{NAME}:{stage.front.port}:{stage.ip}", f"https://{NAME}:{stage.front.port}/tls", "-o", "/dev/null", "-w", "%{http_code}"],
        capture_output=True, text=True, timeout=20)
    assert made.stdout == "200"
    assert attributes(collector.tree("/tls")[""])["url.scheme"] == "https"


def adversity(daemon, stage, collector):
    """A collector that is slow, away or does not want them: requests go on, and every span is counted."""
    told = lambda: (daemon.metric(r"^forebay_spans_total"), daemon.metric(r"^forebay_spans_dropped_total"))  # noqa: E731
    wait(lambda: told() == (len(collector.spans), 0), "every span is counted as sent", 10)
    collector.set("reject")
    before = told()
    stage.send("/rejected")
    wait(lambda: told()[1] > before[1], "spans that the collector did not want are counted", 10)
    collector.set(400)
    before = told()
    stage.send("/refused/400")
    wait(lambda: told()[1] > before[1], "what is refused is not sent again", 5)
    # It comes back before the last try: nothing is lost.
    collector.set(503)
    posts, before = collector.posts, told()
    stage.send("/later/503")
    wait(lambda: collector.posts > posts, "the collector is asked", 10)
    collector.set("take")
    collector.tree("/later/503")
    wait(lambda: told() == (before[0] + 4, before[1]) or told() == (before[0] + 5, before[1]), f"nothing is lost {before}", 5)
    collector.set("slow")
    before = told()
    began = time.monotonic()
    count, failed = hammer(stage, 6.0)
    assert failed == 0 and count > 1000, (count, failed)
    wait(lambda: told()[1] > before[1], "a slow collector's spans are dropped and counted", 20)
    assert told()[0] == before[0]
    print(f"  {count} requests in {time.monotonic() - began:.1f} s while the collector answered nothing: none failed, {int(told()[1] - before[1])} spans dropped so far")
    collector.set("take")
    collector.close()
    # Away: nobody listens.
    taken, before = len(collector.spans), told()
    count, failed = hammer(stage, 3.0)
    assert failed == 0 and count > 500, (count, failed)
    wait(lambda: told()[1] > before[1], "spans are dropped while the collector is away", 20)
    again = Collector(collector.port)
    wait(lambda: (stage.send("/again"), again.spans)[1], "spans go on when it is back", 30)
    assert taken == len(collector.spans)
    return again


def hammer(stage, seconds):
    """Requests one after the other on four kept connections; how many, and how many failed."""
    results, deadline = collections.Counter(), time.monotonic() + seconds

    def one():
        with socket.create_connection((stage.ip, stage.port), timeout=5) as stream:
            while time.monotonic() < deadline:
                stream.sendall(b"GET /hammer HTTP/1.1\r\nHost: a\r\n\r\n")
                results[stream.recv(65536).startswith(b"HTTP/1.1 200")] += 1

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results[True], results[False]


def ratios():
    """The share of requests without a trace; a client's own word goes before it."""
    collector, target = Collector(), Target(answer)
    with Daemon(workers=2, otlp_endpoint=f"http://127.0.0.1:{collector.port}/", otlp_sample="0.25") as daemon:
        stage = Stage(daemon, target)
        flags = collections.Counter()
        for _ in range(400):
            _, head = stage.send("/share")
            flags[SHAPE.match(header(head, "traceparent")[0]).group(3)] += 1
        assert 60 <= flags["01"] <= 140 and flags["00"] + flags["01"] == 400, flags
        for _ in range(20):
            stage.send("/joined", f"traceparent: {GOOD}")
        collector.tree("/joined", count=20)
        assert len([s for s in collector.spans if attributes(s).get("url.path") == "/share"]) == flags["01"]
        daemon.stop()
    print(f"  {flags['01']} of 400 recorded at 0.25")


def off():
    """Not asked for: a client's headers go on as they are, the malformed too."""
    target = Target(answer)
    with Daemon(workers=1) as daemon:
        stage = Stage(daemon, target)
        for value in [GOOD, GOOD[:-1] + "0", "nonsense", GOOD.upper()]:
            _, head = stage.send("/off", f"traceparent: {value}", "tracestate: a=1")
            assert header(head, "traceparent") == [value] and header(head, "tracestate") == ["a=1"]
        _, head = stage.send("/off")
        assert header(head, "traceparent") == []
        assert daemon.metric(r"^forebay_spans_(dropped_)?total") == 0
        daemon.stop()


def main():
    collector, target = Collector(), Target(answer)
    # One worker: whether a connection to the target is pooled is then known.
    with Daemon(workers=1, otlp_endpoint=f"http://127.0.0.1:{collector.port}") as daemon:
        stage = Stage(daemon, target)
        shapes(stage, collector)
        contexts(stage, collector)
        http2(stage, collector)
        print(f"  {len(collector.spans)} spans read: trees, times, parents, attributes, contexts; HTTP/1.1, HTTP/2, TLS")
        again = adversity(daemon, stage, collector)
        # What was begun before the end is told at the end.
        stage.send("/last")
        daemon.stop()
        again.tree("/last", seconds=1)
        assert "panicked" not in daemon.stderr()
    ratios()
    off()
    metrics()
    print("otel passed")


if __name__ == "__main__":
    main()
