"""Load balancers and functions: the event field by field against AWS's published ones, answers, limits, HTTP/2, health checks."""

import base64
import concurrent.futures
import json
import pathlib

from daemon import wait
from frames import certificate
from functions_cases.place import FUNCTION, Connection, Place, archive, command, error, has, send

DATA = pathlib.Path(__file__).parents[3] / "crates/functions/tests/data"
MOST = 1 << 20
# Answers with the event that it got: single or multi-value, as it came.
ECHO = """
import json
def handler(event, context):
    names = "multiValueHeaders" if "multiValueHeaders" in event else "headers"
    kind = ["application/json"] if names == "multiValueHeaders" else "application/json"
    return {"statusCode": 200, names: {"Content-Type": kind}, "body": json.dumps(event)}
"""
# Answers what the body says; with what is large, which no body could say.
SAYS = """
import json
def handler(event, context):
    body = event["body"]
    if body.startswith("x"):
        return {"statusCode": 200, "body": str(len(body))}
    answer = json.loads(body)
    if isinstance(answer, dict) and "fill" in answer:
        answer = {"statusCode": 200, "body": ""}
        answer["body"] = "x" * (json.loads(body)["fill"] - len(json.dumps(answer)))
    if answer == "raise":
        raise ValueError("no")
    return answer
"""
HEALTH = """
import json, os
def handler(event, context):
    print("SAID " + json.dumps(event))
    return {"statusCode": 500 if os.environ.get("ILL") else 200}
"""


class Balancer:
    """A load balancer with three listeners: echoes in single and multiple values, and one whose rules go to functions by their paths."""

    def __init__(self, place):
        self.place = place
        self.arn, self.ip = place.balancer("functions")
        self.groups = {}
        for name, code, multi in (("echo", ECHO, False), ("echo-multi", ECHO, True), ("says", SAYS, False), ("says-multi", SAYS, True)):
            place.make(name, archive(app_py=code))
            self.groups[name] = place.group(name, multi)
        # Without permission it is no target.
        target = [{"Id": FUNCTION + "echo"}]
        assert error(place.elb.register_targets, TargetGroupArn=self.groups["echo"], Targets=target) == "AccessDenied"
        for name, group in self.groups.items():
            place.permit(name, group)
        again = [{"Id": FUNCTION + "says"}]
        place.functions.add_permission(FunctionName="says", StatementId="all", Action="lambda:InvokeFunction", Principal="elasticloadbalancing.amazonaws.com")
        assert error(place.elb.register_targets, TargetGroupArn=self.groups["echo"], Targets=again) == "TooManyTargets"
        self.ports = {multi: place.listener(self.arn, self.groups["echo-multi" if multi else "echo"])[1] for multi in (False, True)}
        self.listener, self.port = place.listener(self.arn, None)
        self.priority = 1
        for name in ("says", "says-multi"):
            self.rule(f"/{name}", self.groups[name])

    def rule(self, path, group):
        self.place.elb.create_rule(ListenerArn=self.listener, Priority=self.priority, Conditions=[{"Field": "path-pattern", "Values": [path]}],
                                   Actions=[{"Type": "forward", "TargetGroupArn": group}])
        self.priority += 1

    def echo(self, multi, *request):
        status, headers, body = send(self.ip, self.ports[multi], *request)
        assert status == 200, (status, headers, body[:500])
        return json.loads(body)

    def says(self, answer, multi=False, method="POST"):
        """What clients get of a function that answers this."""
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return send(self.ip, self.port, method, "/says-multi" if multi else "/says", [("Content-Type", "application/json")], body)

    def delete(self):
        self.place.elb.delete_load_balancer(LoadBalancerArn=self.arn)
        self.place.delete(*self.groups)


def values(all, multi):
    return all if multi else all[-1]


def expected_headers(example, multi, address, port):
    """The headers of a published event as they must come: what the load balancer itself writes is another client's and another port's."""
    headers = {}
    for name, value in example["headers"]:
        headers.setdefault(name.lower(), []).append(value)
    # Clients of another port than HTTP's own name it; for those that do not, load balancers do.
    headers["host"] = [f"{host}:{port}" for host in headers.get("host", [address.split(":")[0]])]
    if example["body"]:
        headers["content-length"] = [str(len(example["body"]))]
    # A header of the connection goes to no target (docs/lambda-targets.md).
    headers.pop("connection", None)
    headers["x-forwarded-for"] = [", ".join([*headers.get("x-forwarded-for", []), "127.0.0.1"])]
    headers["x-forwarded-port"], headers["x-forwarded-proto"] = [str(port)], ["http"]
    return {name: values(all, multi) for name, all in headers.items()}


def published(balancer):
    """Each request of AWS's examples is sent, and the function must get the event that AWS says, but for addresses; how many fields that are."""
    compared = 0
    for example in json.loads((DATA / "alb_events.json").read_text()):
        multi, of = example["multi_value"], example["source"]
        port = balancer.ports[multi]
        address = f"{balancer.ip}:{port}"
        event = balancer.echo(multi, example["method"], example["target"], example["headers"], example["body"].encode())
        wanted = example["event"] | {"requestContext": {"elb": {"targetGroupArn": balancer.groups["echo-multi" if multi else "echo"]}}}
        assert event.keys() == wanted.keys(), (of, event.keys())
        headers = "multiValueHeaders" if multi else "headers"
        sent = expected_headers(example, multi, address, port)
        got = dict(event[headers])
        [trace] = [got.pop("x-amzn-trace-id")] if not multi else got.pop("x-amzn-trace-id")
        given = sent.pop("x-amzn-trace-id", None)
        assert given in trace if given else trace.startswith("Root=1-"), (of, trace, given)
        assert got == sent, (of, got, sent)
        for name in wanted.keys() - {headers}:
            assert event[name] == wanted[name] and type(event[name]) is type(wanted[name]), (of, name, event[name], wanted[name])
        # Of the published headers none is missing, and each is of the published type.
        for name, value in wanted[headers].items():
            assert name == "connection" or type(event[headers][name]) is type(value), (of, name)
        compared += len(wanted) + len(got)
    return compared


def events(balancer):
    """What the examples have not: nothing is decoded, values that come several times, cookies, bodies that are no text."""
    target = "/a%20b/%C3%A9+c?q=a%20b%2Fc+d&q=%26&empty=&bare&x%5B%5D=1"
    for multi in (False, True):
        headers = "multiValueHeaders" if multi else "headers"
        query = "multiValueQueryStringParameters" if multi else "queryStringParameters"
        event = balancer.echo(multi, "GET", target, [("X-Twice", "one"), ("x-twice", "two"), ("Cookie", "a=1; b=2"), ("X-Empty", "")])
        assert event["path"] == "/a%20b/%C3%A9+c", event["path"]
        wanted = {"q": ["a%20b%2Fc+d", "%26"], "empty": [""], "bare": [""], "x%5B%5D": ["1"]}
        assert event[query] == {name: values(all, multi) for name, all in wanted.items()}, event[query]
        for name, all in {"x-twice": ["one", "two"], "cookie": ["a=1; b=2"], "x-empty": [""]}.items():
            assert event[headers][name] == values(all, multi), (name, event[headers])
        assert event["body"] == "" and event["isBase64Encoded"] is False and query in event
        binary = bytes(range(256)) * 4
        event = balancer.echo(multi, "PUT", "/", [("Content-Type", "application/octet-stream")], binary)
        assert event["isBase64Encoded"] is True and base64.b64decode(event["body"]) == binary and event["httpMethod"] == "PUT"
        event = balancer.echo(multi, "POST", "/", [("Content-Type", "text/plain"), ("Content-Encoding", "gzip")], b"packed")
        assert event["isBase64Encoded"] is True and base64.b64decode(event["body"]) == b"packed"
        event = balancer.echo(multi, "POST", "/", [("Content-Type", "application/json; charset=utf-8")], '{"é": 1}'.encode())
        assert event["isBase64Encoded"] is False and event["body"] == '{"é": 1}'
    # A body in chunks comes whole.
    connection = Connection(balancer.ip, balancer.ports[False])
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    _, _, body = connection.exchange(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    event = json.loads(body)
    assert event["body"] == "abcde" and not {"content-length", "transfer-encoding"} & event["headers"].keys(), event
    connection.close()


def answers(balancer):
    """AWS's published answers, and what is no answer."""
    for example in json.loads((DATA / "alb_answers.json").read_text()):
        status, headers, body = balancer.says(example["answer"], example["multi_value"])
        assert status == example["status"] and body.decode() == example["body"], (example["source"], status, body)
        got = [[name, value] for name, value in headers if name.lower() in ("content-type", "set-cookie")]
        got, wanted = (sorted((name.lower(), value) for name, value in headers) for headers in (got, example["headers"]))
        assert got == wanted, (got, wanted)
    connection = Connection(balancer.ip, balancer.port)
    content = json.dumps({"statusCode": 200, "statusDescription": "200 All Fine"}).encode()
    status, _, _ = connection.exchange(b"POST /says HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))
    assert status == "HTTP/1.1 200 All Fine", status
    connection.close()
    status, headers, body = balancer.says({"statusCode": 201, "isBase64Encoded": True, "body": base64.b64encode(b"\0\xff\n").decode()})
    assert (status, body) == (201, b"\0\xff\n"), (status, body)
    assert balancer.says({"statusCode": "204"})[0] == 204
    cookies = {"statusCode": 302, "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"], "Location": ["/x"]}}
    status, headers, _ = balancer.says(cookies, multi=True)
    assert status == 302 and [value for name, value in headers if name.lower() == "set-cookie"] == ["a=1", "b=2"] and ("Location", "/x") in headers, headers
    wrong = [{}, [], "text", 7, None, "raise", {"statusCode": 99}]
    wrong += [{"statusCode": 200} | more for more in ({"body": {}}, {"headers": {"a": 1}}, {"headers": {"a b": "c"}}, {"headers": {"a": "b\r\nc: d"}},
                                                      {"body": "?", "isBase64Encoded": True})]
    for answer in wrong:
        assert balancer.says(answer)[0] == 502, answer


def limits(balancer):
    status, _, body = balancer.says(b"x" * MOST)
    assert (status, body) == (200, str(MOST).encode()), (status, body)
    assert balancer.says(b"x" * (MOST + 1))[0] == 413
    status, _, body = balancer.says({"fill": MOST})
    assert status == 200 and len(body) > MOST - 100, (status, len(body))
    assert balancer.says({"fill": MOST + 1})[0] == 502


def http2(balancer):
    """The same by HTTP/2 over TLS."""
    place = balancer.place
    pem, key = certificate()
    arn = place.client("acm").import_certificate(Certificate=pem, PrivateKey=key)["CertificateArn"]
    _, port = place.listener(balancer.arn, balancer.groups["echo"], Protocol="HTTPS", Certificates=[{"CertificateArn": arn}])
    flags = ("-sS", "--http2", "--insecure", "-w", "\n%{http_version} %{http_code}", "--resolve", f"a.test:{port}:{balancer.ip}")
    headers = ("-H", "X-One: 1", "-H", "Cookie: a=1; b=2", "-H", "Content-Type: text/plain")
    told = command("curl", *flags, *headers, "--data-binary", "two", f"https://a.test:{port}/h2/%20?a=%20")
    body, version = told.rsplit("\n", 1)
    event = json.loads(body)
    assert version == "2 200", version
    assert (event["httpMethod"], event["path"], event["queryStringParameters"], event["body"]) == ("POST", "/h2/%20", {"a": "%20"}, "two"), event
    headers = event["headers"]
    wanted = {"host": f"a.test:{port}", "x-one": "1", "cookie": "a=1; b=2", "x-forwarded-proto": "https", "x-forwarded-port": str(port), "content-length": "3"}
    assert wanted.items() <= headers.items() and not any(name.startswith(":") for name in headers), headers


def health(balancer):
    """Checks are runs of the function with AWS's published event; what fails is unhealthy."""
    place = balancer.place
    place.make("health", archive(app_py=HEALTH))
    group = place.group("health", HealthCheckEnabled=True, HealthCheckPath="/up?a=1", HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=3,
                        HealthyThresholdCount=2, UnhealthyThresholdCount=2)
    off = place.elb.describe_target_health(TargetGroupArn=balancer.groups["echo"])["TargetHealthDescriptions"][0]["TargetHealth"]
    assert (off["State"], off["Reason"]) == ("unavailable", "Target.HealthCheckDisabled"), off
    place.permit("health", group)
    balancer.rule("/health", group)

    def state():
        [one] = place.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        assert one["Target"]["Id"] == FUNCTION + "health", one
        return one["TargetHealth"]["State"]

    wait(lambda: state() == "healthy", lambda: f"the function is healthy: {state()}", 30)
    assert send(balancer.ip, balancer.port, "GET", "/health")[0] == 200
    event = next(event for event in place.said("health") if event["path"] == "/up")
    wanted = json.loads((DATA / "alb_health_check.json").read_text())["event"]
    wanted |= {"requestContext": {"elb": {"targetGroupArn": group}}, "path": "/up", "queryStringParameters": {"a": "1"}}
    assert event == wanted, event
    place.functions.update_function_configuration(FunctionName="health", Environment={"Variables": {"ILL": "1"}})
    wait(lambda: state() == "unhealthy", lambda: f"the function is unhealthy: {state()}", 30)
    place.functions.update_function_configuration(FunctionName="health", Environment={"Variables": {}})
    wait(lambda: state() == "healthy", lambda: f"the function is healthy again: {state()}", 30)
    place.elb.delete_rule(RuleArn=next(rule["RuleArn"] for rule in place.elb.describe_rules(ListenerArn=balancer.listener)["Rules"]
                                       if rule["Actions"][0].get("TargetGroupArn") == group))
    place.delete("health")


def test_alb(place: Place):
    balancer = Balancer(place)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        checked = pool.submit(health, balancer)
        compared = published(balancer)
        events(balancer)
        answers(balancer)
        limits(balancer)
        if has("curl"):
            http2(balancer)
        checked.result()
    balancer.delete()
    return f"{compared} fields of events as AWS publishes them"
