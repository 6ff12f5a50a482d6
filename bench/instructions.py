"""What a small request costs, in instructions and in processor time: `instructions.py BEFORE AFTER`, two programs as
`cargo build --profile dist` makes them (FOREBAY_BENCH_ANY_PROFILE=1 takes others). GETs go one after another over one connection to a target in this process, which answers two bytes.

Instructions are counted by callgrind (valgrind), those of the one worker that serves the connection, the same each time to a tenth of
a per cent. What other threads do meanwhile (probes, what is counted each second) depends on how long it takes and is told apart. Time is the median of three rounds in
turns. Run it with the Python of target/venv, from the root: `target/venv/bin/python bench/instructions.py OLD target/dist/forebay`."""

import glob
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import types

COUNTED, TIMED = 5_000, 30_000
ANSWER = (b"HTTP/1.1 200 OK\r\nServer: t\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
          b"Connection: keep-alive\r\n\r\nok")
ASKED = b"GET /some/path?x=y HTTP/1.1\r\nHost: a.example\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n"

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "interop"))
if len(sys.argv) != 3:
    sys.exit(__doc__)
for program in sys.argv[1:]:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if not told.endswith("(dist)") and not os.environ.get("FOREBAY_BENCH_ANY_PROFILE"):
        sys.exit(f"{program} is '{told}': no figure but of a dist build counts; to measure it all the same, set FOREBAY_BENCH_ANY_PROFILE=1")
os.environ.setdefault("FOREBAY_BIN", sys.argv[2])
import daemon  # noqa: E402: it wants the program named


def target():
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(stream):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while stream.recv(65536):
            stream.sendall(ANSWER)

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    port = listener.getsockname()[1]
    return types.SimpleNamespace(ip="127.0.0.1", port=port, address=f"127.0.0.1:{port}")


class Measured(daemon.Daemon):
    """A daemon under this program, perhaps with one before it."""

    def __init__(self, program, before=()):
        self.command = [*before, program]
        super().__init__(workers=1)

    def start(self, api="127.0.0.1:0"):
        command = [*self.command, "up", "--api", api, "--admin", "127.0.0.1:0", *self.arguments]
        self.log = open(self.directory.parent / (self.directory.name + ".log"), "ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.api, self.admin = re.match(r"forebay ready api=(\S+) admin=(\S+) ", self.process.stdout.readline()).groups()
        return self


def asking(running):
    """What asks so many times over one connection that is warm."""
    served = target()
    balancer = daemon.Balancer(running, interval=60, timeout=5)
    balancer.register(served)
    balancer.wait_healthy(served)
    client = socket.create_connection((balancer.nodes[0], balancer.port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(times):
        for _ in range(times):
            client.sendall(ASKED)
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
    ask(1_000)
    return ask


def instructions(program):
    with tempfile.TemporaryDirectory() as folder:
        before = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes", f"--callgrind-out-file={folder}/out"]
        with Measured(program, before) as running:
            ask = asking(running)
            control = lambda *words: subprocess.run(
                ["callgrind_control", *words, str(running.process.pid)], check=True, stdout=subprocess.DEVNULL)
            control("-i", "on")
            ask(COUNTED)
            control("-d")
            counts = [re.search(r"^(?:summary|totals): (\d+)", pathlib.Path(name).read_text(), re.M) for name in glob.glob(f"{folder}/out*")]
            counts = sorted(int(count.group(1)) for count in counts if count)
            return counts[-1] / COUNTED, sum(counts[:-1]) / COUNTED


def microseconds(program):
    with Measured(program) as running:
        ask = asking(running)
        stat = pathlib.Path(f"/proc/{running.process.pid}/stat")
        spent = lambda: sum(map(int, stat.read_text().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")
        began = spent()
        ask(TIMED)
        return (spent() - began) / TIMED * 1e6


def main():
    before, after = sys.argv[1:]
    counts, others = zip(*[instructions(program) for program in (before, after)])
    print(f"instructions of a request: {counts[0]:.0f} before, {counts[1]:.0f} after: {counts[1] / counts[0]:.4f}")
    print(f"of other threads in that time: {others[0]:.0f} before, {others[1]:.0f} after, for each request")
    rounds = [(microseconds(before), microseconds(after)) for _ in range(3)]
    medians = [statistics.median(column) for column in zip(*rounds)]
    print(f"processor time of a request: {medians[0]:.1f} us before, {medians[1]:.1f} after (medians of three rounds in turns)")


main()
