"""The agent judged by grpcio as its node and by plain clients: work ids are required and used once, permits move between nodes
in time, what goes on is as it came, and nothing ends what is under way."""

import concurrent.futures
import json
import pathlib
import queue
import select
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import types

import grpc

from agent_end import PROBE, REFUSED, WORK_ID, Agent, Application, Node, field
from frames import NAME
from daemon import BINARY, bound, free_port, get, wait
from http2_wire import ACK, PING, Wire, frame


def work(agent, node, path="/", headers=None, id=None):
    """One request with a permit: status, headers in lower case, body."""
    headers = {**(headers or {}), WORK_ID: id or node.take()}
    status, head, body = get("127.0.0.1", agent.port, path, headers)
    return status, {name.lower(): value for name, value in head.items()}, body


def ids(agent, application):
    """Required, used once, known to this agent only; probes need none and hold no slot."""
    status, head, body = get("127.0.0.1", agent.port)
    assert (status, body) == (400, b"missing x-amzn-target-control-work-id"), (status, body)
    assert head["X-Forebay-Work-Refused"] == "missing" and "Server" not in head, head
    for wrong in ["0" * 32, "x", "", "0" * 33]:
        status, head, body = get("127.0.0.1", agent.port, headers={WORK_ID: wrong})
        assert (status, body) == (403, b"Unexpected value for x-amzn-target-control-work-id"), (wrong, status, body)
        assert head["X-Forebay-Work-Refused"] == "unknown"
    assert application.served == 0
    assert get("127.0.0.1", agent.port, headers=PROBE)[0] == 200
    with Node(agent) as node:
        id = node.take()
        assert node.limit == 1 and node.incarnation
        status, head, body = work(agent, node, id=id)
        assert status == 200 and REFUSED not in head and head["server"] == "app", head
        status, head, _ = work(agent, node, id=id)
        assert (status, head[REFUSED]) == (403, "unknown")
        # The slot came back as another permit, with nobody waiting.
        assert work(agent, node)[0] == 200
        # Two ids, one of them good.
        raw = f"GET / HTTP/1.1\r\nHost: a\r\n{WORK_ID}: {node.take()}\r\n{WORK_ID}: {'0' * 32}\r\nConnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", agent.port), timeout=10) as client:
            client.sendall(raw.encode())
            assert b" 403 " in client.makefile("rb").readline()
    wait(lambda: agent.metric("permits") == 0, "permits of a node that left are void")


def transparent(agent, application):
    """What the application sees is what its node sent, less the id."""
    lines = {
        "Host": "some.Host:99", "X-Forwarded-For": ", ".join(f"10.0.0.{at}" for at in range(31)), "X-Forwarded-Proto": "https",
        "X-Forwarded-Port": "8443", "X-Amzn-Trace-Id": "Root=1-2-3", "traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
        "User-Agent": "mine", "X-Other": "a b"}
    with Node(agent) as node:
        status, _, body = work(agent, node, "/a%20b?c=d", lines)
    assert status == 200
    saw = json.loads(body)
    assert saw[0] == "GET /a%20b?c=d HTTP/1.1"
    got = dict(line.split(": ", 1) for line in saw[1:])
    got.pop("Accept-Encoding")
    assert got == lines, got
    # A node's own lines come on top of as much as it lets in.
    long = {f"X-Long-{at}": "x" * 14_000 for at in range(5)}
    with Node(agent) as node:
        status, _, body = work(agent, node, headers=long)
    assert status == 200, status
    assert sum(len(line) for line in json.loads(body)) > 65536


def several_nodes(agent, application):
    """Never more than the limit, and a permit moves to who waits: at once from a live node, within 50 ms from a silent one."""
    with Node(agent) as first, Node(agent) as second:
        wait(lambda: first.ids or second.ids, "a permit is granted")
        holder, other = (first, second) if first.ids else (second, first)
        began = time.monotonic()
        other.demand(1)
        wait(lambda: other.ids, "the permit moves")
        moved = time.monotonic() - began
        bound(moved, 0.05, "seconds until the permit moved")
        assert work(agent, other)[0] == 200
        # It comes back to the one that used it last, and that one falls silent.
        wait(lambda: other.ids, "the permit comes back")
        other.live = False
        stale = other.ids[0].hex()
        began = time.monotonic()
        holder.demand(1)
        wait(lambda: holder.ids, "the permit is revoked")
        took = time.monotonic() - began
        assert took > 0.015, took
        bound(took, 0.05, "seconds until the silent node's permit moved")
        status, head, _ = work(agent, other, id=stale)
        assert (status, head[REFUSED]) == (403, "unknown")
        assert agent.metric("permits_revoked_total") >= 1
        # Ids are their session's own.
        first_id = holder.ids[0]
        other.give_back([first_id])
        other.give_back([])
        assert work(agent, holder)[0] == 200
    return moved, took


def handshake(agent):
    for options, expected, words in [
        ({"version": 2}, grpc.StatusCode.FAILED_PRECONDITION, "the agent speaks version 1"),
        ({"hello": False}, grpc.StatusCode.INVALID_ARGUMENT, "begins with Hello"),
    ]:
        with Node(agent, **options) as node:
            if not options.get("hello", True):
                node.demand(1)
            wait(lambda: node.ended, "the call is refused")
            assert node.ended[0] == expected and words in node.ended[1], node.ended
    with Node(agent) as node:
        wait(lambda: node.incarnation, "welcome")
        node.say(3, field(1, b"short"))
        wait(lambda: node.ended, "a broken id ends the call")
        assert node.ended[0] == grpc.StatusCode.INVALID_ARGUMENT, node.ended
    with Node(agent) as node:
        unknown = node.channel.unary_unary("/forebay.targetcontrol.v1.TargetControl/Other")
        try:
            unknown(b"")
            raise AssertionError("a method that is not there answered")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
    # Whoever speaks in clear, or not at all, ends up nowhere and disturbs nobody.
    for junk in [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 100, b""]:
        with socket.create_connection(("127.0.0.1", agent.control), timeout=10) as client:
            client.sendall(junk)


def uncalled(agent):
    """A connection without a call does not keep its place, though it answers every PING."""
    with Wire(types.SimpleNamespace(ip="127.0.0.1", port=agent.control)) as wire:
        began, pings = time.monotonic(), 0
        while (found := wire.read()) is not None:
            kind, flags, _, payload = found
            if kind == PING and not flags & ACK:
                pings += 1
                wire.send(frame(PING, ACK, 0, payload))
        took = time.monotonic() - began
    assert took > 4.9 and pings > 5, (took, pings)
    bound(took, 11, "seconds until a connection without a call is closed")


def limits(agent, application):
    """Changed by POST and by signals; 0 drains."""
    with Node(agent) as node:
        wait(lambda: node.limit == 1, "the limit is told")
        assert agent.ask("POST", "/limit", "3") == (200, "3\n")
        wait(lambda: node.limit == 3 and len(node.ids) == 3, "two more")
        agent.signal(signal.SIGUSR1)
        wait(lambda: node.limit == 4 and len(node.ids) == 4, "one more")
        agent.signal(signal.SIGUSR2)
        wait(lambda: node.limit == 3 and agent.metric("permits") == 3, "one less")
        assert agent.ask("POST", "/limit", "0")[0] == 200
        wait(lambda: agent.metric("permits") == 0, "all come back")
        for wrong in ["1001", "-1", "x", ""]:
            assert agent.ask("POST", "/limit", wrong)[0] == 400, wrong
        assert agent.ask("POST", "/limit", "1")[0] == 200
        node.demand(1)
        assert work(agent, node)[0] == 200


def departed(agent, application):
    """A client that leaves does not free the slot before the application is done."""
    with Node(agent) as node:
        id = node.take()
        with socket.create_connection(("127.0.0.1", agent.port), timeout=10) as client:
            client.sendall(f"GET /held HTTP/1.1\r\nHost: a\r\n{WORK_ID}: {id}\r\n\r\n".encode())
            wait(lambda: application.now == 1, "the application is at work")
        node.demand(1)
        # A wait, for nothing to happen: twelve times what a revocation takes.
        time.sleep(0.3)
        assert not node.ids and agent.metric("in_flight") == 1
        application.release.set()
        wait(lambda: node.ids, "the slot is free")
        application.release.clear()
        assert work(agent, node)[0] == 200
    assert application.most == 1


def impostors(agent, application):
    """50 requests at once that call themselves health checks: all 50 passed a limit of 1. A few do now, and what is more than a
    question needs a permit."""
    said = "".join(f"{name}: {value}\r\n" for name, value in PROBE.items())
    application.release.clear()
    clients = [socket.create_connection(("127.0.0.1", agent.port), timeout=10) for _ in range(50)]
    try:
        for client in clients:
            client.sendall(f"GET /held HTTP/1.1\r\nHost: a\r\n{said}\r\n".encode())
        wait(lambda: len(select.select(clients, [], [], 0)[0]) == 46, "46 are answered while four are at the application")
        refused = select.select(clients, [], [], 0)[0]
        application.release.set()
        for client in clients:
            assert client.recv(12) == (b"HTTP/1.1 400" if client in refused else b"HTTP/1.1 200")
    finally:
        application.release.clear()
        for client in clients:
            client.close()
    for method, more, body in [("POST", "Content-Length: 1\r\n", "x"), ("GET", "Content-Length: 1\r\n", "x"), ("DELETE", "", "")]:
        with socket.create_connection(("127.0.0.1", agent.port), timeout=10) as client:
            client.sendall(f"{method} / HTTP/1.1\r\nHost: a\r\n{said}{more}\r\n{body}".encode())
            assert b" 400 " in client.makefile("rb").readline(), method
    # Their places come back.
    wait(lambda: get("127.0.0.1", agent.port, headers=PROBE)[0] == 200, "a health check passes")


def down(agent):
    """The application does not run: a page that says so, and the slot is free again."""
    with Node(agent) as node:
        for _ in range(3):
            status, head, body = work(agent, node)
            assert status == 502 and b"502 Bad Gateway" in body and REFUSED not in head
            node.demand(1)
    assert agent.metric("application_failures_total") >= 3


def secured(agent):
    """TLS on the same port; the policy decides the versions."""
    context = ssl.create_default_context(cadata=agent.pem.decode())
    with Node(agent) as node:
        raw = socket.create_connection(("127.0.0.1", agent.port), timeout=10)
        with context.wrap_socket(raw, server_hostname=NAME) as client:
            client.sendall(f"GET / HTTP/1.1\r\nHost: a\r\n{WORK_ID}: {node.take()}\r\nConnection: close\r\n\r\n".encode())
            assert b" 200 " in client.makefile("rb").readline()
            return client.version()


class Echo(grpc.GenericRpcHandler):
    """Turns messages round; `Both` does so for each of a stream."""

    def __init__(self):
        self.saw = []

    def service(self, call):
        self.saw.append(dict(call.invocation_metadata))
        if call.method.endswith("/Both"):
            return grpc.stream_stream_rpc_method_handler(lambda messages, _: (message[::-1] for message in messages))

        def turn(message, context):
            # What an agent says, an application may not.
            context.send_initial_metadata([(REFUSED, "unknown"), ("x-own", "1")])
            return message[::-1]

        return grpc.unary_unary_rpc_method_handler(turn)


def streams(directory):
    """gRPC through the agent, in clear and over TLS on one port: a stream holds its slot to its end."""
    echo = Echo()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), handlers=(echo,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with Agent(f"127.0.0.1:{port}", directory, PROTOCOL_VERSION="GRPC") as agent, Node(agent) as node:
        local = [("grpc.use_local_subchannel_pool", 1)]
        secure = grpc.ssl_channel_credentials(agent.pem), [("grpc.ssl_target_name_override", NAME), *local]
        address = f"127.0.0.1:{agent.port}"
        for channel in [grpc.insecure_channel(address, local), grpc.secure_channel(address, *secure)]:
            with channel:
                unary, both = channel.unary_unary("/test.Echo/Unary"), channel.stream_stream("/test.Echo/Both")
                for metadata in [[], [(WORK_ID, "0" * 32)]]:
                    try:
                        unary(b"abc", metadata=metadata, timeout=10)
                        raise AssertionError("a call without a permit went through")
                    except grpc.RpcError:
                        pass
                answer, call = unary.with_call(b"abc", metadata=[(WORK_ID, node.take())], timeout=10)
                said = dict(call.initial_metadata())
                assert answer == b"cba" and said["x-own"] == "1" and REFUSED not in said, said
                assert WORK_ID not in echo.saw[-1]
                said = queue.Queue()
                answers = both(iter(said.get, None), metadata=[(WORK_ID, node.take())], timeout=30)
                for message in [b"ab", b"cd"]:
                    said.put(message)
                    assert next(answers) == message[::-1]
                assert agent.metric("in_flight") == 1 and not node.ids
                said.put(None)
                assert list(answers) == []
                wait(lambda: node.ids, "the slot is free")
        assert len(echo.saw) == 4, echo.saw
    server.stop(0)


def one_by_one(agent):
    """With HTTP1 there is no HTTP/2, not by prior knowledge either; and a preface in pieces is waited for."""
    with socket.create_connection(("127.0.0.1", agent.port), timeout=10) as client:
        client.sendall(b"PRI * HTT")
        time.sleep(0.05)
        client.sendall(b"P/2.0\r\n\r\nSM\r\n\r\n")
        assert b" 505 " in client.makefile("rb").readline()
    with socket.create_connection(("127.0.0.1", agent.port), timeout=10) as client:
        client.sendall(b"P")
        time.sleep(0.05)
        client.sendall(b"UT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert b" 400 " in client.makefile("rb").readline()


def leaves(application, directory):
    """SIGTERM: no more grants, what is in flight finishes, 0."""
    application.release.clear()
    with Agent(application.address, directory, limit=2) as agent, Node(agent) as node:
        id = node.take()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(work, agent, node, "/held", None, id)
            wait(lambda: application.now == 1, "the application is at work")
            agent.process.terminate()
            wait(lambda: node.limit == 0, "the limit is 0")
            application.release.set()
            assert under_way.result(20)[0] == 200
        assert agent.process.wait(20) == 0
    application.release.clear()
    with Agent(application.address, directory) as agent, Node(agent) as node:
        id = node.take()
        with socket.create_connection(("127.0.0.1", agent.port), timeout=10) as client:
            client.sendall(f"GET /held HTTP/1.1\r\nHost: a\r\n{WORK_ID}: {id}\r\n\r\n".encode())
            wait(lambda: application.now == 1, "the application is at work")
            agent.process.terminate()
            wait(lambda: node.limit == 0, "it drains")
            agent.process.terminate()
            assert agent.process.wait(10) == 1
    application.release.set()
    wait(lambda: application.now == 0, "the application is done")


def thousand(directory):
    """1,000 requests at once, and what the agent costs idle."""
    application = Application()
    with Agent(application.address, directory, limit=1000) as agent, Node(agent) as node:
        idle = agent.memory_kib(), agent.memory_kib("RssAnon")
        wait(lambda: len(node.ids) == 1000, "1,000 permits", 20)
        clients = []
        try:
            for _ in range(1000):
                client = socket.create_connection(("127.0.0.1", agent.port), timeout=30)
                client.sendall(f"GET /held HTTP/1.1\r\nHost: a\r\n{WORK_ID}: {node.take()}\r\n\r\n".encode())
                clients.append(client)
            wait(lambda: application.now == 1000, "1,000 are at work", 30)
            busy = agent.memory_kib()
            application.release.set()
            for client in clients:
                assert client.recv(12) == b"HTTP/1.1 200"
        finally:
            for client in clients:
                client.close()
    application.close()
    return idle, busy


def refusals(directory):
    """Command lines that can't be served say why."""
    data, control = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    whole = ["--data-address", data, "--control-address", control]
    for arguments, words in [
        ([], "--data-address"),
        (whole, "where is the application?"),
        ([*whole, "--destination", data], "round in circles"),
        ([*whole, "--destination", "127.0.0.1:1", "--max-concurrency", "1001"], "1001"),
        ([*whole, "--destination", "127.0.0.1:1", "--tls-security-policy", "none"], "not a security policy"),
        ([*whole, "--destination", "127.0.0.1:1", "--tls-cert-path", "/none", "--tls-key-path", "/none"], "cannot read the certificate"),
        ([*whole, "--destination", "nowhere"], "not a destination"),
    ]:
        ended = subprocess.run([BINARY, "agent", *arguments], capture_output=True, text=True, timeout=20, env={})
        assert ended.returncode != 0 and words in ended.stderr, (arguments, ended.stderr)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for name, other in [("--data-address", "--control-address"), ("--control-address", "--data-address")]:
            arguments = [name, f"127.0.0.1:{port}", other, "127.0.0.1:0", "--destination", "127.0.0.1:1"]
            ended = subprocess.run([BINARY, "agent", *arguments], capture_output=True, text=True, timeout=20, env={})
            assert ended.returncode == 1 and f"cannot listen on 127.0.0.1:{port}" in ended.stderr, ended.stderr


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="forebay-agent-"))
    try:
        refusals(directory)
        application = Application()
        with Agent(application.address, directory, name="DESTINATION") as agent:
            ids(agent, application)
            transparent(agent, application)
            moved, revoked = several_nodes(agent, application)
            handshake(agent)
            limits(agent, application)
            departed(agent, application)
            impostors(agent, application)
            spoken = secured(agent)
            one_by_one(agent)
            assert application.most == 1, "the limit holds"
            assert agent.stop() == 0
        leaves(application, directory)
        streams(directory)
        with Agent(application.address, directory) as agent:
            uncalled(agent)
        application.close()
        with Agent(f"127.0.0.1:{free_port()}", directory) as agent:
            down(agent)
        idle, busy = thousand(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(
        f"agent: a permit moved in {moved * 1000:.1f} ms, was revoked in {revoked * 1000:.1f} ms; {spoken}; "
        f"memory {idle[0]} KiB idle ({idle[1]} anonymous), {busy} KiB with 1,000 requests")


if __name__ == "__main__":
    main()
