"""kill -9 again and again under 300 sends and 300 receives a second, of a standard and of a FIFO queue: no acknowledged message is lost,
none comes that was acknowledged as deleted, FIFO order holds in each group, and who sends again what was not answered has sent it once.

`sqs_kills.py [--kills N] [--take-overs N]`. After the kills other Forebays take over, one from another, under the same load. Clients are
processes of their own, which write down what they were told and send a failed call again as an SDK does; what they wrote is compared at
the end, when both queues are empty."""

import argparse
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

from daemon import REGION, Daemon, read_keys, wait
from sqs_cases.durable import take_over
from sqs_wire import Calls, Refused

RATE = 165
THREADS = 3
GROUPS = 60
# Longer than any call is tried: whoever deletes still holds the message. Shorter would let a late delete do nothing, which SQS allows.
VISIBILITY = 20
PATIENCE = 15


class Client:
    """One of the processes: threads that do the same, and the ledger they write."""

    def __init__(self, kind, fifo, url, api, region, access_key, secret, ledger):
        self.kind, self.fifo, self.url = kind, fifo == "fifo", url
        self.calls = lambda: Calls(api, access_key, secret, region)
        self.lock, self.ledger = threading.Lock(), open(ledger, "w")
        self.stop = threading.Event()
        self.failed = []

    def note(self, *what):
        with self.lock:
            self.ledger.write(json.dumps(what) + "\n")

    def run(self):
        threads = [threading.Thread(target=self.thread, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        print("begun", flush=True)
        sys.stdin.readline()
        self.stop.set()
        for thread in threads:
            thread.join()
        self.ledger.close()
        if self.failed:
            sys.exit("\n".join(self.failed[:5]))

    def thread(self, number):
        try:
            (self.sends if self.kind == "send" else self.receives)(number)
        except Exception as error:  # noqa: BLE001: told at the end
            self.failed.append(f"{self.kind} {number}: {error!r}")

    def sends(self, number):
        """Each group belongs to one thread, which sends its next message when the one before is acknowledged."""
        calls, turn, due = self.calls(), 0, time.monotonic()
        while not self.stop.is_set():
            due = max(due + THREADS / RATE, time.monotonic() - 0.1)
            self.stop.wait(max(0, due - time.monotonic()))
            group = f"{number}-{turn % (GROUPS // THREADS)}"
            body = f"{group}:{turn:07}"
            more = {"MessageGroupId": group, "MessageDeduplicationId": body} if self.fifo else {}
            answer, tries, _ = calls("SendMessage", time.monotonic() + 60, QueueUrl=self.url, MessageBody=body, **more)
            self.note("sent", time.monotonic(), body, answer["MessageId"], tries)
            turn += 1

    def receives(self, number):
        calls, turn = self.calls(), 0
        while not self.stop.is_set():
            # Who gives its attempt a name is given the same messages when it asks again.
            more = {"ReceiveRequestAttemptId": f"{os.getpid()}-{number}-{turn}"} if self.fifo else {}
            turn += 1
            answer, tries, began = calls("ReceiveMessage", time.monotonic() + 60, QueueUrl=self.url, MaxNumberOfMessages=2 if self.fifo else 1,
                                         WaitTimeSeconds=1, **more)
            told = time.monotonic()
            messages = answer.get("Messages", [])
            # A try that was not answered may have taken messages that go with it; those of this one are held from its beginning.
            for message in messages:
                self.note("received", began, told, message["Body"], message["MessageId"], tries)
            for message in messages:
                self.deletes(calls, began, message)
            if not messages:
                self.note("empty", told, tries)

    def deletes(self, calls, began, message):
        try:
            _, tries, _ = calls("DeleteMessage", began + PATIENCE, QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        except (OSError, Refused) as error:
            self.note("kept", time.monotonic(), message["Body"], message["MessageId"], repr(error))
            return
        if time.monotonic() < began + VISIBILITY - 1:
            self.note("deleted", time.monotonic(), message["Body"], message["MessageId"], tries)
        else:
            self.note("kept", time.monotonic(), message["Body"], message["MessageId"], "late")


def client(kind, fifo, url, daemon, folder):
    keys = read_keys(daemon.directory / "credentials", "default")
    ledger = folder / f"{kind}-{fifo}"
    words = [kind, fifo, url, daemon.api, REGION, *keys, str(ledger)]
    process = subprocess.Popen([sys.executable, __file__, "--client", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n", process.stderr.read()
    return process, ledger


def end(process):
    _, error = process.communicate("stop\n", timeout=90)
    assert process.returncode == 0, error


def read(ledger):
    found = collections.defaultdict(list)
    for line in ledger.read_text().splitlines():
        kind, *rest = json.loads(line)
        found[kind].append(rest)
    return found


def compare(name, sent, received, fifo):
    """What the clients wrote down of one queue."""
    problems = []
    acknowledged = {body: id for _, body, id, _ in sent["sent"]}
    unanswered = {body for _, body, _, tries in sent["sent"] if tries}
    came = collections.defaultdict(set)
    for _, _, body, id, _ in received["received"]:
        came[body].add(id)
    deleted = {id: at for at, _, id, _ in received["deleted"]}
    problems += [f"lost: {body} {id}" for body, id in acknowledged.items() if id not in came[body]]
    problems += [f"came after its delete was acknowledged: {body} {id}" for began, _, body, id, _ in received["received"] if began > deleted.get(id, began)]
    problems += [f"there {len(ids)} times: {body}" for body, ids in came.items() if len(ids) > 1 and (fifo or body not in unanswered)]
    problems += [f"nobody sent {body}" for body in came.keys() - acknowledged.keys()]
    if fifo:
        last = {}
        for _, told, body, _, _ in sorted(received["received"], key=lambda one: one[1]):
            group, turn = body.split(":")
            if turn < last.get(group, turn):
                problems.append(f"out of order: {body} after {last[group]}")
            last[group] = max(turn, last.get(group, turn))
    assert not problems, f"{name}: {len(problems)} of {len(acknowledged)}: " + "; ".join(problems[:20])
    again = sum(len(ids) - 1 for ids in came.values())
    return (f"{name}: {len(acknowledged)} sent ({len(unanswered)} of them sent again), {len(received['received'])} received, {len(deleted)} deleted, "
            f"{len(received['kept'])} deletes given up, {again} twice there")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--take-overs", type=int, default=2)
    parser.add_argument("--seed", default=os.environ.get("FOREBAY_SEED", "1"))
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    with Daemon(pool="127.17.0.0/16", drain_seconds=3) as daemon, tempfile.TemporaryDirectory(prefix="forebay-sqs-kills-") as folder:
        sqs = daemon.client("sqs", retries=5)
        urls = {"standard": sqs.create_queue(QueueName="kills", Attributes={"VisibilityTimeout": str(VISIBILITY)})["QueueUrl"],
                "fifo": sqs.create_queue(QueueName="kills.fifo", Attributes={"VisibilityTimeout": str(VISIBILITY), "FifoQueue": "true"})["QueueUrl"]}
        clients = {(kind, fifo): client(kind, fifo, url, daemon, pathlib.Path(folder)) for fifo, url in urls.items() for kind in ("send", "receive")}
        try:
            began = time.monotonic()
            pauses, gone = [], []
            for number in range(arguments.kills):
                # Not a wait for something: the random moment itself.
                time.sleep(random.uniform(1, 3))
                api, killed = daemon.api.removeprefix("http://"), time.monotonic()
                daemon.kill()
                daemon.start(api=api)
                ready = time.monotonic() - killed
                sqs.get_queue_url(QueueName="kills")
                pauses.append(time.monotonic() - killed)
                print(f"kill {number + 1}: ready after {ready * 1000:.0f} ms, a queue is told after {pauses[-1] * 1000:.0f} ms", flush=True)
            for number in range(arguments.take_overs):
                time.sleep(random.uniform(1, 3))
                taken = time.monotonic()
                gone.append(take_over(daemon))
                sqs.get_queue_url(QueueName="kills")
                print(f"take-over {number + 1}: a queue is told after {(time.monotonic() - taken) * 1000:.0f} ms", flush=True)
            time.sleep(1)
            for fifo in urls:
                end(clients["send", fifo][0])
            ran = time.monotonic() - began

            def figures():
                told = [sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"] for url in urls.values()]
                return [int(one[name]) for one in told for name in ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")]

            wait(lambda: not any(figures()), lambda: f"both queues are empty: {figures()}", VISIBILITY + 60)
            for fifo in urls:
                end(clients["receive", fifo][0])
        finally:
            for process, _ in clients.values():
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
        ledgers = {key: read(ledger) for key, (_, ledger) in clients.items()}
        for fifo in urls:
            print(compare(fifo, ledgers["send", fifo], ledgers["receive", fifo], fifo == "fifo"))
        sends = sum(len(ledgers["send", fifo]["sent"]) for fifo in urls)
        receives = sum(len(ledgers["receive", fifo]["received"]) for fifo in urls)
        for process in gone:
            process.wait(60)
        assert "panicked" not in daemon.stderr(), daemon.stderr()[-3000:]
        daemon.stop()
    longest = f", at most {max(pauses) * 1000:.0f} ms each" if pauses else ""
    print(f"sqs-kills: {len(pauses)} kills{longest}, and {arguments.take_overs} take-overs; {sends} sends and {receives} receives, {sends / ran:.0f} and {receives / ran:.0f} a second; "
          "nothing acknowledged was lost, nothing deleted came back, order and deduplication held")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        Client(*sys.argv[2:]).run()
    else:
        main()
