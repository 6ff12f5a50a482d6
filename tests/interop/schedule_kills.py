"""kill -9 at random moments under 200 runs of schedules a minute: each happens once.

`schedule_kills.py [--kills N] [--minutes M]`. A third of the schedules send to a queue, a third put a parameter (a universal target, whose
version counts its runs), a third invoke a function, which writes down what it was given. What came is compared with what each schedule's
expression says; nothing may be missing, and nothing twice."""

import argparse
import collections
import datetime
import io
import json
import os
import pathlib
import random
import tempfile
import threading
import time
import zipfile

from botocore.exceptions import BotoCoreError, ClientError
from daemon import Daemon, wait
from functions_cases.place import TRUST, python

SCHEDULES = 200
ROLE = "arn:aws:iam::000000000000:role/schedules"
OFF = {"Mode": "OFF"}
CODE = """
import json, os

def handler(event, context):
    with open(os.environ["LEDGER"], "a") as ledger:
        ledger.write(json.dumps(event) + "\\n")
"""


def archive(text):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as files:
        files.writestr("index.py", text)
    return packed.getvalue()


class Consumer(threading.Thread):
    """Receives and deletes all the time, also while nobody answers. A message that comes again is known by its id."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.daemon_, self.ended, self.came = daemon, threading.Event(), {}

    def run(self):
        while not self.ended.is_set():
            try:
                sqs = self.daemon_.client("sqs")
                url = self.daemon_.api + "/000000000000/ticks"
                for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
                    self.came[message["MessageId"]] = message["Body"]
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            except (BotoCoreError, ClientError, OSError):
                time.sleep(0.05)


def prepare(daemon, ledger):
    """The schedules, spread over a minute; by name their first time."""
    sqs, scheduler, functions, iam = (daemon.client(name) for name in ("sqs", "scheduler", "lambda", "iam"))
    url = sqs.create_queue(QueueName="ticks", Attributes={"VisibilityTimeout": "5"})["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    role = iam.create_role(RoleName="functions", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    function = functions.create_function(FunctionName="writes", Runtime="python3.11", Handler="index.handler", Role=role, Timeout=10,
                                         Code={"ZipFile": archive(CODE)}, Environment={"Variables": {"LEDGER": str(ledger)}})["FunctionArn"]
    first = int(time.time()) + 20
    begins, made = {}, {}
    for number in range(SCHEDULES):
        name, begin = f"s{number:03}", first + number * 60 // SCHEDULES
        given = json.dumps({"name": name, "at": "<aws.scheduler.scheduled-time>"})
        if number % 3 == 0:
            target = {"Arn": queue, "Input": given}
        elif number % 3 == 1:
            put = {"Name": f"/runs/{name}", "Value": "x", "Type": "String", "Overwrite": True}
            target = {"Arn": "arn:aws:scheduler:::aws-sdk:ssm:putParameter", "Input": json.dumps(put)}
        else:
            target = {"Arn": function, "Input": given}
        begins[name] = begin
        made[name] = {"Name": name, "ScheduleExpression": "rate(1 minute)", "FlexibleTimeWindow": OFF, "Target": target | {"RoleArn": ROLE},
                      "StartDate": datetime.datetime.fromtimestamp(begin, datetime.timezone.utc)}
        scheduler.create_schedule(**made[name])
    assert time.time() < first, "making the schedules took too long"
    return begins, made


def stop(daemon, made):
    """Ends all schedules; the moment from which on none is due any more."""
    scheduler = daemon.client("scheduler", retries=5)
    ends = int(time.time()) + 25
    for schedule in made.values():
        scheduler.update_schedule(**schedule, EndDate=datetime.datetime.fromtimestamp(ends, datetime.timezone.utc))
    assert time.time() < ends, "ending the schedules took too long"
    return ends


def versions(daemon):
    ssm, found, more = daemon.client("ssm", retries=5), {}, {}
    while True:
        page = ssm.get_parameters_by_path(Path="/runs", MaxResults=10, **more)
        found |= {parameter["Name"].removeprefix("/runs/"): parameter["Version"] for parameter in page["Parameters"]}
        if not page.get("NextToken"):
            return found
        more = {"NextToken": page["NextToken"]}


def iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=80)
    parser.add_argument("--seed", default=os.environ.get("FOREBAY_SEED", "1"))
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="forebay-ledger-"))
    folder.chmod(0o777)
    ledger = folder / "ledger"
    with python() as flags, Daemon(pool="127.25.0.0/16", **flags) as daemon:
        begins, made = prepare(daemon, ledger)
        consumer = Consumer(daemon)
        consumer.start()
        first = min(begins.values())
        time.sleep(max(0, first - time.time()))
        for number in range(arguments.kills):
            # Not a wait for something: the random moment itself.
            time.sleep(random.uniform(0.3, 2) * arguments.seconds / max(1, arguments.kills) / 1.2)
            api = daemon.api.removeprefix("http://")
            daemon.kill()
            daemon.start(api=api)
            print(f"kill {number + 1} after {time.time() - first:.1f} s", flush=True)
        ends = stop(daemon, made)
        expected = {name: [iso(at) for at in range(begin, ends + 1, 60)] for name, begin in begins.items()}
        kinds = [[name for name in begins if int(name[1:]) % 3 == kind] for kind in range(3)]
        total = sum(len(times) for times in expected.values())
        runs = lambda kind: sorted(f"{name} {at}" for name in kinds[kind] for at in expected[name])
        said = lambda texts: sorted(f"{told['name']} {told['at']}" for told in map(json.loads, texts))
        lines = lambda: ledger.read_text().splitlines() if ledger.exists() else []
        time.sleep(max(0, ends - time.time()))
        # What had not begun at a kill is taken out again within 15 s.
        wait(lambda: len(set(consumer.came.values())) >= len(runs(0)) and len(set(lines())) >= len(runs(2)),
             lambda: f"all runs came: {len(consumer.came)} of {len(runs(0))}, {len(lines())} of {len(runs(2))}", 60)
        # One that happened twice would have by now, too.
        time.sleep(3)
        consumer.ended.set()
        for kind, came in ((0, said(consumer.came.values())), (2, said(lines()))):
            more = collections.Counter(came) - collections.Counter(runs(kind))
            less = collections.Counter(runs(kind)) - collections.Counter(came)
            assert not more and not less, f"kind {kind}: too often {sorted(more.elements())[:5]}, missing {sorted(less.elements())[:5]}"
        found = versions(daemon)
        wrong = {name: (found.get(name, 0), len(expected[name])) for name in kinds[1] if found.get(name, 0) != len(expected[name])}
        assert not wrong, f"versions of parameters, and runs: {wrong}"
        daemon.stop()
    print(f"schedule-kills: {total} runs of {SCHEDULES} schedules, {arguments.kills} kills; each happened once "
          f"({len(runs(0))} messages, {sum(len(expected[name]) for name in kinds[1])} puts of a parameter, {len(runs(2))} invocations)")


if __name__ == "__main__":
    main()
