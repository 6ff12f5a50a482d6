#!/usr/bin/env python3
"""A runtime for tests: does what the event says."""
import array
import fcntl
import http.client
import json
import os
import signal
import subprocess
import sys
import termios
import time

BASE = "/2018-06-01/runtime"
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
count = 0


def call(method, path, body=None, headers={}):
    connection.request(method, BASE + path, body, headers)
    response = connection.getresponse()
    return response, response.read()


def unread(pipe):
    """The bytes of a pipe that its reader has not taken."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


def daemons(mark):
    """Two forks and a session of its own, as daemons do it, and one that ignores what can be ignored."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.execvp("sleep", ["sleep", mark])
        os._exit(0)
    subprocess.Popen(["sleep", mark], start_new_session=True)
    subprocess.Popen(["sh", "-c", f"trap '' TERM INT HUP; sleep {mark} & sleep {mark} & wait"])


def bomb(mark):
    """Forks for as long as it lives."""
    for _ in range(8):
        if os.fork() == 0:
            while True:
                if os.fork() == 0:
                    os.execvp("sleep", ["sleep", mark])
                time.sleep(0.002)


at_start = os.environ.get("AT_START")
if at_start == "exit":
    print("last words")
    sys.exit(3)
if at_start == "error":
    call("POST", "/init/error", b'{"errorType":"Start","errorMessage":"no"}')
    sys.exit(1)
if at_start == "hang":
    time.sleep(1000)

while True:
    request, body = call("GET", "/invocation/next")
    request_id = request.getheader("Lambda-Runtime-Aws-Request-Id")
    event = json.loads(body)
    do = event.get("do", "echo")
    count += 1

    def answer(value):
        return call("POST", f"/invocation/{request_id}/response", value)[0].status

    if do == "echo":
        answer(body)
    elif do == "count":
        answer(json.dumps([os.getpid(), count]))
    elif do == "tmp":
        with open("/tmp/" + event["name"], "w") as file:
            file.write("x")
        answer(json.dumps(sorted(os.listdir(os.environ["TMPDIR"]))))
    elif do == "deep":
        os.chdir(os.environ["TMPDIR"])
        for _ in range(3000):
            os.mkdir("deep")
            os.chdir("deep")
        os.mkdir("closed", 0)
        os.chdir(os.environ["LAMBDA_TASK_ROOT"])
        os._exit(1)
    elif do == "env":
        answer(json.dumps(dict(os.environ)))
    elif do == "facts":
        status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
        facts = {name.lower(): value for name, value in request.getheaders()}
        try:
            open(os.environ["LAMBDA_TASK_ROOT"] + "/new", "w")
            writes = True
        except OSError:
            writes = False
        open(os.environ["TMPDIR"] + "/new", "w").write("x")
        limits = open("/proc/self/limits").read()
        files = sorted(os.listdir("/proc/self/fd"))
        try:
            secret = open(event["secret"]).read()
        except OSError:
            secret = None
        answer(json.dumps({"status": status, "headers": facts, "writes": writes, "limits": limits, "files": files,
                           "cwd": os.getcwd(), "secret": secret, "listed": os.listdir(".")}))
    elif do == "error":
        call("POST", f"/invocation/{request_id}/error", event["body"].encode(),
             {"Lambda-Runtime-Function-Error-Type": "My.Error"})
    elif do == "exit":
        os._exit(event["status"])
    elif do == "kill":
        os.kill(os.getpid(), event["signal"])
    elif do == "hang":
        time.sleep(1000)
    elif do == "text":
        answer(b"no JSON <at> all")
    elif do == "big":
        print("status", answer(b'"' + b"x" * (event["bytes"] - 2) + b'"'), flush=True)
    elif do == "daemons":
        daemons(event["mark"])
        if event.get("hang"):
            time.sleep(1000)
        answer(b"{}")
    elif do == "bomb":
        bomb(event["mark"])
        time.sleep(1000)
    elif do == "flood":
        for _ in range(event["mib"] * 16):
            os.write(1, b"flood " * 10922 + b"\n")
        answer(b"{}")
    elif do == "say":
        print(event["text"])
        sys.stdout.flush()
        answer(b"{}")
    elif do == "halves":
        os.write(1, b"half, ")
        while unread(1):
            time.sleep(0.001)
        os.write(1, b"and whole\nunended")
        answer(b"{}")
    elif do == "close":
        connection.close()
        answer(b'"again"')
        connection.close()
    elif do == "wrong":
        statuses = [call("POST", "/invocation/no-such/response", b"{}")[0].status,
                    call("GET", "/invocation/next")[0].status,
                    call("GET", "/nothing")[0].status,
                    call("POST", "/init/error", b"{}")[0].status]
        answer(json.dumps(statuses))
    elif do == "memory":
        blocks = []
        while True:
            blocks.append(b"x" * (4 << 20))
            time.sleep(0.002)
    elif do == "leave":
        answer(b'"left"')
        os._exit(0)
