"""An application for suites about queues: it counts what it holds."""

import asyncio
import random
import re
import threading
import time

from daemon import free_port


class Target:
    """An application that counts how many requests it holds at once, and in which order they began."""

    order = []

    def __init__(self, seconds, ip="127.0.0.1", spread=0.0):
        self.seconds, self.spread, self.ip, self.port = seconds, spread, ip, free_port(ip)
        self.address = f"{ip}:{self.port}"
        self.held = self.most = self.served = 0
        ready = threading.Event()
        threading.Thread(target=self.run, args=(ready,), daemon=True).start()
        assert ready.wait(10)

    def run(self, ready):
        async def main():
            server = await asyncio.start_server(self.serve, self.ip, self.port, backlog=1024)
            ready.set()
            await server.serve_forever()

        asyncio.run(main())

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                if b"ELB-HealthChecker" not in head:
                    self.held += 1
                    self.most = max(self.most, self.held)
                    Target.order.append((time.monotonic(), path))
                    length = re.search(rb"content-length: (\d+)", head.lower())
                    if length:
                        await reader.readexactly(int(length.group(1)))
                    await asyncio.sleep(self.seconds * random.uniform(1 - self.spread, 1 + self.spread))
                    self.held -= 1
                    self.served += 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
