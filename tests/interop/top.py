"""`forebay top`: one table without a terminal, the live view on a terminal of its own, and the terminal as it was afterwards."""

import concurrent.futures
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

from daemon import BINARY, Balancer, Daemon, Sample, get, wait


def once(daemon, *flags):
    command = [BINARY, "top", "--once", "--interval", "0.3", "--admin", daemon.admin, *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)


def read_until(master, text, seconds=20):
    """What the terminal got, up to this text."""
    got, deadline = b"", time.monotonic() + seconds
    while text not in got:
        ready, _, _ = select.select([master], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"{text!r} did not come: {got!r}"
        got += os.read(master, 65536)
    return got


def live(daemon):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 100, 0, 0))
    before = termios.tcgetattr(slave)
    command = [BINARY, "top", "--interval", "0.2", "--admin", daemon.admin.removeprefix("http://")]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=subprocess.PIPE) as process:
        got = read_until(master, b"WAITING")
        assert b"\x1b[?1049h" in got, got
        assert not termios.tcgetattr(slave)[3] & termios.ICANON, "keys come at once"
        # A second page: it lives.
        read_until(master, b"WAITING")
        os.write(master, b"q")
        read_until(master, b"\x1b[?1049l")
        assert process.wait(timeout=20) == 0, process.stderr.read()
    assert termios.tcgetattr(slave) == before, "the terminal is as it was"
    os.close(slave)
    os.close(master)


def table(daemon, balancer, samples):
    with concurrent.futures.ThreadPoolExecutor(6) as crowd:
        answers = [crowd.submit(get, balancer.nodes[0], balancer.port, "/?delay=1500") for _ in range(6)]
        wait(lambda: daemon.metric(r"^forebay_surge_queue_length\{") == 4, "four wait")
        shown = once(daemon)
        assert [answer.result()[0] for answer in answers] == [200] * 6
    assert shown.returncode == 0, shown.stderr
    assert "\x1b" not in shown.stdout, "plain text"
    head, group, *targets = shown.stdout.splitlines()
    assert "WAITING" in head, head
    # Name, requests a second, latency (of none: nothing was answered in between), slots, busy, free, used, waiting.
    assert group.split()[2:8] == ["-", "2", "2", "0", "100%", "4"], group
    assert all(len(line) <= 100 and "-0.0" not in line for line in shown.stdout.splitlines()), shown.stdout
    targets = [line for line in targets if not line.startswith("  (")]
    assert sorted(line.split()[0] for line in targets) == sorted(samples), targets
    assert all(line.startswith("  ") and " healthy" in line for line in targets), targets


if __name__ == "__main__":
    with Daemon(pool="127.84.0.0/14") as daemon, Sample("a") as a, Sample("b") as b:
        balancer = Balancer(daemon)
        balancer.register(a, b)
        balancer.wait_healthy(a, b)
        tags = {"concurrency": "1", "queue-length": "10", "queue-wait": "60"}
        tags = [{"Key": "forebay:" + key, "Value": value} for key, value in tags.items()]
        balancer.elb.add_tags(ResourceArns=[balancer.group], Tags=tags)
        table(daemon, balancer, [a.address, b.address])
        live(daemon)
        refused = subprocess.run([BINARY, "top", "--admin", daemon.admin.removeprefix("http://")], capture_output=True, text=True,
                                 stdin=subprocess.DEVNULL, timeout=30)
        assert refused.returncode == 1 and "--once" in refused.stderr, refused
        daemon.stop()
        gone = once(daemon)
        assert gone.returncode == 1 and "cannot read" in gone.stderr, gone
    print("top: one table, and the live view")
