"""The alarm that AWS publishes for the Target Optimizer, on TargetControlRequestRejectCount (Sum >= 1, 1 of 1), with a real agent that
has one slot: it goes to ALARM and back, its topic's webhook is told with a signature that holds, and the counts are the clients' and
the target's own. `alarm_actions.py [10|60]`: seconds of its period; AWS's has 60, which takes five minutes."""

import base64
import concurrent.futures
import contextlib
import hashlib
import hmac
import http.server
import json
import pathlib
import sys
import tempfile
import threading
import time

from agent_end import Agent, Application
from cloudwatch_reads import dimensions, read
from daemon import Balancer, Daemon, get, wait

TOPIC = "arn:aws:sns:local-1:000000000000:alarms"
DEAF = "arn:aws:sns:local-1:000000000000:deaf"
ALARM = "rejected"


class Webhook:
    """Takes posts. The first try of each message is answered 503; on the path `/deaf`, all of them 400."""

    def __init__(self):
        self.tries, self.taken = {}, []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                tries = owner.tries.setdefault((self.path, self.headers["webhook-id"]), [])
                tries.append(time.monotonic())
                status = 400 if self.path == "/deaf" else 503 if len(tries) == 1 else 204
                if status == 204:
                    owner.taken.append((dict(self.headers), body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def states(self):
        return [json.loads(json.loads(body)["Message"])["NewStateValue"] for _, body in self.taken]


def controlled(daemon, agent):
    """A load balancer whose one target has an agent, and whose requests never wait."""
    elb, ec2 = daemon.client("elbv2"), daemon.client("ec2")
    balancer = Balancer(daemon, name="optimized", interval=5)
    vpc = ec2.describe_subnets()["Subnets"][0]["VpcId"]
    made = elb.create_target_group(
        Name="controlled", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip", TargetControlPort=agent.control,
        Tags=[{"Key": "forebay:queue-length", "Value": "0"}],
        HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2)
    balancer.group = made["TargetGroups"][0]["TargetGroupArn"]
    elb.modify_listener(ListenerArn=balancer.listener, DefaultActions=[{"Type": "forward", "TargetGroupArn": balancer.group}])
    elb.register_targets(TargetGroupArn=balancer.group, Targets=[{"Id": "127.0.0.1", "Port": agent.port}])
    wait(lambda: list(balancer.states().values()) == ["healthy"], "the target is healthy")
    return balancer


def burst(balancer):
    """Three at once to one slot, each through the same node: how many were answered, and how many refused."""
    ask = lambda _: get(balancer.nodes[0], balancer.port, "/slow/0.3")[0]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        return list(pool.map(ask, range(3)))


def put_alarm(client, balancer, period):
    client.put_metric_alarm(
        AlarmName=ALARM, Namespace="AWS/ApplicationELB", MetricName="TargetControlRequestRejectCount", Dimensions=dimensions(balancer),
        Statistic="Sum", Period=period, EvaluationPeriods=1, DatapointsToAlarm=1, Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold", TreatMissingData="notBreaching",
        AlarmActions=[TOPIC, DEAF, TOPIC[:-1]], OKActions=[TOPIC])


def to_alarm_and_back(client, balancer, period, answers):
    def state():
        return client.describe_alarms(AlarmNames=[ALARM])["MetricAlarms"][0]["StateValue"]

    put_alarm(client, balancer, period)
    wait(lambda: state() == "OK", "the alarm is OK while nobody is refused", 3 * period + 30)
    # At a period's begin, so that the time until ALARM is the longest that it can be.
    time.sleep(period - time.time() % period)
    began = time.monotonic()
    answers += burst(balancer)
    refused = time.monotonic()
    assert 503 in answers, answers
    wait(lambda: state() == "ALARM", "the alarm goes off", 3 * period)
    there = time.monotonic() - began
    # The period in which they were refused must end, and then one without.
    wait(lambda: state() == "OK", "the alarm is over", 5 * period)
    back = time.monotonic() - refused
    print(f"period {period} s: ALARM {there:.1f} s after the first refusal at a period's begin, OK {back:.1f} s after the last")
    if period == 10:
        assert there <= 15 and back <= 10 + 15, (there, back)
    history = client.describe_alarm_history(AlarmName=ALARM)["AlarmHistoryItems"]
    states = [item["HistorySummary"] for item in history if item["HistoryItemType"] == "StateUpdate"]
    assert states[:2] == ["Alarm updated from ALARM to OK", "Alarm updated from OK to ALARM"], states
    actions = [item["HistorySummary"] for item in history if item["HistoryItemType"] == "Action"]
    assert any(action.startswith("Failed to execute") and "--notify" in action for action in actions), actions
    assert f"Successfully executed action {TOPIC}" in actions, actions


def told(daemon, webhook):
    """Each message is whole, signed by the secret beside the data, and was sent again after a 503."""
    wait(lambda: webhook.states()[-2:] == ["ALARM", "OK"], "the webhook was told", 30)
    secret = base64.b64decode((daemon.directory / "notify-secret").read_text().strip().removeprefix("whsec_"))
    for headers, body in webhook.taken:
        headers = {name.lower(): value for name, value in headers.items()}
        signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
        tag = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{tag}", headers
        assert abs(time.time() - int(headers["webhook-timestamp"])) < 900
        envelope = json.loads(body)
        assert (envelope["Type"], envelope["TopicArn"]) == ("Notification", TOPIC), envelope
        assert envelope["MessageId"] == headers["webhook-id"]
    alarm = next(message for message in messages(webhook) if message["NewStateValue"] == "ALARM")
    assert alarm["AlarmName"] == ALARM and alarm["OldStateValue"] == "OK", alarm
    assert alarm["Trigger"]["MetricName"] == "TargetControlRequestRejectCount" and alarm["Trigger"]["Statistic"] == "SUM", alarm
    assert all(len(tries) == 2 for (path, _), tries in webhook.tries.items() if path == "/hook"), webhook.tries
    assert all(len(tries) == 1 for (path, _), tries in webhook.tries.items() if path == "/deaf"), webhook.tries
    assert daemon.metric("^forebay_notifications_total") == len(webhook.taken)
    assert daemon.metric("^forebay_notifications_dropped_total") == sum(path == "/deaf" for path, _ in webhook.tries) > 0
    print(f"{len(webhook.taken)} notifications, each sent again after a 503, with signatures that hold")


def messages(webhook):
    return [json.loads(json.loads(body)["Message"]) for _, body in webhook.taken]


def counted(client, balancer, application, agent, answers):
    of = dimensions(balancer)
    wanted = {
        "TargetControlRequestCount": application.served,
        "TargetControlRequestRejectCount": answers.count(503),
        "RequestCount": answers.count(200),
        "HTTPCode_ELB_503_Count": answers.count(503),
        "TargetControlNewChannelCount": None,
    }
    # The agent counts what it let through, and no probes.
    assert agent.metric("requests_total") == application.served
    assert application.served == answers.count(200) and application.most == 1, (application.served, application.most)

    def found():
        return {name: sum(read(client, name, of)) for name in wanted}

    wait(lambda: found()["TargetControlRequestRejectCount"] == wanted["TargetControlRequestRejectCount"], "refusals are counted", 10)
    values = found()
    channels = values.pop("TargetControlNewChannelCount")
    wanted.pop("TargetControlNewChannelCount")
    assert values == wanted, (values, wanted)
    active = max(read(client, "TargetControlActiveChannelCount", of, "Maximum"))
    assert channels == active == agent.metric("channels") == 1, (channels, active)
    print(f"{wanted}, {channels:.0f} channels: as clients, application and agent counted")


def main():
    period = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    webhook, application = Webhook(), Application()
    with tempfile.TemporaryDirectory() as directory, contextlib.closing(application):
        agent = Agent(application.address, pathlib.Path(directory))
        try:
            with Daemon(pool="127.156.0.0/14", notify=f"{TOPIC}={webhook.url}/hook,{DEAF}={webhook.url}/deaf") as daemon:
                balancer = controlled(daemon, agent)
                client = daemon.client("cloudwatch")
                answers = []
                to_alarm_and_back(client, balancer, period, answers)
                told(daemon, webhook)
                counted(client, balancer, application, agent, answers)
                daemon.stop()
        finally:
            agent.stop()
    print("alarm-actions: passed")


main()
