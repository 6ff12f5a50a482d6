"""HTTP/1.1 load on asyncio: kept connections, a fixed rate, and what came of each request."""

import asyncio
import collections
import time


class Client:
    """One kept connection; opens another when the balancer closed it between requests."""

    def __init__(self, ip, port):
        self.ip, self.port = ip, port
        self.reader = self.writer = None

    async def request(self, method="GET", path="/", body=b"", timeout=30):
        """Returns status, headers and body; raises when there is no whole answer."""
        if self.writer is None or self.reader.at_eof():
            await self.close()
            self.reader, self.writer = await asyncio.open_connection(self.ip, self.port)
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.ip}:{self.port}\r\n"
        if body or method == "POST":
            head += f"Content-Length: {len(body)}\r\n"
        try:
            self.writer.write(head.encode() + b"\r\n" + body)
            return await asyncio.wait_for(self.answer(), timeout)
        except BaseException:
            await self.close()
            raise

    async def answer(self):
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            await self.close()
        return int(lines[0].split()[1]), headers, body

    async def close(self):
        if self.writer is not None:
            self.writer.close()
            self.writer = self.reader = None


class Rate:
    """Requests at a fixed rate over a pool of connections, until stopped."""

    def __init__(self, nodes, port, rate, path="/"):
        self.nodes, self.port, self.rate, self.path = nodes, port, rate, path
        self.idle, self.outcomes, self.failures = [], collections.Counter(), []
        self.stopping, self.tasks, self.turn = False, set(), 0

    async def one(self):
        if self.idle:
            client = self.idle.pop()
        else:
            client = Client(self.nodes[self.turn % len(self.nodes)], self.port)
            self.turn += 1
        began = time.monotonic()
        try:
            status, headers, _ = await client.request(path=self.path)
            if status == 200:
                self.outcomes[headers.get("x-target", "?")] += 1
                self.idle.append(client)
                return
            self.failures.append((began, status))
        except Exception as error:  # noqa: BLE001: whatever it was, the request failed
            self.failures.append((began, repr(error)))
        await client.close()

    async def run(self):
        began, sent = time.monotonic(), 0
        while not self.stopping:
            due = int((time.monotonic() - began) * self.rate)
            for _ in range(sent, due):
                task = asyncio.ensure_future(self.one())
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            sent = due
            await asyncio.sleep(0.002)
        await asyncio.gather(*self.tasks)
        for client in self.idle:
            await client.close()
