"""Signals under load: SIGHUP costs no request, and SIGTERM tells clients that keep their connections to close before it closes them,
those too whose target is slow."""

import asyncio
import signal
import sys
import time

from daemon import Balancer, Daemon, Sample, wait
from load import Client, Rate

RATE = 300
HANGUPS = 20


async def hangups(daemon, balancer):
    """Logs are finished, sockets opened anew and credentials read again, 20 times under 300 requests a second."""
    load = Rate(balancer.nodes, balancer.port, RATE)
    running = asyncio.ensure_future(load.run())
    for turn in range(HANGUPS):
        seen = sum(load.outcomes.values())
        while sum(load.outcomes.values()) < seen + RATE / 4:
            await asyncio.sleep(0.01)
        daemon.process.send_signal(signal.SIGHUP)
        told = lambda: daemon.stderr().count("opened anew") >= turn + 1
        await asyncio.to_thread(wait, told, "the signal is answered", 10)
    # What other daemons die of, too. SIGUSR2 starts a successor: takeover.py sends it.
    daemon.process.send_signal(signal.SIGUSR1)
    seen = sum(load.outcomes.values())
    while sum(load.outcomes.values()) < seen + RATE:
        await asyncio.sleep(0.01)
    load.stopping = True
    await running
    total = sum(load.outcomes.values())
    print(f"SIGHUP: {HANGUPS} under {RATE} requests a second: {len(load.failures)} of {total + len(load.failures)} failed")
    assert not load.failures, load.failures[:5]


async def keeper(ip, port, path):
    """Asks again and again on one connection: how many answers came, whether the last one said close, and how it ended."""
    client = Client(ip, port)
    client.reader, client.writer = await asyncio.open_connection(ip, port)
    answers = 0
    while True:
        client.writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        status, headers, _ = await client.answer()
        assert status == 200, status
        answers += 1
        if headers.get("connection") == "close":
            # The client closes, as it was told; `answer` did that.
            return answers, "told"
        # Asks ten times a second.
        await asyncio.sleep(0.1)


async def terminated(daemon, balancer):
    """Eight clients with kept connections, half of them at a target that takes two seconds for each answer."""
    paths = ["/", "/?delay=2000"]
    requests = lambda: daemon.metric("^forebay_requests_total")
    earlier = requests()
    clients = [
        asyncio.ensure_future(keeper(balancer.nodes[number % 3], balancer.port, paths[number % 2])) for number in range(8)
    ]
    await asyncio.to_thread(wait, lambda: requests() >= earlier + 40, "all have asked", 20)
    began = time.monotonic()
    daemon.process.terminate()
    ended = await asyncio.wait_for(asyncio.gather(*clients, return_exceptions=True), 30)
    resets = [end for end in ended if isinstance(end, BaseException)]
    told = sum(end[1] == "told" for end in ended if not isinstance(end, BaseException))
    code = await asyncio.to_thread(daemon.process.wait, 30)
    print(f"SIGTERM: {told} of 8 kept connections were told to close first, {len(resets)} resets; ended with {code} after {time.monotonic() - began:.1f} s")
    assert told == 8 and code == 0, ended


def main():
    with Daemon(pool="127.144.0.0/14") as daemon, Sample("one") as one, Sample("two") as two:
        balancer = Balancer(daemon, name="signals")
        balancer.register(one, two)
        balancer.wait_healthy(one, two)
        asyncio.run(hangups(daemon, balancer))
        asyncio.run(terminated(daemon, balancer))
        daemon.stop()
    print("signals: passed")


sys.exit(main())
