"""Cold starts, one after another and beside each other, leave nothing on the machine."""

import concurrent.futures
import json
import time

from daemon import wait
from functions_cases.place import Place, archive

# Without AWS's client, which takes longer to start than all else: half of them crash, the others answer and leave.
ONCE = """#!/usr/bin/env -S python3 -I -S
import os, socket
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
api = socket.create_connection((host, int(port)))
api.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
file = api.makefile("rb")
head = {}
file.readline()
while line := file.readline().strip():
    name, value = line.split(b": ", 1)
    head[name.lower()] = value
event = file.read(int(head[b"content-length"]))
if b"crash" in event:
    os._exit(1)
id = head[b"lambda-runtime-aws-request-id"]
api.sendall(b"POST /2018-06-01/runtime/invocation/" + id + b"/response HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
file.readline()
"""
AT_ONCE = 4


def cold(place: Place, count):
    zipped = archive(bootstrap=ONCE)
    names = [f"cold-{number}" for number in range(AT_ONCE)]
    for name in names:
        place.make(name, zipped, "provided.al2023", "none")

    def invoke(name, number):
        """Functions take turns in crashing and answering; of one alone, each start is a cold one."""
        crash = number % 2 == 0
        payload, answer = place.invoke(name, {"do": "crash" if crash else "answer"})
        if crash:
            assert json.loads(payload)["errorType"] == "Runtime.ExitError", (name, number, payload)
        else:
            assert payload == b"{}" and "FunctionError" not in answer, (name, number, payload)

    def invoke_all(name):
        for number in range(count // AT_ONCE):
            invoke(name, number)

    for name in names:
        invoke(name, 0)
    place.wait_none_left()
    before, memory = place.descriptors(), place.daemon.memory_kib()
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(invoke_all, names))
    took = time.monotonic() - began
    place.wait_none_left()
    wait(lambda: abs(place.descriptors() - before) <= 20, lambda: f"{before} descriptors are as before: {place.descriptors()}", 20)
    starts = count // AT_ONCE * AT_ONCE + AT_ONCE
    logged = lambda: sum(place.logs(name).count("\tInit Duration: ") for name in names)
    # What is said of them is written a moment after their answers.
    wait(lambda: logged() >= starts, lambda: f"{logged()} of {starts} starts are logged", 20)
    assert logged() == starts, (logged(), starts)
    told = f"{starts} cold starts in {took:.1f} s, {starts / took:.0f}/s; descriptors {before} before and {place.descriptors()} after, "
    place.delete(*names)
    return told + f"{(place.daemon.memory_kib() - memory) / 1024:+.1f} MiB of memory, nothing left"
