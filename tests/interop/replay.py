"""Requests of HTTP/2 that a target pushes back: sent to another one whole, or not at all."""

import socket
import threading

import h2.config
import h2.connection
import h2.events
import h2.settings

from choosing import tags
from frames import Secure
from daemon import Daemon, wait
from http2_wire import ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PING, Wire, frame


class Target(threading.Thread):
    """Speaks HTTP/2 in clear and keeps the bodies that it got. One that is `full` takes no more of a body than its window, and
    answers 503 once `say` is set."""

    def __init__(self, full=False, window=0):
        super().__init__(daemon=True)
        self.full, self.window, self.say = full, window, threading.Event()
        self.asked, self.bodies = 0, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, raw):
        wire = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        if self.full:
            settings = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: self.window}
            wire.local_settings = h2.settings.Settings(client=False, initial_values=settings)
        wire.initiate_connection()
        raw.sendall(wire.data_to_send())
        open_, bodies = set(), {}
        with raw:
            while got := raw.recv(65536):
                for event in wire.receive_data(got):
                    if isinstance(event, h2.events.RequestReceived):
                        headers = dict(event.headers)
                        if b"ELB-HealthChecker" in headers.get(b"user-agent", b""):
                            self.answer(wire, event.stream_id, 200, b"")
                            continue
                        self.asked += 1
                        open_.add(event.stream_id)
                        bodies[event.stream_id] = b""
                        if self.full:
                            assert self.say.wait(20)
                            self.answer(wire, event.stream_id, 503, b"")
                    elif isinstance(event, h2.events.DataReceived):
                        bodies[event.stream_id] += event.data
                        wire.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, h2.events.StreamEnded) and event.stream_id in open_ and not self.full:
                        self.bodies.append(bodies[event.stream_id])
                        self.answer(wire, event.stream_id, 200, bodies[event.stream_id])
                raw.sendall(wire.data_to_send())

    def answer(self, wire, stream, status, body):
        wire.send_headers(stream, [(":status", str(status))], end_stream=not body)
        for at in range(0, len(body), 16_000):
            wire.send_data(stream, body[at:at + 16_000], end_stream=at + 16_000 >= len(body))


def send(front, full, other, head_flags, begun, rest, path="/r"):
    """One request: its head and what is `begun` of its body, then, once the balancer has read that and a target was asked, the
    rest. Returns its verdict, and whether the full target was asked."""
    full.say.clear()
    before = full.asked, other.asked
    with Wire(front) as w:
        head = frame(HEADERS, head_flags, 1, w.block(w.fields("GET" if head_flags & END_STREAM else "POST", path)))
        pieces = b"".join(frame(DATA, 0, 1, begun[at:at + 16_000]) for at in range(0, len(begun), 16_000))
        w.send(head + pieces + frame(PING, payload=b"12345678"))
        # Frames of a connection are read in order: what came before the ping was read.
        w.until(lambda kind, flags, stream, payload: kind == PING and flags & ACK)
        wait(lambda: (full.asked, other.asked) != before, "a target is asked")
        full.say.set()
        was_full = full.asked > before[0]
        if was_full and not begun:
            wait(lambda: other.asked > before[1], "the request goes to the other")
        if rest is not None:
            w.send(frame(DATA, END_STREAM, 1, rest))
        return w.verdict(), was_full


def until_full(*request):
    """The same until the full target was asked first; whoever asks the other is served."""
    for _ in range(4):
        verdict, was_full = send(*request)
        if was_full:
            return verdict
        assert verdict == "status 200", verdict
    raise AssertionError("the full target was never asked")


def main():
    with Daemon(workers=1) as daemon:
        front = Secure(daemon, name="replay")
        full, other = Target(full=True), Target()
        group = front.group("HTTP2", "/r", [("127.0.0.1", full.port), ("127.0.0.1", other.port)])
        tags(front.elb, group, retries="2", push_back="on")
        # Nothing of a body, and a body of which nothing had come: it is sent to the other, and arrives whole.
        assert until_full(front, full, other, END_HEADERS | END_STREAM, b"", None) == "status 200"
        assert until_full(front, full, other, END_HEADERS, b"", b"whole") == "status 200"
        assert other.bodies[-1] == b"whole", other.bodies
        # Begun, on a connection whose settings are known by now: the balancer holds a piece that it could not pass on. The
        # other gets all of it.
        assert until_full(front, full, other, END_HEADERS, b"begun, ", b"and ended") == "status 200"
        assert other.bodies[-1] == b"begun, and ended", other.bodies
        # A piece was passed on: the other gets all of it, or nothing if it was more than is kept (16 KiB).
        partial, other = Target(full=True, window=4), Target()
        group = front.group("HTTP2", "/p", [("127.0.0.1", partial.port), ("127.0.0.1", other.port)])
        tags(front.elb, group, retries="2", push_back="on")
        # So that its window is known.
        assert until_full(front, partial, other, END_HEADERS | END_STREAM, b"", None, "/p") == "status 200"
        for _ in range(3):
            verdict = until_full(front, partial, other, END_HEADERS, b"begun, ", b"and ended", "/p")
            assert verdict == "status 200", verdict
            assert other.bodies[-1] == b"begun, and ended", other.bodies
        large, other = Target(full=True, window=30_000), Target()
        group = front.group("HTTP2", "/l", [("127.0.0.1", large.port), ("127.0.0.1", other.port)])
        tags(front.elb, group, retries="2", push_back="on")
        assert until_full(front, large, other, END_HEADERS | END_STREAM, b"", None, "/l") == "status 200"
        served = len(other.bodies)
        for _ in range(3):
            verdict = until_full(front, large, other, END_HEADERS, b"b" * 20_000, b"r" * 4_000, "/l")
            assert verdict == "status 503", verdict
        assert all(len(body) in (0, 24_000) for body in other.bodies[served:]), [len(body) for body in other.bodies]
        daemon.stop()
    print("pushed back over HTTP/2: sent elsewhere whole, or answered")


if __name__ == "__main__":
    main()
