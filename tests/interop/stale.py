"""A target that closes idle connections after 1 s behind a balancer that keeps them 60 s; requests 0.9 to 1.1 s apart on
many connections: no GET is answered with 502, and no POST is delivered twice."""

import asyncio
import collections
import os
import random

from daemon import Balancer, Daemon, Sample
from load import Client

REQUESTS = int(os.environ.get("FOREBAY_STALE_REQUESTS", "2000"))
CONNECTIONS = 100


async def client(node, port, method, count, outcomes):
    # Starts anywhere within a second, so that ages at the target differ.
    await asyncio.sleep(random.random())
    connection = Client(node, port)
    for _ in range(count):
        try:
            status, _, _ = await connection.request(method, body=b"x" if method == "POST" else b"")
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            status = repr(error)
        outcomes[method, status] += 1
        await asyncio.sleep(random.uniform(0.9, 1.1))
    await connection.close()


async def run(balancer):
    outcomes = collections.Counter()
    each = REQUESTS // CONNECTIONS
    clients = [
        client(balancer.nodes[index % 3], balancer.port, method, each, outcomes)
        for method in ("GET", "POST")
        for index in range(CONNECTIONS)
    ]
    await asyncio.gather(*clients)
    return outcomes


def main():
    random.seed(os.environ.get("FOREBAY_SEED", "1"))
    with Daemon(pool="127.132.0.0/14") as daemon, Sample("brief", keep_alive=1000) as sample:
        balancer = Balancer(daemon, name="stale")
        balancer.register(sample)
        balancer.wait_healthy(sample)
        before = sample.counts()["requests"]
        outcomes = asyncio.run(run(balancer))
        after = sample.counts()["requests"]
        delivered = after.get("POST", 0) - before.get("POST", 0)
        retries = daemon.metric(r'^forebay_retries_total\{.*cause="Stale"')
        print(f"{dict(outcomes)}; POSTs delivered: {delivered}; stale retries: {retries:.0f}")
        assert outcomes["GET", 200] == REQUESTS, "a GET failed"
        assert delivered <= REQUESTS, "a POST was delivered twice"
        assert delivered >= outcomes["POST", 200], "a POST was answered and not delivered"
        assert outcomes["POST", 200] >= REQUESTS * 0.99, "many POSTs failed"
        daemon.stop()
    print("stale: good")


if __name__ == "__main__":
    main()
