"""aiohttp."""

import asyncio
import os

from aiohttp import web, web_protocol
from wsgi import note

handle_error = web_protocol.RequestHandler.handle_error


def bad(self, request, status=500, exc=None, message=None):
    # A connection that was cut within a body says nothing about another request.
    if not isinstance(exc, ConnectionResetError):
        note(peer(request), "BAD", f"{request.raw_path} {exc!r}")
    return handle_error(self, request, status, exc, message)


def peer(request):
    name = request.transport and request.transport.get_extra_info("peername")
    return name[1] if name else 0


async def answer(request):
    port = peer(request)
    try:
        if not request.raw_path.endswith("?early"):
            await request.read()
    finally:
        note(port, request.method, request.raw_path)
    return web.Response(text=request.raw_path, headers={"X-Seen": request.raw_path})


async def main():
    web_protocol.RequestHandler.handle_error = bad
    runner = web.ServerRunner(web.Server(answer, keepalive_timeout=75))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["ORIGIN_PORT"])).start()
    await asyncio.Event().wait()


asyncio.run(main())
