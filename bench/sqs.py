"""What SQS's API bears, durable, with signed calls over kept connections: `sqs.py [batch] [single] [polls] [memory] [--seconds S] [--body BYTES]`.

batch: SendMessageBatch of ten over 16 connections. single: SendMessage over 64. polls: a thousand receives that wait 20 s for messages
that never come, and what of a processor the daemon uses meanwhile. memory: a million messages, and what of them is resident.
The disk's own sync is measured before and after each. FOREBAY_BIN names the program (a release build); the generator is
`cargo build --release -p forebay-bench --bin sqs_load`, or named by SQS_LOAD. It shares the processors with the daemon, and says how much it used."""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "interop"))
from daemon import Daemon  # noqa: E402

LOAD = os.environ.get("SQS_LOAD") or str(HERE.parent / "target" / "release" / "sqs_load")
POOL = "127.96.0.0/14"
TICKS = os.sysconf("SC_CLK_TCK")


def sync_ms(directory, count=200):
    """Median and 99th percentile of writing 4 KiB at the end of a file and syncing it."""
    path, took = directory / "sync-probe", []
    with open(path, "wb", buffering=0) as file:
        for _ in range(count):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    path.unlink()
    took.sort()
    return statistics.median(took), took[int(len(took) * 0.99)]


def cpu_seconds(daemon):
    fields = pathlib.Path(f"/proc/{daemon.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def load(daemon, url, mode, **flags):
    """What the generator says it did."""
    words = [LOAD, daemon.api, str(daemon.directory / "credentials"), url, mode]
    for name, value in flags.items():
        words += [f"--{name}", str(value)]
    before, began = cpu_seconds(daemon), time.monotonic()
    ran = subprocess.run(words, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    told["daemon_cpu"] = (cpu_seconds(daemon) - before) / (time.monotonic() - began)
    assert not told["errors"], told
    return told


def sends(daemon, url, mode, connections, arguments, least):
    before = sync_ms(daemon.directory)
    told = load(daemon, url, mode, connections=connections, seconds=arguments.seconds, body=arguments.body)
    after = sync_ms(daemon.directory)
    rate = told["messages"] / told["seconds"]
    print(f"{mode}: {rate:.0f} messages a second (bound {least}: {'kept' if rate >= least else 'MISSED'}), {connections} connections, bodies of {arguments.body} bytes; "
          f"a call p50 {told['p50_us'] / 1000:.2f} ms, p99 {told['p99_us'] / 1000:.2f} ms; daemon {told['daemon_cpu']:.2f} of a processor, "
          f"generator {told['own_cpu_ms'] / 1000 / told['seconds']:.2f}; a sync of 4 KiB p50 {before[0]:.2f} and {after[0]:.2f} ms, p99 {before[1]:.2f} and {after[1]:.2f} ms", flush=True)


def polls(daemon, url, arguments):
    used, began = cpu_seconds(daemon), time.monotonic()
    time.sleep(5)
    idle = (cpu_seconds(daemon) - used) / (time.monotonic() - began)
    seconds = max(arguments.seconds, 60)
    told = load(daemon, url, "poll", connections=1000, seconds=seconds)
    used = told["daemon_cpu"] - idle
    print(f"polls: 1000 connections, {told['calls']} empty receives in {told['seconds']:.0f} s: {used * 100:.2f} % of a processor beyond the {idle * 100:.2f} % "
          f"without them (bound 2 %: {'kept' if used < 0.02 else 'MISSED'}); generator {told['own_cpu_ms'] / 10 / told['seconds']:.2f} %", flush=True)


def memory(daemon, url, arguments):
    before = daemon.memory_kib()
    told = load(daemon, url, "batch", connections=16, seconds=3600, count=1_000_000, body=arguments.body)
    time.sleep(2)
    after = daemon.memory_kib()
    waiting = daemon.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]["ApproximateNumberOfMessages"]
    assert int(waiting) == told["messages"] >= 1_000_000, (waiting, told)
    disk = sum(path.stat().st_size for path in daemon.directory.rglob("*.messages"))
    print(f"memory: {waiting} messages of {arguments.body} bytes in {told['seconds']:.0f} s: {before / 1024:.0f} MiB resident before, {after / 1024:.0f} MiB after: "
          f"{(after - before) * 1024 / int(waiting):.0f} bytes each; {disk / 2**20:.0f} MiB on disk", flush=True)
    began = time.monotonic()
    daemon.kill()
    daemon.start()
    print(f"memory: killed, ready again after {time.monotonic() - began:.1f} s, {daemon.memory_kib() / 1024:.0f} MiB resident", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help="batch, single, polls or memory; all if none is named")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--body", type=int, default=1024)
    arguments = parser.parse_args()
    known = ["batch", "single", "polls", "memory"]
    if unknown := set(arguments.parts) - set(known):
        sys.exit(f"there is no part {', '.join(sorted(unknown))}")
    parts = arguments.parts or known
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for part in parts:
        with Daemon(pool=POOL) as daemon:
            url = daemon.client("sqs").create_queue(QueueName=part)["QueueUrl"]
            if part == "batch":
                sends(daemon, url, "batch", 16, arguments, 5000)
            elif part == "single":
                sends(daemon, url, "single", 64, arguments, 800)
            elif part == "polls":
                polls(daemon, url, arguments)
            else:
                memory(daemon, url, arguments)
            daemon.stop()


if __name__ == "__main__":
    main()
