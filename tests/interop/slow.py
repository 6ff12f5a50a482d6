"""Ten thousand slow-header clients and ten thousand idle ones held open against one Forebay: what a normal client feels,
what each of them costs in memory, and that nothing of them stays.

Phases of calm and crowd take turns in one run; a normal client at a steady rate is measured in each. Bounds below."""

import resource
import select
import socket
import statistics
import subprocess
import sys
import time

CROWD = 10_000  # of each kind, where the descriptor limit allows it
IDLE_KIB = 2.0  # memory in user space per idle kept connection
SLOW_KIB = 16.0  # memory in user space per connection whose head is under way
FACTOR = 2.0  # the normal client's p99 in the crowd, to that in the calm
TIMEOUT = 15  # seconds a head may take (idle_timeout bounds it)
ROUNDS = 3
PHASE = 2.5  # seconds measured per phase
RATE = 400  # the normal client's requests per second, half of them on connections of their own
SLOWNESS = 4.0  # seconds between two bytes of one slow client
PER_SOURCE = 5_000  # connections per loopback source address: ports are not the limit
HEAD = b"GET /slow HTTP/1.1\r\nHost: slow.test\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\nX-Slow: "


# --- processes that are clients; told what to do by lines on stdin

def say(*words):
    print(*words, flush=True)


def connect(ip, port, index, base):
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port is chosen for this destination
    sock.bind((f"127.{base}.0.{1 + index // PER_SOURCE}", 0))
    sock.connect((ip, port))
    return sock


def crowd(kind, ip, port, count):
    """Opens, holds and closes connections: `open`, `close` (by us), `ended` (waits until the balancer closed all)."""
    held, poll, turn = {}, select.epoll(), 0
    poll.register(0, select.EPOLLIN)
    order, due, closed, answers, ending = [], 0.0, 0, {}, False
    while True:
        pause = -1 if not (kind == "slow" and held) else max(0.0, due - time.monotonic())
        for fd, _ in poll.poll(pause):
            if fd == 0:
                command = sys.stdin.readline().strip()
                if command == "open":
                    for index in range(count):
                        sock = connect(ip, port, index, 91 if kind == "slow" else 92)
                        sock.sendall(HEAD if kind == "slow" else b"GET /idle HTTP/1.1\r\nHost: idle.test\r\n\r\n")
                        if kind == "idle":
                            assert sock.recv(4096).startswith(b"HTTP/1.1 200 "), "an idle client's first request failed"
                        sock.setblocking(False)
                        poll.register(sock, select.EPOLLIN)
                        held[sock.fileno()] = sock
                    order, closed, answers, ending = list(held), 0, {}, False
                    say("opened", len(held))
                elif command == "count":
                    say("held", len(held), closed)
                elif command == "close":
                    for sock in held.values():
                        sock.close()
                    held.clear()
                    say("closed")
                elif command == "ended":
                    ending = True
                else:
                    return
                continue
            sock = held.get(fd)
            if sock is None:
                continue
            try:
                data = sock.recv(4096)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if data:
                status = data.split(b" ", 2)[1].decode()
                answers[status] = answers.get(status, 0) + 1
            else:
                closed += 1
                held.pop(fd).close()
        if kind == "slow" and held and time.monotonic() >= due:
            # A piece of the crowd sends its byte each time, so that the whole of it does within SLOWNESS.
            share = max(1, len(order) // 100)
            due = time.monotonic() + SLOWNESS / 100
            for step in range(share):
                sock = held.get(order[(turn + step) % len(order)])
                if sock is not None:
                    try:
                        sock.send(b"x")
                    except OSError:
                        pass
            turn += share
        if ending and not held:
            say("ended", closed, *(f"{status}={number}" for status, number in sorted(answers.items())))
            ending = False


def normal(ip, port):
    """`measure SECONDS`: requests at a steady rate; says how many, how many were late to start, and all latencies."""
    request = b"GET /normal HTTP/1.1\r\nHost: normal.test\r\n\r\n"
    kept = connect(ip, port, 0, 90)

    def one(sock):
        sock.sendall(request)
        assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")

    for line in sys.stdin:
        words = line.split()
        if words[0] != "measure":
            return
        taken, late, began = [], 0, time.monotonic()
        for number in range(int(float(words[1]) * RATE)):
            start = began + number / RATE
            rest = start - time.monotonic()
            if rest > 0:
                time.sleep(rest)
            elif rest < -0.1:
                late += 1
            at = time.perf_counter()
            if number % 2:
                one(kept)
            else:
                with connect(ip, port, 0, 90) as fresh:
                    one(fresh)
            taken.append((time.perf_counter() - at) * 1e3)
        say(late, *(f"{ms:.4f}" for ms in taken))


class Worker:
    """One of those processes."""

    def __init__(self, *arguments):
        command = [sys.executable, __file__, *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline().split()
        assert line, "a load process died"
        return line

    def ask(self, *words):
        self.send(*words)
        return self.answer()

    def end(self):
        self.process.kill()
        self.process.wait()


def percentile(values, share):
    return sorted(values)[int(len(values) * share)]


# --- the suite

def descriptors():
    """Raises the limit as far as it goes; how many clients of each kind fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CROWD + 1_000
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))
        return CROWD
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        # Of what is not kept for others (calls that wait for messages among them), clients may take seven eighths.
        return min(CROWD, (hard - 1536 - min(hard // 16, 4096)) * 7 // 16 - 50)


def main():
    from daemon import Balancer, Daemon, Sample, bound, wait

    count = descriptors()
    if count < CROWD:
        print(f"  the descriptor limit allows {count} clients of each kind, not {CROWD}")
    with Daemon() as daemon, Sample("target") as target:
        balancer = Balancer(daemon, name="slow")
        balancer.register(target)
        balancer.wait_healthy(target)
        balancer.elb.modify_load_balancer_attributes(
            LoadBalancerArn=balancer.arn, Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": str(TIMEOUT)}])
        ip, port = balancer.nodes[0], balancer.port
        open_now = lambda: daemon.metric(r"active_connections\b")  # noqa: E731
        workers = [Worker("slow", ip, port, count), Worker("idle", ip, port, count), Worker("normal", ip, port)]
        try:
            judge(daemon, workers, count, open_now, wait, bound)
        finally:
            for worker in workers:
                worker.end()
        wait(lambda: open_now() == 0, "no client connection is open", 10)
        wait(lambda: daemon.metric(r"target_in_flight\b") == 0, "nothing is in flight", 10)
        assert "panicked" not in daemon.stderr()
        assert daemon.process.poll() is None


def judge(daemon, workers, count, open_now, wait, bound):
    slow, idle, client = workers
    phases = {"calm": [], "crowd": []}

    def measure(name):
        late, *taken = client.ask("measure", PHASE)
        phases[name].append([float(ms) for ms in taken])
        bound(int(late), 0.02 * len(taken), "times the normal client itself came too late")

    client.ask("measure", 1)
    first, peak = daemon.memory_kib(), 0
    for number in range(ROUNDS):
        measure("calm")
        base = daemon.memory_kib()
        idle.ask("open")
        wait(lambda: open_now() >= count, "idle clients are open")
        with_idle = daemon.memory_kib()
        slow.ask("open")
        began = time.monotonic()
        wait(lambda: open_now() >= 2 * count, "slow clients are open")
        measure("crowd")
        with_slow = daemon.memory_kib()
        for worker in (slow, idle):
            assert worker.ask("count") == ["held", str(count), "0"], "a client was closed before its time"
        if number == 0:
            # Later rounds use memory that the allocator kept, so the first tells what a client costs.
            per_idle, per_slow = (with_idle - base) / count, (with_slow - with_idle) / count
            peak = with_slow
        if number < ROUNDS - 1:
            slow.ask("close"), idle.ask("close")
            wait(lambda: open_now() <= 1, "the crowd is gone")
    # The last crowd is not closed by us: time is up for both kinds.
    slow.send("ended"), idle.send("ended")
    slow_end, idle_end = slow.answer(), idle.answer()
    took = time.monotonic() - began
    wait(lambda: open_now() <= 1, "the crowd is gone")
    p99 = {name: [percentile(taken, 0.99) for taken in runs] for name, runs in phases.items()}
    calm, crowd_p99 = statistics.median(p99["calm"]), statistics.median(p99["crowd"])
    print(f"  p99 in ms: calm {[round(x, 2) for x in p99['calm']]}, crowd {[round(x, 2) for x in p99['crowd']]}: "
          f"{calm:.2f} -> {crowd_p99:.2f}, x {crowd_p99 / calm:.2f}")
    for share, name in ((0.5, "p50"), (0.999, "p99.9")):
        whole = [percentile(sum(phases[kind], []), share) for kind in ("calm", "crowd")]
        print(f"  {name}: {whole[0]:.2f} -> {whole[1]:.2f} ms")
    print(f"  memory: idle {per_idle:.2f} KiB each, slow head {per_slow:.2f} KiB each; VmRSS {first} -> {peak} KiB in the "
          f"first crowd, {with_slow} in the last, {daemon.memory_kib()} after it")
    print(f"  {count} + {count} clients ended by the balancer {took:.1f} s after the last opened: {slow_end}, {idle_end}")
    assert per_idle <= IDLE_KIB, f"an idle client costs {per_idle:.2f} KiB"
    assert per_slow <= SLOW_KIB, f"a slow head costs {per_slow:.2f} KiB"
    assert with_slow <= peak * 1.1, "each crowd costs more than the one before"
    assert slow_end == ["ended", str(count), f"408={count}"], "each slow head is answered with 408"
    assert idle_end == ["ended", str(count)], "idle clients are closed without an answer"
    bound(took, TIMEOUT + 3, "seconds that clients were kept", slack=2)
    # Measured 0.87 to 3.5 times: it is not kept reliably where crowd, client and balancer share two cores.
    bound(crowd_p99, FACTOR * calm, "p99 in ms with the crowd")
    print("slow passed")


if __name__ == "__main__":
    if sys.argv[1:2] == ["normal"]:
        normal(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1:2] in (["slow"], ["idle"]):
        crowd(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
