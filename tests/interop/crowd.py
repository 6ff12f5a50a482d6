"""A crowd that waits: 100,000 streams of HTTP/2 in one queue, what each of them costs, and how soon their places are free when they
leave."""

import resource
import sys
import time

from frames import Secure
from daemon import Daemon, wait
from http2_wire import Wire, frame, END_HEADERS, END_STREAM, HEADERS
from queueing_target import Target

STREAMS = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
EACH = 125


def crowd(daemon, front, length):
    """All come, wait and leave. The most memory that took, and bytes for each."""
    wires = [Wire(front) for _ in range(-(-STREAMS // EACH))]
    for wire in wires:
        wire.request(1)
    wait(lambda: length() == len(wires), "one stream of each connection waits")
    before = daemon.memory_kib()
    for wire in wires:
        block = b"".join(
            frame(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * number, wire.block(wire.fields(path=f"/{number}")))
            for number in range(1, EACH))
        wire.send(block)
    wanted = len(wires) * EACH
    wait(lambda: length() == wanted, "all wait", 120)
    after = daemon.memory_kib()
    each = (after - before) * 1024 / (wanted - len(wires))
    print(f"crowd: {wanted} streams wait on {len(wires)} connections; {before} KiB with one stream each, {after} KiB with all: {each:.0f} bytes each")
    for wire in wires:
        wire.socket.close()
    began = time.monotonic()
    wait(lambda: length() == 0, "nobody waits", 30)
    print(f"crowd: all places free after {time.monotonic() - began:.2f} s; {daemon.memory_kib()} KiB")
    return after, each


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Daemon(workers=2) as daemon:
        front = Secure(daemon, interval=30, timeout=20)
        target = Target(3600)
        front.balancer.register(target)
        front.balancer.wait_healthy(target)
        tags = {"concurrency": 1, "queue-length": STREAMS, "queue-wait": 3600}
        front.elb.add_tags(ResourceArns=[front.balancer.group], Tags=[{"Key": "forebay:" + key, "Value": str(value)} for key, value in tags.items()])
        length = lambda: daemon.metric("^forebay_surge_queue_length")
        # The slot is held throughout: were it freed now and then, the wait would be predicted, and be too long for many.
        holder = Wire(front)
        holder.request(1)
        wait(lambda: target.held == 1, "the slot is taken")
        first, each = crowd(daemon, front, length)
        assert each <= 4096, each
        # An allocator's free pieces settle within a few rounds. What leaks, even a tenth of each stream, adds up to half as much again.
        later = [crowd(daemon, front, length)[0] for _ in range(5)]
        assert later[-1] <= first * 1.2, (first, later)
        daemon.stop()
    print("crowd: passed")


main()
