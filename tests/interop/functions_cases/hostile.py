"""Hostile handlers, and a good one beside them that must not notice."""

import concurrent.futures
import json
import os
import statistics
import threading
import time

from daemon import bound, wait
from functions_cases.place import Connection, Place, archive

RATE = 20
LARGEST = 6_291_556
LOG_BYTES = 10 << 20
CODE = """
import json, os, signal, subprocess, sys, time
if os.environ.get("AT_START") == "raise":
    raise ImportError("at import")
if os.environ.get("AT_START") == "exit":
    sys.exit(3)

def daemons(mark):
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                os.closerange(0, 256)
                os.execv("/bin/sleep", ["sleep", mark])
            os._exit(0)
    subprocess.Popen(["/bin/sh", "-c", f"trap '' TERM INT HUP; sleep {mark} & sleep {mark} & wait"], start_new_session=True)

def forks(most):
    made = 0
    try:
        while made < most:
            if os.fork() == 0:
                time.sleep(1000)
                os._exit(0)
            made += 1
    except OSError as error:
        return [made, error.errno]
    return [made, 0]

def handler(event, context):
    do = event.get("do")
    if "httpMethod" in event:
        do = event["path"][1:]
    if do == "good":
        return {"statusCode": 200, "body": "good"}
    if do == "exit":
        sys.exit(event.get("status", 4))
    if do == "abort":
        os.abort()
    if do == "raise":
        raise RuntimeError("told")
    if do == "hang":
        time.sleep(1000)
    if do == "nonsense":
        return "nonsense <at> all"
    if do == "object":
        return object()
    if do == "big":
        return "x" * (int(event["bytes"]) - 2)
    if do == "megabyte":
        return {"statusCode": 200, "body": "x" * (1 << 20)}
    if do == "daemons":
        daemons(event["mark"])
        return "left"
    if do == "forks":
        return forks(event["most"])
    if do == "flood":
        for _ in range(event["mib"] * 16):
            os.write(1, b"flood " * 10922 + b"\\n")
        return "flooded"
    if do == "memory":
        blocks = []
        while True:
            blocks.append(b"x" * (4 << 20))
            time.sleep(0.002)
    if do == "tmp":
        where = os.environ["TMPDIR"]
        with open(where + "/large", "wb") as file:
            file.write(bytes(20 << 20))
        os.chdir(where)
        for _ in range(200):
            os.mkdir("deep")
            os.chdir("deep")
        os.mkdir("closed", 0)
        return where
    if do == "secrets":
        told = {}
        for path in event["paths"]:
            try:
                told[path] = len(open(path, "rb").read())
            except OSError as error:
                told[path] = type(error).__name__
        try:
            open(os.environ["LAMBDA_TASK_ROOT"] + "/app.py", "a")
            told["code"] = "writable"
        except OSError:
            pass
        return [os.getuid(), told]
    if do == "close":
        os.closerange(3, 1024)
        return "closed"
    if do == "parent":
        told = []
        for pid in (os.getppid(), event["forebay"]):
            try:
                os.kill(pid, signal.SIGKILL)
                told.append("killed")
            except OSError as error:
                told.append(type(error).__name__)
        return told
    return "?"
"""
NONSENSE = """#!/bin/sh
base="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
  id=$(curl -sS -o /dev/null -D - "$base/next" | tr -d '\\r' | sed -n 's/^lambda-runtime-aws-request-id: //ip')
  curl -sS -o /dev/null --data-binary '<no> JSON' "$base/$id/response"
done
"""


class Good:
    """A function that is asked 20 times a second by the load balancer."""

    def __init__(self, ip, port):
        self.ip, self.port = ip, port
        self.took, self.failed, self.stopping = [], [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        connection = Connection(self.ip, self.port)
        begin = time.monotonic()
        while not self.stopping.wait(max(0, begin + len(self.took) / RATE - time.monotonic())):
            due = begin + len(self.took) / RATE
            try:
                status, _, body = connection.exchange(b"GET /good HTTP/1.1\r\nHost: a.test\r\n\r\n")
                if not status.endswith(" 200 OK") or body != b"good":
                    self.failed.append((status, body))
            except OSError as error:
                self.failed.append(repr(error))
                connection = Connection(self.ip, self.port)
            self.took.append(time.monotonic() - due)
        connection.close()

    def stop(self):
        self.stopping.set()
        self.thread.join()


class Hostile:
    """Functions of one archive, each case with one of its own."""

    def __init__(self, place):
        self.place, self.names, self.zipped = place, [], archive(app_py=CODE)

    def make(self, name, **more):
        name = f"hostile-{name}"
        self.place.make(name, self.zipped, **more)
        self.names.append(name)
        return name

    def behind(self, name, listener, priority, path):
        group = self.place.group(name)
        self.place.permit(name, group)
        self.place.elb.create_rule(ListenerArn=listener, Priority=priority, Conditions=[{"Field": "path-pattern", "Values": [path]}],
                                   Actions=[{"Type": "forward", "TargetGroupArn": group}])


def ask(ip, port, path):
    connection = Connection(ip, port)
    status, _, body = connection.exchange(f"GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n".encode())
    connection.close()
    return int(status.split()[1]), body


def starts(place, hostile):
    """Ends before it begins."""
    name = hostile.make("import", Environment={"Variables": {"AT_START": "raise"}})
    for _ in range(2):
        told = place.fails(name)
        assert told["errorType"] == "Runtime.ImportModuleError" or "at import" in told["errorMessage"], told
    name = hostile.make("start-exit", Environment={"Variables": {"AT_START": "exit"}})
    told = place.fails(name)
    assert told["errorType"] == "Runtime.ExitError" and "exit status 3" in told["errorMessage"], told
    # It is good again with other variables.
    place.functions.update_function_configuration(FunctionName=name, Environment={"Variables": {}})
    assert place.ask(name, {"do": "good"})["body"] == "good"


def ends(place, hostile):
    """Ends while it runs, by itself or by a signal, or says that it failed."""
    name = hostile.make("ends")
    for _ in range(2):
        told = place.fails(name, {"do": "exit"})
        assert told["errorType"] == "Runtime.ExitError" and "exit status 4" in told["errorMessage"], told
        told = place.fails(name, {"do": "abort"})
        assert told["errorType"] == "Runtime.ExitError" and told["errorMessage"].endswith("signal: aborted"), told
        told = place.fails(name, {"do": "raise"})
        assert (told["errorType"], told["errorMessage"]) == ("RuntimeError", "told") and "handler" in "".join(told["stackTrace"]), told
    assert place.fails(name, {"do": "object"})["errorType"] == "Runtime.MarshalError"


def hangs(place, hostile):
    name = hostile.make("hangs", Timeout=1)
    place.ask(name, {"do": "good"})
    began = time.monotonic()
    told = place.fails(name, {"do": "hang"})
    took = time.monotonic() - began
    assert told["errorType"] == "Sandbox.Timedout" and told["errorMessage"].endswith("Task timed out after 1.00 seconds") and took >= 1, (told, took)
    bound(took, 2, "an invocation with a timeout of a second")
    return f"a timeout of 1 s after {took:.2f} s"


def sizes(place, hostile):
    name = hostile.make("sizes", MemorySize=512, Timeout=20)
    payload, answer = place.invoke(name, {"do": "big", "bytes": LARGEST})
    assert len(payload) == LARGEST and "FunctionError" not in answer, (len(payload), answer)
    assert place.fails(name, {"do": "big", "bytes": LARGEST + 1024})["errorType"] == "Function.ResponseSizeTooLarge"
    assert place.ask(name, {"do": "nonsense"}) == "nonsense <at> all"
    place.make("hostile-text", archive(bootstrap=NONSENSE), "provided.al2023", "none")
    hostile.names.append("hostile-text")
    payload, answer = place.invoke("hostile-text")
    assert payload == b"<no> JSON" and "FunctionError" not in answer, (payload, answer)


def leaves(place, hostile):
    """Daemons live while their environment does; what is forked is bounded."""
    name, mark = hostile.make("leaves"), f"86400.{os.getpid()}"
    assert place.ask(name, {"do": "daemons", "mark": mark}) == "left"
    place.fails(name, {"do": "exit"})
    left = os.popen(f"pgrep -fc '^sleep {mark}'").read().strip()
    assert left == "0", f"{left} daemons are left"
    assert place.ask(name, {"do": "daemons", "mark": mark}) == "left"
    name = hostile.make("forks", MemorySize=2048, Timeout=5)
    payload, answer = place.invoke(name, {"do": "forks", "most": 1500})
    made, why = json.loads(payload)
    place.fails(name, {"do": "exit"})
    # Where the control groups may not be used for that, only all functions together are bounded.
    return f"{made} of 1500 forks, then error {why}"


def floods(place, hostile):
    name = hostile.make("floods", Timeout=60)
    began = time.monotonic()
    assert place.ask(name, {"do": "flood", "mib": 30}) == "flooded"
    took = time.monotonic() - began
    files = list((place.daemon.directory / "functions/logs").glob(f"{name}.log*"))
    sizes = [file.stat().st_size for file in files]
    assert len(files) == 2 and all(size <= LOG_BYTES + (1 << 20) for size in sizes), list(zip(files, sizes))
    assert place.ask(name, {"do": "good"})["body"] == "good"
    return f"30 MiB of log in {took:.1f} s"


def eats(place, hostile):
    name = hostile.make("eats", MemorySize=128, Timeout=60)
    began = time.monotonic()
    told = place.fails(name, {"do": "memory"})
    assert told["errorType"] == "Runtime.ExitError" and told["errorMessage"].endswith("signal: killed"), told
    took = time.monotonic() - began
    # What is said of it is written a moment after the answer.
    wait(lambda: "Error Type: Runtime.OutOfMemory" in place.logs(name), lambda: place.logs(name)[-2000:], 10)
    return f"too much memory after {took:.1f} s"


def pries(place, hostile):
    """What it writes goes with it; what is not its own it does not get."""
    name = hostile.make("pries")
    where = place.ask(name, {"do": "tmp"})
    assert str(place.daemon.directory) in where and os.path.getsize(where + "/large") == 20 << 20
    directory, pid = place.daemon.directory, place.daemon.process.pid
    paths = [str(directory / "credentials"), f"/proc/{pid}/environ", f"/proc/{pid}/mem", "/etc/shadow"]
    uid, told = place.ask(name, {"do": "secrets", "paths": paths})
    if place.is_nobody:
        assert uid == 65534 and set(told) == set(paths) and not any(isinstance(one, int) for one in told.values()), (uid, told)
        assert place.ask(name, {"do": "parent", "forebay": pid}) == ["PermissionError"] * 2
    place.fails(name, {"do": "exit"})
    assert not os.path.exists(where), f"{where} is left"


def closes(place, hostile):
    """Without its connection to the Runtime API it opens another, ends, or never asks for the next event, whose time then ends."""
    name = hostile.make("closes", Timeout=2)
    payload, answer = place.invoke(name, {"do": "close"})
    assert payload == b'"closed"' or "FunctionError" in answer, (payload, answer)
    payload, answer = place.invoke(name, {"do": "good"})
    assert "FunctionError" not in answer or json.loads(payload)["errorType"] == "Sandbox.Timedout", payload
    assert place.ask(name, {"do": "good"})["body"] == "good"


def balanced(place, hostile, listener, ip, port):
    """All that ends badly is 502 to whoever asks the load balancer."""
    name = hostile.make("balanced", Timeout=1)
    hostile.behind(name, listener, 2, "/*")
    assert ask(ip, port, "/?")[0] == 502
    for path in ("/raise", "/exit", "/abort", "/nonsense", "/megabyte", "/hang", "/object"):
        status, body = ask(ip, port, path)
        assert status == 502, (path, status, body[:200])


CASES = (starts, ends, hangs, sizes, leaves, floods, eats, pries, closes)


def hostile(place: Place):
    bad = Hostile(place)
    balancer, ip = place.balancer("hostile")
    listener, port = place.listener(balancer, None)
    good = bad.make("good")
    bad.behind(good, listener, 1, "/good")
    assert ask(ip, port, "/good") == (200, b"good")
    before = place.descriptors()
    beside = Good(ip, port)
    try:
        wait(lambda: len(beside.took) >= RATE, "the good function is asked")
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            ran = [pool.submit(case, place, bad) for case in CASES] + [pool.submit(balanced, place, bad, listener, ip, port)]
            told = [one.result() for one in ran]
    finally:
        beside.stop()
    assert not beside.failed, beside.failed[:10]
    worst = max(beside.took)
    place.elb.delete_load_balancer(LoadBalancerArn=balancer)
    place.delete(*bad.names)
    place.wait_none_left()
    wait(lambda: abs(place.descriptors() - before) <= 20, lambda: f"{before} descriptors are as before: {place.descriptors()}", 20)
    bound(worst, 1, "a good function beside hostile ones")
    told = "; ".join(one for one in told if one)
    return f"{told}; the good one beside: {len(beside.took)} requests, median {statistics.median(beside.took) * 1000:.1f} ms, at most {worst * 1000:.0f} ms"
