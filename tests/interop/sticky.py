"""Stickiness through the front door: cookies in ALB's form, clients that stay with their target, their application's session
or their group; cookies that are forged, replayed elsewhere or expired are ignored and replaced. And what ALB refuses to
combine, with its messages."""

import base64
import contextlib
import email.utils
import http.client
import http.server
import re
import threading
import time

from botocore.exceptions import ClientError

from daemon import Balancer, Daemon, Sample, free_port, wait

EXPECTED = re.compile(r"^(AWSALB\w*(?:-\d)?)=([A-Za-z0-9+/]{124}|_remove_); Expires=(\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT); Path=/(.*)$")


def ask(ip, port, cookies=(), path="/", headers=None):
    """Body and cookies of an answer: {name: (value, rest of the line)}."""
    connection = http.client.HTTPConnection(ip, port, timeout=10)
    connection.putrequest("GET", path)
    if cookies:
        connection.putheader("Cookie", "; ".join(f"{name}={value}" for name, value in cookies))
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode().strip()
    assert answer.status == 200, (answer.status, body)
    found = {}
    for line in answer.headers.get_all("Set-Cookie") or []:
        match = EXPECTED.match(line)
        if match is None:
            assert not line.startswith("AWSALB"), line
            continue
        name, value, expires, rest = match.groups()
        assert value == "_remove_" or len(base64.b64decode(value)) == 93
        left = email.utils.parsedate_to_datetime(expires).timestamp() - time.time()
        assert 7 * 86400 - 10 < left <= 7 * 86400 + 1, line
        found[name] = (value, rest)
    connection.close()
    return body, found


class App(http.server.BaseHTTPRequestHandler):
    """An application that sets its session's cookie at /login."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.server.name.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/login":
            self.send_header("Set-Cookie", "session=abc; Path=/; HttpOnly")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Application:
    def __init__(self, name):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
        self.server.name = self.name = name
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.ip, self.port = self.server.server_address
        self.address = f"{self.ip}:{self.port}"

    def kill(self):
        self.server.shutdown()
        self.server.server_close()


def attributes(elb, group, **pairs):
    elb.modify_target_group_attributes(
        TargetGroupArn=group, Attributes=[{"Key": key.replace("__", "."), "Value": str(value)} for key, value in pairs.items()]
    )


def applied(daemon, balancer, condition, what):
    """A change reaches workers within milliseconds; asks until it shows."""
    wait(lambda: condition(ask(balancer.nodes[0], balancer.port)), what)


def by_balancer(daemon, balancer):
    node, port = balancer.nodes[0], balancer.port
    applied(daemon, balancer, lambda seen: "AWSALB" not in seen[1], "no cookies before it is asked for")
    attributes(balancer.elb, balancer.group, stickiness__enabled="true", stickiness__lb_cookie__duration_seconds=3)
    applied(daemon, balancer, lambda seen: "AWSALB" in seen[1], "cookies")
    first, cookies = ask(node, port)
    assert set(cookies) == {"AWSALB", "AWSALBCORS"}, cookies
    assert cookies["AWSALB"][0] == cookies["AWSALBCORS"][0]
    assert cookies["AWSALB"][1] == "" and cookies["AWSALBCORS"][1] == "; SameSite=None", cookies
    value = cookies["AWSALB"][0]
    # On every node, over connections of their own, with every cookie renewed.
    for index in range(30):
        body, cookies = ask(balancer.nodes[index % len(balancer.nodes)], port, [("a", "b"), ("AWSALB", value)])
        assert body == first
        assert cookies["AWSALB"][0] != value
        value = cookies["AWSALB"][0]
    second = next(seen for seen in (ask(node, port) for _ in range(10)) if seen[0] != first)
    both = [("AWSALB", value), ("AWSALBCORS", second[1]["AWSALBCORS"][0])]
    assert ask(node, port, both)[0] == second[0], "AWSALBCORS goes first"
    forged = value[:50] + ("A" if value[50] != "A" else "B") + value[51:]
    for wrong in (forged, "A" * 124, "", "%2B" * 50, value + "x", value[:-1]):
        bodies = {ask(node, port, [("AWSALB", wrong)])[0] for _ in range(6)}
        assert len(bodies) == 3, (wrong, bodies)
        assert EXPECTED.match("AWSALB=" + ask(node, port, [("AWSALB", wrong)])[1]["AWSALB"][0] + "; Expires=Tue, 27 Feb 2024 11:21:53 GMT; Path=/")
    issued = time.monotonic()
    body, cookies = ask(node, port, [("AWSALB", value)])
    old = cookies["AWSALB"][0]
    wait(lambda: time.monotonic() > issued + 4.1, "the cookie is too old")
    assert len({ask(node, port, [("AWSALB", old)])[0] for _ in range(6)}) == 3, "an expired cookie is ignored"
    print("AWSALB: stays, renews, CORS first; forged, empty, cut, expired: ignored and replaced")
    return value


def failover(daemon, balancer, samples):
    node, port = balancer.nodes[0], balancer.port
    attributes(balancer.elb, balancer.group, stickiness__lb_cookie__duration_seconds=604800)
    first, cookies = ask(node, port)
    value = cookies["AWSALB"][0]
    victim = next(sample for sample in samples if sample.name == first)
    balancer.deregister(victim)
    next_body, cookies = ask(node, port, [("AWSALB", value)])
    assert next_body != first, "a draining target's sessions move"
    value = cookies["AWSALB"][0]
    balancer.register(victim)
    balancer.wait_healthy(victim)
    for _ in range(10):
        body, cookies = ask(node, port, [("AWSALB", value)])
        assert body == next_body, "and stay moved"
        value = cookies["AWSALB"][0]
    # kill -9: the first request after it goes elsewhere, and nothing fails.
    victim = next(sample for sample in samples if sample.name == next_body)
    victim.kill()
    third, cookies = ask(node, port, [("AWSALB", value)])
    assert third != next_body
    victim.start(victim.address)
    balancer.wait_healthy(victim)
    # After a restart of the balancer its cookies still hold.
    value = cookies["AWSALB"][0]
    daemon.stop()
    daemon.start(api=daemon.api.removeprefix("http://"))
    balancer.wait_healthy(*samples)
    assert ask(node, port, [("AWSALB", value)])[0] == third, "cookies outlive a restart"
    print("failover: draining, killed, restarted balancer: sessions move once and stay")
    return value


def replayed(daemon, balancer, value):
    """A cookie of another group opens nothing."""
    other = Balancer(daemon, name="sticky-other")
    samples = [Sample(name) for name in ("four", "five")]
    try:
        other.register(*samples)
        other.wait_healthy(*samples)
        attributes(other.elb, other.group, stickiness__enabled="true")
        wait(lambda: "AWSALB" in ask(other.nodes[0], other.port)[1], "cookies")
        before = daemon.metric(r"forebay_\w*non_sticky_requests")
        bodies = {ask(other.nodes[0], other.port, [("AWSALB", value)])[0] for _ in range(6)}
        assert bodies == {"four", "five"}, bodies
        wait(lambda: daemon.metric(r"forebay_\w*non_sticky_requests") == before + 6, "each is counted", 10)
    finally:
        for sample in samples:
            sample.kill()
    print("a cookie of another group is ignored, and counted")


def by_application(daemon):
    balancer = Balancer(daemon, name="sticky-app")
    apps = [Application(name) for name in ("red", "green", "blue")]
    node, port = balancer.nodes[0], balancer.port
    try:
        balancer.register(*apps)
        balancer.wait_healthy(*apps)
        attributes(
            balancer.elb, balancer.group, stickiness__enabled="true", stickiness__type="app_cookie",
            stickiness__app_cookie__cookie_name="session", stickiness__app_cookie__duration_seconds=600,
        )
        wait(lambda: "AWSALBAPP-0" in ask(node, port, path="/login")[1], "cookies")
        assert ask(node, port)[1] == {}, "no cookie before the application sets its own"
        first, cookies = ask(node, port, path="/login")
        assert set(cookies) == {f"AWSALBAPP-{shard}" for shard in range(4)}, cookies
        assert [cookies[f"AWSALBAPP-{shard}"][0] for shard in (1, 2, 3)] == ["_remove_"] * 3
        ours = ("AWSALBAPP-0", cookies["AWSALBAPP-0"][0])
        for _ in range(12):
            body, more = ask(node, port, [("session", "abc"), ours])
            assert body == first and more == {}
        assert len({ask(node, port, [ours])[0] for _ in range(9)}) == 3, "both cookies must come back"
        chrome = {"Origin": "http://a.test", "User-Agent": "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"}
        assert ask(node, port, path="/login", headers=chrome)[1]["AWSALBAPP-0"][1] == "; SameSite=None; Secure"
    finally:
        for app in apps:
            app.kill()
    print("AWSALBAPP: begins with the application's cookie, needs both")


def by_group(daemon, samples):
    balancer = Balancer(daemon, name="sticky-groups")
    elb = balancer.elb
    group = elb.describe_target_groups(TargetGroupArns=[balancer.group])["TargetGroups"][0]
    second = elb.create_target_group(Name="sticky-green", Protocol="HTTP", Port=80, VpcId=group["VpcId"], TargetType="ip")["TargetGroups"][0]["TargetGroupArn"]
    balancer.register(samples[0])
    elb.register_targets(TargetGroupArn=second, Targets=[{"Id": samples[1].ip, "Port": samples[1].port}])
    forward = {
        "TargetGroups": [{"TargetGroupArn": balancer.group, "Weight": 1}, {"TargetGroupArn": second, "Weight": 1}],
        "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60},
    }
    elb.modify_listener(ListenerArn=balancer.listener, DefaultActions=[{"Type": "forward", "ForwardConfig": forward}])
    balancer.wait_healthy(samples[0])
    elb.get_waiter("target_in_service").wait(TargetGroupArn=second)
    node, port = balancer.nodes[0], balancer.port
    first, cookies = ask(node, port)
    assert set(cookies) == {"AWSALBTG", "AWSALBTGCORS"}, cookies
    value = cookies["AWSALBTG"][0]
    assert {ask(node, port, [("AWSALBTG", value)])[0] for _ in range(20)} == {first}
    assert len({ask(node, port)[0] for _ in range(60)}) == 2
    # A group whose weight is 0 now is left.
    heavier = 1 if first == samples[0].name else 0
    for index, share in enumerate(forward["TargetGroups"]):
        share["Weight"] = 1 if index == heavier else 0
    elb.modify_listener(ListenerArn=balancer.listener, DefaultActions=[{"Type": "forward", "ForwardConfig": forward}])
    wait(lambda: ask(node, port, [("AWSALBTG", value)])[0] != first, "the group is left")
    print("AWSALBTG: a client stays with its group while that has weight")


def refused(daemon, balancer):
    """What ALB does not combine."""
    elb = balancer.elb
    algorithm, slow = "load_balancing.algorithm.type", "slow_start.duration_seconds"
    cases = [
        ({algorithm: "weighted_random", slow: "30"}, "You cannot enable both slow start and weighted random algorithm on a target group"),
        ({algorithm: "least_outstanding_requests", slow: "30"}, "slow start"),
        ({algorithm: "weighted_random", "stickiness.enabled": "true"}, "You cannot have both stickiness and weighted random algorithm enabled on the same target group."),
        ({algorithm: "round_robin", "load_balancing.algorithm.anomaly_mitigation": "on"}, "You can enable anomaly mitigation only"),
        ({algorithm: "least_outstanding_requests", "load_balancing.algorithm.anomaly_mitigation": "on"}, "You can enable anomaly mitigation only"),
        ({"stickiness.enabled": "true", "load_balancing.cross_zone.enabled": "false"}, "cross-zone"),
        ({"stickiness.enabled": "true", "stickiness.type": "app_cookie"}, "You must set an application cookie name"),
    ]
    ranges = [
        (slow, ["29", "901", "x", "-1"]),
        ("stickiness.lb_cookie.duration_seconds", ["0", "604801"]),
        ("stickiness.app_cookie.duration_seconds", ["0", "604801"]),
        ("stickiness.type", ["source_ip", "cookie"]),
        ("stickiness.enabled", ["yes"]),
        (algorithm, ["least", "power_of_two"]),
        ("load_balancing.algorithm.anomaly_mitigation", ["true"]),
        ("load_balancing.cross_zone.enabled", ["maybe"]),
        ("deregistration_delay.timeout_seconds", ["3601"]),
    ]
    group = elb.create_target_group(Name="sticky-matrix", Protocol="HTTP", Port=80, VpcId=elb.describe_target_groups()["TargetGroups"][0]["VpcId"])["TargetGroups"][0]["TargetGroupArn"]
    before = elb.describe_target_group_attributes(TargetGroupArn=group)["Attributes"]

    def fails(pairs):
        try:
            elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[{"Key": k, "Value": v} for k, v in pairs.items()])
        except ClientError as error:
            return error.response["Error"]
        raise AssertionError(f"was accepted: {pairs}")

    for pairs, message in cases:
        error = fails(pairs)
        assert error["Code"] == "InvalidConfigurationRequest" and message in error["Message"], (pairs, error)
    names = [("stickiness.app_cookie.cookie_name", ["AWSALB", "AWSALBAPP-0", "AWSALBTGx"])]
    for key, values in ranges + names:
        for value in values:
            # A reserved name is refused with the type that would use it.
            error = fails({key: value} | ({"stickiness.type": "app_cookie"} if "cookie_name" in key else {}))
            assert error["Code"] in ("ValidationError", "InvalidConfigurationRequest") and error["Message"], (key, value, error)
    after = elb.describe_target_group_attributes(TargetGroupArn=group)["Attributes"]
    assert before == after, "a refused change leaves no trace"
    for tag, value in (("forebay:sticky-load-ceiling", "0"), ("forebay:algorithm", "best"), ("forebay:slow-start", "1000")):
        with contextlib.suppress(ClientError):
            elb.add_tags(ResourceArns=[group], Tags=[{"Key": tag, "Value": value}])
            raise AssertionError(f"tag {tag}={value} was accepted")
    print(f"{len(cases)} combinations and {sum(len(values) for _, values in ranges)} values refused, nothing changed")


def main():
    assert free_port()
    with Daemon(pool="127.116.0.0/14", workers=2) as daemon:
        samples = [Sample(name) for name in ("one", "two", "three")]
        try:
            balancer = Balancer(daemon, name="sticky")
            refused(daemon, balancer)
            balancer.register(*samples)
            balancer.wait_healthy(*samples)
            by_balancer(daemon, balancer)
            value = failover(daemon, balancer, samples)
            replayed(daemon, balancer, value)
            by_application(daemon)
            by_group(daemon, samples)
        finally:
            for sample in samples:
                sample.kill()
        daemon.stop()
    print("sticky: good")


if __name__ == "__main__":
    main()
