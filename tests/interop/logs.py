"""ALB's logs: every field of every access log line of the cases in logs_cases.py, the connection and health-check lines that
belong to them, the files they stand in, that metrics have counted what the lines say, and under full load that no line is lost
uncounted."""

import calendar
import collections
import gzip
import http.client
import os
import pathlib
import re
import socket
import struct
import sys
import tempfile
import threading
import time

from collector import ACCESS, HEALTH, Collector, Target, fields, misfits, read_head
from daemon import STRICT, Balancer, Daemon, free_port, wait
from logs_cases import cases, get
from logs_secure import check_secure

IDLE = 2
# Seconds of a log line beyond what its target took: on a quiet machine, and beside other work.
LATE = 0.15 if STRICT else 5.0
TID = re.compile(r"^TID_[0-9a-f]{32}$")
TRACE = re.compile(r"^Root=1-[0-9a-f]{8}-[0-9a-f]{24}$")
MICROS = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")


def escaped(data):
    """ALB's way to write bytes that would break a line."""
    return "".join(chr(b) if 0x20 <= b < 0x7F and b not in b'"\\' else f"\\x{b:02X}" for b in data)


def reset(stream):
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


def answer(_, stream, head):
    """What the target does, by the path."""
    path = head.split(b" ")[1].decode("latin-1").split("?")[0]
    to_head = head.startswith(b"HEAD ")
    parts = path.strip("/").split("/")
    number = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
    body = b"x" * number
    match parts[0]:
        case "status":
            none = number in (204, 304)
            return f"HTTP/1.1 {number} Whatever\r\n{'' if none else 'Content-Length: 1' + chr(13) + chr(10)}\r\n".encode() + (b"" if none else b"x")
        case "bytes":
            return f"HTTP/1.1 200 OK\r\nContent-Length: {number}\r\n\r\n".encode() + (b"" if to_head else body)
        case "chunked":
            chunk = f"{number:x}\r\n".encode() + body + b"\r\n" if number else b""
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n"
        case "until-close":
            stream.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
            return None
        case "cut":
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + body)
            return None
        case "cutchunks":
            stream.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + body)
            return None
        case "slow":
            time.sleep(number / 1000)
        case "bad":
            return misbehave(parts[1], stream)
    return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + (b"" if to_head else b"ok")


def misbehave(how, stream):
    match how:
        case "close":
            return None
        case "reset":
            reset(stream)
            return None
        case "silent":
            stream.settimeout(30)
            while stream.recv(1000):
                pass
            return None
    return {
        "garbage": b"what?\r\n\r\n",
        "bighead": b"HTTP/1.1 200 OK\r\nA: " + b"a" * 40_000 + b"\r\n\r\n",
        "both": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "twolengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "nostatus": b"HTTP/1.1 OK\r\n\r\n",
        "switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    }[how]


def blackhole():
    """An address that accepts no connection: its queue is full. What fills it must be held."""
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    held = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        try:
            filler.connect(full.getsockname())
        except BlockingIOError:
            pass
        held.append(filler)
    return full, held


class Stage:
    """The load balancer that all cases go to."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.balancer = balancer = Balancer(daemon, name="logs")
        self.elb = balancer.elb
        self.vpc = daemon.client("ec2").describe_subnets()["Subnets"][0]["VpcId"]
        self.target = Target(answer)
        self.dead = free_port()
        self.full, self.held = blackhole()
        self.groups = {"main": balancer.group, "none": "-"}
        balancer.register(self.target)
        self.group("empty")
        self.group("refused", self.dead)
        self.group("some", self.dead, self.target.port)
        self.group("weighted", self.target.port)
        self.group("blackhole", self.full.getsockname()[1])
        self.rules()
        attributes = {"idle_timeout.timeout_seconds": str(IDLE)}
        for log, bucket in [("access_logs", "access-bucket"), ("connection_logs", "other-bucket"), ("health_check_logs", "other-bucket")]:
            attributes |= {f"{log}.s3.enabled": "true", f"{log}.s3.bucket": bucket, f"{log}.s3.prefix": "a/b" if log == "access_logs" else ""}
        self.elb.modify_load_balancer_attributes(
            LoadBalancerArn=balancer.arn, Attributes=[{"Key": key, "Value": value} for key, value in attributes.items()]
        )
        described = self.elb.describe_load_balancers(Names=["logs"])["LoadBalancers"][0]
        self.dns, self.port = described["DNSName"], balancer.port
        self.name = balancer.arn.split(":loadbalancer/")[1]
        balancer.wait_healthy(self.target)

    def group(self, name, *ports):
        made = self.elb.create_target_group(
            Name=name, Protocol="HTTP", Port=80, VpcId=self.vpc, TargetType="ip",
            HealthCheckIntervalSeconds=300, HealthCheckTimeoutSeconds=2,
        )
        self.groups[name] = made["TargetGroups"][0]["TargetGroupArn"]
        if ports:
            self.elb.register_targets(TargetGroupArn=self.groups[name], Targets=[{"Id": "127.0.0.1", "Port": port} for port in ports])

    def rule(self, priority, path, action, transforms=()):
        self.elb.create_rule(
            ListenerArn=self.balancer.listener, Priority=priority, Actions=[action], Transforms=list(transforms),
            Conditions=[{"Field": "path-pattern", "Values": [path]}],
        )

    def forward(self, group, weight=None):
        if weight is None:
            return {"Type": "forward", "TargetGroupArn": self.groups[group]}
        return {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": self.groups[group], "Weight": weight}]}}

    def rules(self):
        redirect = lambda **config: {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_302", **config}}
        self.rule(10, "/redirect*", redirect(StatusCode="HTTP_301", Protocol="HTTPS", Port="443"))
        self.rule(11, "/elsewhere", redirect(Host="other.example", Port="8080", Path="/new/#{path}", Query="from=#{host}"))
        self.rule(12, "/long", redirect(Path="/x", Query="#{query}#{query}#{query}#{query}#{query}"))
        for at, status in enumerate([200, 404, 503]):
            fixed = {"StatusCode": str(status), "ContentType": "text/plain", "MessageBody": f"fixed {status}"}
            self.rule(20 + at, f"/fixed/{status}", {"Type": "fixed-response", "FixedResponseConfig": fixed})
        self.rule(30, "/empty/*", self.forward("empty"))
        self.rule(31, "/refused/*", self.forward("refused"))
        self.rule(32, "/some/*", self.forward("some"))
        self.rule(33, "/weightless", self.forward("weighted", 0))
        rewrite = lambda regex, replace: {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": regex, "Replace": replace}]}}
        host = lambda regex, replace: {"Type": "host-header-rewrite", "HostHeaderRewriteConfig": {"Rewrites": [{"Regex": regex, "Replace": replace}]}}
        self.rule(40, "/rewrite*", self.forward("main"), [rewrite("^/rewrite/(.*)$", "/plain/$1")])
        self.rule(41, "/hosted", self.forward("main"), [host("^old(.*)$", "new$1")])
        self.rule(42, "/badhost", self.forward("main"), [host("^old(.*)$", "a/b")])
        self.rule(43, "/badpath/*", self.forward("main"), [rewrite("^/badpath/(.*)$", "$1")])
        for priority in [44, 45, 46]:
            self.rule(priority, f"/rule/{priority}", self.forward("main"))
        self.rule(50, "/blackhole", self.forward("blackhole"))

    def address(self, kind):
        return {
            "none": "-",
            "good": self.target.address,
            "refusing": f"127.0.0.1:{self.dead}",
            "blackhole": f"127.0.0.1:{self.full.getsockname()[1]}",
        }[kind]


Outcome = collections.namedtuple("Outcome", "port status received began ended")


def perform(stage, case):
    """Sends the case's bytes and reads what comes."""
    began, before = time.time(), len(stage.target.heads)
    with socket.create_connection(("127.0.0.1", stage.port), timeout=30) as stream:
        port = stream.getsockname()[1]
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pieces = [case.request] if case.body_at_once else [case.request[at:at + 997] for at in range(0, len(case.request), 997)]
        if not case.body_at_once:
            cut = case.request.index(b"\r\n\r\n") + 4
            pieces = [case.request[:cut]] + [case.request[at:at + 5 if len(case.request) < 500 else at + 997] for at in range(cut, len(case.request), 5 if len(case.request) < 500 else 997)]
        for at, piece in enumerate(pieces):
            if at:
                time.sleep(0.02)
            try:
                stream.sendall(piece)
            except OSError:
                break
        if case.manner == "half":
            stream.shutdown(socket.SHUT_WR)
        if case.manner == "leave":
            wait(lambda: len(stage.target.heads) > before, "the target has the request", 10)
            stream.close()
            return Outcome(port, None, 0, began, time.time() + 1)
        data = b""
        while True:
            try:
                more = stream.recv(262_144)
            except ConnectionResetError:
                break
            if not more:
                break
            data += more
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert not data.startswith(interim), data[:100]
    status = int(data.split(b" ", 2)[1]) if data else None
    return Outcome(port, status, len(data), began, time.time())


def request_line(stage, case):
    if not case.understood:
        return f"- http://{stage.dns}:{stage.port}- -", "-"
    head = case.request.split(b"\r\n\r\n" if b"\r\n" in case.request else b"\n\n")[0]
    lines = head.replace(b"\r\n", b"\n").split(b"\n")
    method, target, version = lines[0].split(b" ")
    named = [line.split(b":", 1) for line in lines[1:]]
    values = lambda wanted: [value.strip(b" \t") for name, value in named if name.lower() == wanted]
    host = (values(b"host") or [stage.dns.encode()])[0] or stage.dns.encode()
    for scheme in [b"http://", b"https://"]:
        if target.startswith(scheme):
            rest = target.removeprefix(scheme)
            host, slash, path = rest.partition(b"/")
            target = slash + path or b"/"
    host = re.sub(rb":\d*$", b"", host) if not re.search(rb":[0-9a-f:]*\]$", host) else host
    agents = values(b"user-agent")
    agent = escaped(agents[-1][:8192]) if agents and agents[-1] else "-"
    line = method + b" http://" + host + b":" + str(stage.port).encode() + target + b" " + version
    return escaped(line), agent


def parsed(text):
    assert MICROS.match(text), text
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) + int(text[20:26]) / 1e6


def trace_of(head):
    return escaped(re.search(rb"\r\nX-Amzn-Trace-Id: ([^\r]*)\r\n", head).group(1))


def check(stage, case, outcome, line, head):
    """Differences between a line and what it must be."""
    found = fields(line)
    if problems := misfits(found, ACCESS):
        return problems + [line]
    target = stage.address(case.target)
    answered = case.target == "good" and case.target_status != "-"
    status = case.target_status or (str(case.status) if answered else "-")
    text, agent = request_line(stage, case)
    cut = case.request.index(b"\r\n\r\n") + 4 if b"\r\n\r\n" in case.request else len(case.request)
    received = len(case.request) if case.routed else cut
    if case.received is not None:
        received = case.received if case.received >= 0 else len(case.request) + case.received
    want = {
        0: "http", 2: stage.name, 3: f"127.0.0.1:{outcome.port}", 4: target, 8: f"{case.status:03}", 9: status,
        10: str(received), 11: str(outcome.received), 12: text, 13: agent, 14: "-", 15: "-", 16: stage.groups[case.group],
        18: "-", 19: "-", 20: case.priority, 22: case.actions, 23: escaped(case.redirect.encode()), 24: "-", 25: target, 26: status,
        27: case.classified[0], 28: case.classified[1], 30: case.transformed[0], 31: case.transformed[1], 32: case.transformed[2],
    }
    for at, value in want.items():
        if found[at] != value:
            problems.append(f"field {at + 1} ({ACCESS[at]}): {found[at]!r}, expected {value!r}")
    if case.manner == "plain" and outcome.status != case.status:
        problems.append(f"the client got {outcome.status}, expected {case.status}")
    ended, created = parsed(found[1]), parsed(found[21])
    if not outcome.began - 0.01 <= ended <= outcome.ended + 0.2 + LATE or not found[21].endswith("000Z"):
        problems.append(f"times {found[1]} {found[21]}, done between {outcome.began} and {outcome.ended}")
    if not outcome.began - 0.01 <= created <= ended + 0.001:
        problems.append(f"created {found[21]}, ended {found[1]}")
    times = found[5:8]
    if not answered:
        if times != ["-1"] * 3:
            problems.append(f"times {times}")
    else:
        if not all(re.match(r"^\d+\.\d{3}$", part) for part in times):
            problems.append(f"times {times}")
        elif float(times[1]) < (case.seconds or 0) - 0.01 or max(float(times[0]), float(times[1]) - (case.seconds or 0), float(times[2])) > LATE:
            problems.append(f"times {times}, the target took {case.seconds}")
    if not case.routed:
        if found[17] != "-":
            problems.append(f"trace {found[17]}")
    elif head is not None:
        if found[17] != trace_of(head):
            problems.append(f"trace {found[17]}, the target saw {trace_of(head)}")
    elif not TRACE.match(found[17]):
        problems.append(f"trace {found[17]}")
    if not TID.match(found[29]):
        problems.append(f"connection {found[29]}")
    return problems


def run_cases(stage, collector):
    failures, connections, count, traces = [], {}, 0, set()
    todo = list(cases())
    assert len(todo) >= 200 and len({case.name for case in todo}) == len(todo)
    for case in todo:
        before, since = len(stage.target.heads), len(collector.lines)
        try:
            outcome = perform(stage, case)
            line = collector.wait(lambda line: f" 127.0.0.1:{outcome.port} " in line and not line[0].isdigit(), since=since)[-1]
        except (AssertionError, OSError) as error:
            failures.append(f"{case.name}: {error!r}")
            continue
        # What the target had of an earlier request may be written down late.
        heads = [head for head in stage.target.heads[before:] if trace_of(head[1]) not in traces]
        traces.add(fields(line)[17])
        problems = check(stage, case, outcome, line, heads[-1][1] if heads else None)
        if heads and case.target == "none" and not case.received:
            problems.append("the target saw it")
        count += 1
        if problems:
            failures.append(f"{case.name}: " + "; ".join(problems) + f"\n    {line.strip()[:400]}")
        connections[fields(line)[29]] = outcome.port
    return failures, connections, count


def check_connections(stage, collector, connections, count):
    """Each connection has its own line, with the name that its requests' lines bear."""
    failures = []
    for name, port in connections.items():
        line = fields(collector.wait(lambda line: line[0].isdigit() and f" {name} " in line)[-1])
        parsed(line[0])
        want = ["127.0.0.1", str(port), str(stage.port), "-", "-", "-", "-", "-", "-", "-", name, "-"]
        if line[1:] != want:
            failures.append(f"connection log: {line[1:]}, expected {want}")
    if len(connections) != count:
        failures.append("two connections share a name")
    return failures


def check_keep_alive(stage, collector):
    """Requests of one connection, pipelined ones too, have a line each, in order, with one name."""
    # An earlier connection may have had the same port.
    since = len(collector.lines)
    with socket.create_connection(("127.0.0.1", stage.port), timeout=20) as stream:
        port = stream.getsockname()[1]
        stream.sendall(get("/fixed/200", close=False) + get("/plain", close=False) + get("/status/404"))
        while stream.recv(65536):
            pass
    lines = [fields(line) for line in collector.wait(lambda line: f" 127.0.0.1:{port} " in line, 3, since=since)]
    found = [(line[8], line[9], line[22]) for line in lines]
    want = [("200", "-", "fixed-response"), ("200", "200", "forward"), ("404", "404", "forward")]
    failures = [] if found == want else [f"keep-alive: {found}, expected {want}"]
    return failures + ([] if len({line[29] for line in lines}) == 1 else ["keep-alive: several names"])


def check_counted(stage, daemon, collector):
    """Metrics say what the lines say, to the last request and byte. `check` has compared each line with what its client sent and got."""
    lines = [fields(line) for line in collector.lines if f" {stage.name} " in line and not line[0].isdigit()]
    lines = [line for line in lines if not misfits(line, ACCESS)]
    of = lambda *names: [tuple(line[ACCESS.index(name)] for name in names) for line in lines]
    counted = lambda pairs, holds: sum(1 for pair in pairs if holds(*pair))
    statuses = of("elb_status_code", "target_status_code")
    answered = of("actions_executed", "elb_status_code")
    # 460 and 000: the client was gone, and nothing was answered.
    own = lambda status, of_target: of_target == "-" and status not in ("460", "000")
    # 400 of a request that was to be forwarded: its body turned out to be none when a target was chosen, and was not sent anything.
    chosen = lambda target, actions, status: target != "-" or ("forward" in actions and status == "400")
    load_balancer, group = f'load_balancer="{stage.name}"', 'target_group="targetgroup/'
    want = {
        f"forebay_requests_total{{{load_balancer}": len(lines),
        f'forebay_processed_bytes_total{{{load_balancer},direction="received"': sum(int(found) for (found,) in of("received_bytes")),
        f'forebay_processed_bytes_total{{{load_balancer},direction="sent"': sum(int(found) for (found,) in of("sent_bytes")),
        f"forebay_group_requests_total{{{group}": counted(of("target:port", "actions_executed", "elb_status_code"), chosen),
        f"forebay_fixed_responses_total{{{load_balancer}": counted(answered, lambda actions, _: "fixed-response" in actions),
        f"forebay_redirects_total{{{load_balancer}": counted(answered, lambda actions, status: "redirect" in actions and status[0] == "3"),
        f"forebay_redirects_too_long_total{{{load_balancer}": counted(answered, lambda _, status: status == "507"),
    }
    for hundred in "345":
        want[f'forebay_own_answers_total{{{load_balancer},code="{hundred}xx"'] = counted(statuses, lambda status, of_target: own(status, of_target) and status[0] == hundred)
    for code in ["500", "502", "503", "504"]:
        want[f'forebay_error_answers_total{{{load_balancer},code="{code}"'] = counted(statuses, lambda status, of_target: own(status, of_target) and status == code)
    for hundred in "2345":
        want[f'forebay_group_answers_total{{{group}[^"]*",code="{hundred}xx"'] = counted(statuses, lambda _, of_target: of_target[0] == hundred)
    failures = []
    for metric, wanted in want.items():
        found = daemon.metric("^" + metric.replace("{", r"\{"))
        if found != wanted:
            failures.append(f"metrics: {metric} is {found:.0f}, the log's lines say {wanted}")
    print(f"{len(want)} metrics of {len(lines)} requests compared with the access log")
    return failures


def check_health(stage, collector):
    line = re.compile(r"^http \S+Z \d+\.\d{9} 127\.0\.0\.1:\d+ [a-z]+ (PASS 200 -|FAIL - ConnectionReset|FAIL - TimedOut)\n$")
    failures = []
    for what in [f" {stage.target.address} logs PASS 200 -", f" 127.0.0.1:{stage.dead} refused FAIL - ConnectionReset", " blackhole FAIL - TimedOut"]:
        for found in collector.wait(lambda line: what in line):
            if not line.match(found):
                failures.append(f"health log: {found!r}")
    return failures


def read_files(daemon, kind):
    """Lines of all files of a kind, and their names below the folder of buckets."""
    lines, names = [], []
    for path in sorted((daemon.directory / "logs").rglob("*.log.gz")):
        prefix = {"conn": "conn_log_", "health": "health_check_log_"}.get(kind, "0")
        if path.name.startswith(prefix):
            names.append(str(path.relative_to(daemon.directory / "logs")))
            with gzip.open(path, "rt", encoding="ascii", newline="\n") as file:
                lines += file.readlines()
    return lines, names


def check_files(stage, daemon, collector):
    """Files hold the very lines that were passed on live, under ALB's names."""
    failures = []
    account, region = "000000000000", "local-1"
    middle = f"AWSLogs/{account}/elasticloadbalancing/{region}/" + r"\d{4}/\d\d/\d\d/"
    end = f"{account}_elasticloadbalancing_{region}_app.{stage.name.removeprefix('app/').replace('/', '.')}" + r"_\d{8}T\d{4}Z_127\.\d+\.\d+\.\d+_[a-z0-9]{8}\.log\.gz$"
    kinds = {
        "access": (f"^access-bucket/a/b/{middle}{end}", lambda line: not line[0].isdigit() and not misfits(fields(line), ACCESS)),
        "conn": (f"^other-bucket/{middle}conn_log_{end}", lambda line: line[0].isdigit()),
        "health": (f"^other-bucket/{middle}health_check_log_{end}", lambda line: not misfits(fields(line), HEALTH)),
    }
    for kind, (pattern, belongs) in kinds.items():
        lines, names = read_files(daemon, kind)
        live = [line for line in collector.lines if belongs(line)]
        if kind == "health":
            # Probes are passed on live from the start, and to files only since the attribute was set.
            same = set(lines) <= set(live) and lines
        else:
            same = collections.Counter(lines) == collections.Counter(live)
        if not same:
            failures.append(f"{kind} files hold {len(lines)} lines, {len(live)} were passed on live")
        failures += [f"{kind} file's name: {name}" for name in names if not re.match(pattern, name)]
    return failures


def load(port, connections, rounds, batch, done):
    """Keeps pipelined requests coming; counts answers."""
    streams = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(connections)]
    request = get("/load", "User-Agent: load", close=False) * batch
    for _ in range(rounds):
        for stream in streams:
            stream.sendall(request)
        for stream in streams:
            got = b""
            while got.count(b"HTTP/1.1 200 OK") < batch or not got.endswith(b"load"):
                got += stream.recv(1 << 20)
            done.append(batch)
    for stream in streams:
        stream.close()


def check_load(folder):
    """At full load, and with a reader that stops reading: lines written and lines counted as lost make up all requests."""
    failures = []
    path = pathlib.Path(folder) / "stuck"
    stuck = socket.socket(socket.AF_UNIX)
    stuck.bind(str(path))
    stuck.listen(1)
    with Daemon(pool="127.244.0.0/14", workers=2, live_log=f"unix:{path}") as daemon:
        balancer = Balancer(daemon, name="load")
        fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "load", "ContentType": "text/plain"}}
        balancer.elb.modify_listener(ListenerArn=balancer.listener, DefaultActions=[fixed])
        balancer.elb.modify_load_balancer_attributes(
            LoadBalancerArn=balancer.arn,
            Attributes=[{"Key": "access_logs.s3.enabled", "Value": "true"}, {"Key": "access_logs.s3.bucket", "Value": "load"}],
        )
        done = []
        threads = [threading.Thread(target=load, args=(balancer.port, 8, 60, 100, done)) for _ in range(2)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
        requests = sum(done)
        made = daemon.metric(r"^forebay_requests_total\{")
        total = lambda name, sink: daemon.metric(rf'^forebay_log_lines{name}_total\{{log="access",sink="{sink}"\}}')
        for sink in ["file", "live"]:
            wait(lambda: total("", sink) + total("_dropped", sink) == requests, f"all lines of {sink} are written or counted", 30)
        lost = {sink: int(total("_dropped", sink)) for sink in ["file", "live"]}
        written = int(total("", "file"))
        daemon.stop()
        lines, _ = read_files(daemon, "access")
        print(f"load: {requests} requests in {seconds:.1f} s, lost {lost}, {len(lines)} lines in files")
        if made != requests or len(lines) != written or lost["live"] == 0:
            failures.append(f"load: {requests} answers, {made} requests, {written} lines written, {len(lines)} in files, lost {lost}")
        broken = {problem for line in lines[:: max(1, len(lines) // 5000)] for problem in misfits(fields(line), ACCESS)}
        if broken:
            failures.append(f"load: a broken line: {sorted(broken)[:5]}")
    stuck.close()
    return failures


def check_trouble():
    """A folder that can't be made: one warning, counted lines, and requests go on."""
    with Daemon(pool="127.244.0.0/14", workers=1) as daemon:
        (daemon.directory / "logs").write_text("not a folder")
        balancer = Balancer(daemon, name="trouble")
        balancer.elb.modify_load_balancer_attributes(
            LoadBalancerArn=balancer.arn,
            Attributes=[{"Key": "access_logs.s3.enabled", "Value": "true"}, {"Key": "access_logs.s3.bucket", "Value": "b"}],
        )
        for _ in range(20):
            connection = http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=10)
            connection.request("GET", "/")
            assert connection.getresponse().status == 503
            connection.close()
            time.sleep(0.1)
        wait(lambda: daemon.metric(r'^forebay_log_lines_dropped_total\{log="access",sink="file"\}') == 20, "20 lines are counted", 10)
        warnings = daemon.stderr().count("log lines are lost")
        daemon.stop()
        return [] if warnings == 1 else [f"trouble: {warnings} warnings: {daemon.stderr()}"]


def main():
    folder = tempfile.TemporaryDirectory(prefix="forebay-logs-")
    collector = Collector(pathlib.Path(folder.name) / "collector")
    sinks = ",".join(f"{log}=unix:{collector.path}" for log in ["access", "connection", "health"])
    with Daemon(pool="127.248.0.0/14", workers=2, live_log=sinks) as daemon:
        stage = Stage(daemon)
        collector.wait(lambda line: f"{stage.target.address} logs PASS" in line)
        failures, connections, count = run_cases(stage, collector)
        failures += check_connections(stage, collector, connections, count)
        failures += check_keep_alive(stage, collector)
        failures += check_health(stage, collector)
        failures += check_counted(stage, daemon, collector)
        daemon.stop()
        failures += check_files(stage, daemon, collector)
    collector = Collector(pathlib.Path(folder.name) / "secure")
    sinks = ",".join(f"{log}=unix:{collector.path}" for log in ["access", "connection"])
    with Daemon(pool="127.248.0.0/14", workers=2, live_log=sinks) as daemon:
        more, secure = check_secure(daemon, collector)
        failures, count = failures + more, count + secure
        daemon.stop()
    if not os.environ.get("FOREBAY_LOGS_CASES_ONLY"):
        failures += check_load(folder.name)
        failures += check_trouble()
    for failure in failures:
        print(failure)
    print(f"{count} cases; {len(failures)} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
