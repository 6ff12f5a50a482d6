"""Clients of the chaos suite: all know what the right answer is, and some break rules while they ask."""

import asyncio
import base64
import collections
import itertools
import os
import random
import ssl

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from chaos_targets import body_of, digest, reset

# What may come of a request that the chaos had a hand in. No other status is ever right.
STATUSES = {"200", "400", "408", "413", "502", "503", "504"}


class Broken(Exception):
    """There was no whole answer."""


class Clients:
    def __init__(self, ip, clear, secure):
        self.ip, self.clear, self.secure = ip, clear, secure
        self.numbers, self.contexts = itertools.count(), {}
        self.counts, self.faults = collections.Counter(), []
        self.stopping = False

    def name(self):
        return f"id-{next(self.numbers)}"

    def context(self, *protocols):
        if protocols not in self.contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if protocols:
                context.set_alpn_protocols(protocols)
            self.contexts[protocols] = context
        return self.contexts[protocols]

    async def open(self, *protocols, secure=None):
        if secure is None:
            secure = bool(protocols) or random.random() < 0.4
        if secure:
            return await asyncio.open_connection(self.ip, self.secure, ssl=self.context(*protocols), server_hostname="a.test")
        return await asyncio.open_connection(self.ip, self.clear)

    def fault(self, what):
        if len(self.faults) < 20:
            self.faults.append(what)

    # --- HTTP/1.1

    def ask(self, where, name):
        """A request's head and body, the body's plain bytes, and the size of what it wants."""
        size = random.choice([0, 0, 10, 3000, 60000])
        wants = random.choice([0, 10, 4000, 150000])
        body = body_of(name, size)
        head = (f"{'POST' if size else 'GET'} /{where}/{name} HTTP/1.1\r\nHost: chaos.test\r\nX-Id: {name}\r\nX-Sent: {size}\r\n"
                f"X-Size: {wants}\r\n")
        if random.random() < 0.3:
            head += "X-Chunks: 1\r\n"
        if size and random.random() < 0.5:
            cut = random.randrange(1, size)
            coded = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part) + b"0\r\n\r\n"
            return (head + "Transfer-Encoding: chunked\r\n\r\n").encode(), coded, body, wants
        if size:
            head += f"Content-Length: {size}\r\n"
        return (head + "\r\n").encode(), body, body, wants

    async def answer(self, reader):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = head[0].split(" ")[1]
            headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
            if status.startswith("1"):
                return await self.answer(reader)
            if "transfer-encoding" in headers:
                body = b""
                while True:
                    size = int((await reader.readuntil(b"\r\n")).strip(), 16)
                    data = await reader.readexactly(size + 2)
                    if not size:
                        break
                    body += data[:-2]
            else:
                body = await reader.readexactly(int(headers.get("content-length", "0")))
            return status, headers, body
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, OSError) as error:
            raise Broken(repr(error)) from error

    def judge(self, where, name, sent, wants, status, headers, body):
        """An answer that came whole must be this request's own."""
        self.counts[f"{where} {status}"] += 1
        if status not in STATUSES:
            self.fault(f"/{where} answered {status}: {headers}")
        if status != "200":
            if where == "honest":
                self.fault(f"honest {name} answered {status}: {headers}")
            return
        if headers.get("x-id") != name:
            self.fault(f"{where} {name} got the answer of {headers.get('x-id')}")
        if where == "honest" and (headers.get("x-digest") != digest(sent) or body != body_of(name, wants)):
            self.fault(f"honest {name}: {headers}, {len(body)} bytes of {wants}")

    async def http1(self):
        """Well-behaved: requests one after the other, some of them in a row before the first answer."""
        reader, writer = await self.open()
        try:
            for row in range(random.randrange(1, 12)):
                asked = []
                for _ in range(random.choice([1, 1, 1, 3])):
                    where, name = random.choice(["honest", "chaos"]), self.name()
                    head, coded, body, wants = self.ask(where, name)
                    writer.write(head + coded)
                    asked.append((where, name, body, wants))
                for number, (where, name, body, wants) in enumerate(asked):
                    try:
                        status, headers, got = await asyncio.wait_for(self.answer(reader), 30)
                    except Broken as error:
                        # Only the chaos may cut an answer, and only its own: those before it in a row are whole.
                        if where == "honest":
                            self.fault(f"honest {name}: {error}; number {number} of {len(asked)}, row {row}")
                        self.counts[f"{where} cut"] += 1
                        return
                    self.judge(where, name, body, wants, status, headers, got)
                    if headers.get("connection") == "close":
                        return
        finally:
            writer.close()

    async def rude(self):
        """Breaks off somewhere: in the head, in the body, or while the answer comes; by an end, half an end or a reset."""
        reader, writer = await self.open()
        where, name = random.choice(["honest", "chaos"]), self.name()
        head, coded, _, _ = self.ask(where, name)
        whole = head + coded
        self.counts["rude"] += 1
        writer.write(whole[:random.randrange(1, len(whole) + 1)])
        await asyncio.sleep(random.choice([0, 0, 0.01]))
        way = random.randrange(4)
        if way == 0:
            reset(writer)
        elif way == 1 and writer.can_write_eof():
            writer.write_eof()
            with_answer = await asyncio.wait_for(reader.read(1 << 20), 30)
            if with_answer.startswith(b"HTTP/1.1 200") and f"x-id: {name}\r\n".encode() not in with_answer.lower():
                self.fault(f"{name} got another's answer: {with_answer[:200]!r}")
        elif way == 2:
            await asyncio.wait_for(reader.read(1000), 30)
            reset(writer)
        writer.close()

    async def nonsense(self):
        """What no server can take; it must cost nobody anything."""
        reader, writer = await self.open()
        self.counts["nonsense"] += 1
        start = f"POST /honest/x HTTP/1.1\r\nHost: a\r\nX-Id: {self.name()}\r\n".encode()
        writer.write(random.choice([
            random.randbytes(300), b"\r\n" * 50, b"GET / HTTP/3.0\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            start + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", start + b"Transfer-Encoding: xchunked\r\n\r\n",
            start + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx", start + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            start + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n" + b"x" * 70000, b"A" * 100000]))
        await asyncio.wait_for(reader.read(1000), 30)
        writer.close()

    # --- WebSockets

    async def websocket(self):
        where = random.choice(["honest", "chaos"])
        reader, writer = await self.open()
        key = base64.b64encode(os.urandom(16))
        writer.write(f"GET /{where}/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ".encode() + key + b"\r\n\r\n")
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            if not head.startswith(b"HTTP/1.1 101 "):
                if where == "honest":
                    self.fault(f"honest WebSocket: {head[:100]!r}")
                return
            for _ in range(random.randrange(1, 20)):
                piece = body_of(self.name(), random.choice([1, 100, 20000]))
                writer.write(piece)
                if random.random() < 0.03:
                    return reset(writer)
                if await asyncio.wait_for(reader.readexactly(len(piece)), 30) != piece:
                    self.fault(f"{where} WebSocket gave other bytes")
            self.counts[f"{where} websocket"] += 1
            if random.random() < 0.3 and writer.can_write_eof():
                writer.write_eof()
                await asyncio.wait_for(reader.read(), 30)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, OSError) as error:
            if where == "honest" and not isinstance(error, TimeoutError):
                self.fault(f"honest WebSocket: {error!r}")
            self.counts[f"{where} websocket cut"] += 1
        finally:
            writer.close()

    # --- HTTP/2

    async def http2(self):
        """A connection of several streams; some are reset, and some connections are cut or spoilt."""
        reader, writer = await self.open("h2")
        wire = h2.connection.H2Connection(h2.config.H2Configuration())
        wire.initiate_connection()
        wire.increment_flow_control_window(1 << 24)
        asked, got, heads = {}, {}, {}
        rude = random.random() < 0.3
        try:
            for _ in range(random.randrange(1, 16)):
                where, name = random.choice(["honest", "chaos", "h2"]), self.name()
                body, wants = body_of(name, random.choice([0, 10, 3000])), random.choice([0, 10, 4000])
                stream = wire.get_next_available_stream_id()
                wire.send_headers(stream, [
                    (":method", "POST" if body else "GET"), (":scheme", "https"), (":authority", "chaos.test"),
                    (":path", f"/{where}/{name}"), ("x-id", name), ("x-sent", str(len(body))), ("x-size", str(wants))],
                    end_stream=not body)
                if body and rude and random.random() < 0.5:
                    wire.send_data(stream, body[:len(body) // 2])
                    wire.reset_stream(stream, 8)
                    continue
                if body:
                    wire.send_data(stream, body, end_stream=True)
                if rude and random.random() < 0.3:
                    wire.reset_stream(stream, 8)
                    continue
                asked[stream], got[stream] = (where, name, body, wants), b""
            writer.write(wire.data_to_send())
            if rude and random.random() < 0.4:
                self.counts["h2 rude"] += 1
                if random.random() < 0.5:
                    writer.write(random.randbytes(50))
                    await asyncio.wait_for(reader.read(100), 30)
                return reset(writer)
            while asked:
                data = await asyncio.wait_for(reader.read(65536), 30)
                if not data:
                    raise Broken("the connection ended")
                self.events(wire, wire.receive_data(data), asked, got, heads)
                writer.write(wire.data_to_send())
        except (Broken, ConnectionError, ssl.SSLError, OSError, h2.exceptions.ProtocolError) as error:
            if asked:
                self.fault(f"HTTP/2 to {sorted(asked.values())[0][:2]}: {error!r}")
        finally:
            writer.close()

    def events(self, wire, events, asked, got, heads):
        for event in events:
            stream = getattr(event, "stream_id", None)
            if isinstance(event, h2.events.ResponseReceived):
                heads[stream] = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h2.events.DataReceived):
                if stream in got:
                    got[stream] += event.data
                wire.acknowledge_received_data(event.flow_controlled_length, stream)
            elif isinstance(event, h2.events.StreamEnded) and stream in asked:
                where, name, body, wants = asked.pop(stream)
                self.judge(where, name, body, wants, heads[stream][":status"], heads[stream], got[stream])
            elif isinstance(event, h2.events.StreamReset) and stream in asked:
                where, name, *_ = asked.pop(stream)
                self.counts[f"{where} reset"] += 1
                if where == "honest":
                    self.fault(f"honest {name} over HTTP/2 was reset: {event.error_code}")

    # --- all together

    async def one(self):
        """One client after the other until told to stop."""
        kinds = [self.http1] * 6 + [self.rude] * 4 + [self.nonsense, self.websocket, self.http2, self.http2]
        while not self.stopping:
            kind = random.choice(kinds)
            try:
                await kind()
            except TimeoutError:
                self.fault(f"{kind.__name__}: no answer and no end within 30 s")
            except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, OSError) as error:
                self.counts[f"{kind.__name__} {type(error).__name__}"] += 1
                if kind == self.http1 and not isinstance(error, ConnectionError):
                    self.fault(f"http1: {error!r}")

    async def run(self, seconds, count=128):
        tasks = [asyncio.create_task(self.one()) for _ in range(count)]
        await asyncio.sleep(seconds)
        self.stopping = True
        await asyncio.wait_for(asyncio.gather(*tasks), 60)
