"""Targets for the chaos suite in one process: honest ones that check what they get, and chaotic ones that break rules at
random. Says its ports on one line; says what the honest ones saw when stdin ends."""

import asyncio
import base64
import hashlib
import json
import os
import random
import socket
import struct
import sys

import h2.config
import h2.connection
import h2.events

SEEN = {"honest": 0, "cut": 0, "wrong": [], "websockets": 0, "chaos": {}}
RESET = struct.pack("ii", 1, 0)
EVIL = b"HTTP/1.1 200 OK\r\nX-Id: evil\r\nX-Digest: evil\r\nContent-Length: 4\r\n\r\nevil"


def digest(body):
    return hashlib.sha256(body).hexdigest()[:16]


def body_of(name, size):
    """What a request named so carries: the name again and again."""
    return (name.encode() * (size // len(name) + 1))[:size]


def reset(writer):
    """Closes with a reset instead of an end."""
    open_socket = writer.get_extra_info("socket")
    if open_socket is not None and open_socket.fileno() >= 0:
        open_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


async def read_head(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {}
    for line in head[1:-2]:
        name, value = line.split(":", 1)
        headers[name.lower()] = value.strip()
    return head[0].split(" "), headers


async def read_body(reader, headers):
    if "chunked" in headers.get("transfer-encoding", ""):
        body = b""
        while True:
            size = int((await reader.readuntil(b"\r\n")).strip(), 16)
            data = await reader.readexactly(size + 2)
            if size == 0:
                return body
            body += data[:-2]
    return await reader.readexactly(int(headers.get("content-length", "0")))


def answer(headers, body, chunked):
    """The right answer: names the request, what came with it, and carries what was asked for."""
    name = headers.get("x-id", "-")
    payload = body_of(name, int(headers.get("x-size", "0")))
    head = f"HTTP/1.1 200 OK\r\nX-Id: {name}\r\nX-Digest: {digest(body)}\r\n"
    if chunked:
        parts = [payload[at:at + 3000] for at in range(0, len(payload), 3000)]
        coded = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + coded
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(payload) + payload


def accept_key(headers):
    joined = headers.get("sec-websocket-key", "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(joined.encode()).digest())


async def websocket(reader, writer, headers, chaotic):
    SEEN["websockets"] += 1
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
                 + accept_key(headers) + b"\r\n\r\n")
    while data := await reader.read(65536):
        if chaotic and random.random() < 0.2:
            return reset(writer)
        writer.write(data)
        await writer.drain()


async def honest(reader, writer):
    while True:
        try:
            line, headers = await read_head(reader)
        except asyncio.IncompleteReadError as end:
            if end.partial:
                SEEN["wrong"].append(f"a part of a head: {end.partial[:80]!r}")
            return
        if line[1].startswith("/honest/ws"):
            return await websocket(reader, writer, headers, False)
        try:
            body = await read_body(reader, headers)
        except asyncio.IncompleteReadError:
            SEEN["cut"] += 1
            return
        name = headers.get("x-id")
        if line[1].startswith("/honest"):
            SEEN["honest"] += 1
            if name is None or body != body_of(name, len(body)) or len(body) != int(headers.get("x-sent", "-1")):
                SEEN["wrong"].append(f"{' '.join(line)}: {headers}: {body[:60]!r} ({len(body)} bytes)")
        elif line[1] != "/":
            SEEN["wrong"].append(f"not for us: {line}")
        writer.write(answer(headers, body, "x-chunks" in headers))
        await writer.drain()


async def chaotic(reader, writer):
    """Serves requests on a connection; breaks one rule now and then."""
    while True:
        line, headers = await read_head(reader)
        if line[1] == "/":
            writer.write(answer(headers, await read_body(reader, headers), False))
            continue
        if line[1].startswith("/chaos/ws"):
            return await websocket(reader, writer, headers, True)
        trick = random.choice(TRICKS) if random.random() < 0.5 else None
        SEEN["chaos"][trick.__name__ if trick else "none"] = SEEN["chaos"].get(trick.__name__ if trick else "none", 0) + 1
        if trick in (reset_at_once, answers_early, silent_close):
            return await trick(reader, writer, headers, b"")
        body = await read_body(reader, headers)
        if trick:
            return await trick(reader, writer, headers, body)
        writer.write(answer(headers, body, random.random() < 0.5))
        await writer.drain()


async def reset_at_once(reader, writer, headers, body):
    reset(writer)


async def silent_close(reader, writer, headers, body):
    writer.close()


async def answers_early(reader, writer, headers, body):
    """Before the body was read; then the connection goes."""
    writer.write(answer(headers, b"", False))
    await writer.drain()
    if random.random() < 0.5:
        reset(writer)


async def reset_after_answer(reader, writer, headers, body):
    writer.write(answer(headers, body, False))
    await writer.drain()
    reset(writer)


async def closes_idle(reader, writer, headers, body):
    writer.write(answer(headers, body, False))
    await writer.drain()
    await asyncio.sleep(random.random() * 0.05)


async def truncates(reader, writer, headers, body):
    """A length that is not kept, or chunks that do not end: by an end or by a reset."""
    whole = answer({**headers, "x-size": str(random.choice([10, 5000, 200000]))}, body, random.random() < 0.5)
    writer.write(whole[:random.randrange(1, len(whole))])
    await writer.drain()
    if random.random() < 0.5:
        reset(writer)


async def garbage(reader, writer, headers, body):
    writer.write(random.choice([random.randbytes(200), b"\r\n\r\n\r\n", b"HTTP/1.1 200\x00OK\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n", b"SSH-2.0-x\r\n"]))
    await writer.drain()


async def bad_chunks(reader, writer, headers, body):
    name = headers.get("x-id", "-").encode()
    head = b"HTTP/1.1 200 OK\r\nX-Id: " + name + b"\r\nX-Digest: " + digest(body).encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head + random.choice([b"zz\r\n", b"fffffffffffffffff\r\nx", b"5\r\nhelloXX0\r\n\r\n", b"-1\r\n", b"5\nhello\n0\n\n"]))
    await writer.drain()


async def two_framings(reader, writer, headers, body):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nhello")
    await writer.drain()


async def one_answer_too_many(reader, writer, headers, body):
    """Poison for whoever gets this connection next."""
    writer.write(answer({**headers, "x-size": "20"}, body, random.random() < 0.5) + EVIL)
    await writer.drain()
    await asyncio.sleep(0.2)


async def interim(reader, writer, headers, body):
    writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + answer(headers, body, True))
    await writer.drain()


async def endless_head(reader, writer, headers, body):
    writer.write(b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"a" * 40000 + b"\r\n")
    await writer.drain()


TRICKS = [reset_at_once, silent_close, answers_early, reset_after_answer, closes_idle, truncates, truncates, garbage, bad_chunks,
          two_framings, one_answer_too_many, one_answer_too_many, interim, endless_head]


async def http2(reader, writer):
    """Answers over HTTP/2 in clear; resets streams, says GOAWAY, cuts and spoils connections now and then."""
    wire = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    wire.initiate_connection()
    writer.write(wire.data_to_send())
    heads, bodies = {}, {}
    while data := await reader.read(65536):
        for event in wire.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                heads[event.stream_id] = {name.decode(): value.decode() for name, value in event.headers}
                bodies[event.stream_id] = b""
            elif isinstance(event, h2.events.DataReceived):
                bodies[event.stream_id] += event.data
                wire.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                headers, body = heads.pop(event.stream_id), bodies.pop(event.stream_id)
                luck = random.random() if headers[":path"] != "/" else 1
                if luck < 0.04:
                    return reset(writer)
                if luck < 0.06:
                    writer.write(random.randbytes(100))
                    return
                if luck < 0.16:
                    wire.reset_stream(event.stream_id, random.choice([1, 2, 7, 8]))
                    continue
                name = headers.get("x-id", "-")
                wire.send_headers(event.stream_id, [(":status", "200"), ("x-id", name), ("x-digest", digest(body))])
                payload = body_of(name, min(int(headers.get("x-size", "0")), 8000))
                if luck < 0.22:
                    wire.send_data(event.stream_id, payload[:len(payload) // 2])
                    wire.reset_stream(event.stream_id, 2)
                    continue
                wire.send_data(event.stream_id, payload, end_stream=True)
                if luck < 0.24:
                    wire.close_connection()
        writer.write(wire.data_to_send())
        await writer.drain()


def guarded(serve):
    async def run(reader, writer):
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, h2.exceptions.ProtocolError):
            pass
        except Exception as error:  # noqa: BLE001: what a target can't read, a balancer should not have sent
            SEEN["wrong"].append(f"{serve.__name__}: {error!r}")
        finally:
            writer.close()
    return run


async def main():
    ports = {}
    for name, serve, count in (("honest", honest, 2), ("chaotic", chaotic, 3), ("http2", http2, 1)):
        servers = [await asyncio.start_server(guarded(serve), "127.0.0.1", 0, limit=1 << 20) for _ in range(count)]
        ports[name] = [server.sockets[0].getsockname()[1] for server in servers]
    print(json.dumps(ports), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps(SEEN), flush=True)
    # Without saying goodbye to each connection.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
