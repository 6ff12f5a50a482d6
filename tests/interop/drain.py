"""Deregister one of three targets under 500 requests a second, and register it again, 20 times: no request fails.
Then kill -9 a target: only requests in flight on it may fail, none after the first refused connection."""

import asyncio
import os
import time

from daemon import Balancer, Daemon, Sample
from load import Rate

ROUNDS = int(os.environ.get("FOREBAY_DRAIN_ROUNDS", "20"))


async def until(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, f"did not come to hold: {what}"
        await asyncio.sleep(0.02)


async def deregistrations(balancer, samples):
    load = Rate(balancer.nodes, balancer.port, 500)
    running = asyncio.ensure_future(load.run())
    for number in range(ROUNDS):
        sample = samples[number % 3]
        await until(lambda: sum(load.outcomes.values()) > 0, "load flows")
        await asyncio.to_thread(balancer.deregister, sample)
        # The call has returned: not one new request may be picked for it.
        after = (await asyncio.to_thread(sample.counts))["requests"].get("GET", 0)
        await until(lambda: sample.address not in balancer.states(), "the target has drained")
        counts = await asyncio.to_thread(sample.counts)
        assert counts["requests"].get("GET", 0) - after <= 0, "a deregistered target got a new request"
        assert counts["in_flight"] == 0, counts
        await asyncio.to_thread(balancer.register, sample)
        await until(lambda: balancer.states().get(sample.address) == "healthy", "the target is back")
        seen = load.outcomes[sample.name]
        await until(lambda: load.outcomes[sample.name] > seen + 50, "it gets requests again")
    load.stopping = True
    await running
    total = sum(load.outcomes.values())
    print(f"{ROUNDS} deregistrations: {total} requests, {len(load.failures)} failed, {dict(load.outcomes)}")
    assert not load.failures, load.failures[:5]


async def killed(daemon, balancer, samples):
    load = Rate(balancer.nodes, balancer.port, 500)
    running = asyncio.ensure_future(load.run())
    await until(lambda: min(load.outcomes[s.name] for s in samples) > 50, "load flows to all")
    victim = samples[0]
    # 500 a second, 50 ms each, a third of them: about 8 in flight.
    began = time.monotonic()
    await asyncio.to_thread(victim.kill)
    await until(lambda: balancer.states()[victim.address] == "unhealthy", "it is out at once")
    out = time.monotonic()
    await until(lambda: sum(load.outcomes.values()) > 3000, "load goes on")
    load.stopping = True
    await running
    late = [failure for failure in load.failures if failure[0] > began + 0.01]
    print(f"kill -9: out after {out - began:.3f} s, {len(load.failures)} of those in flight failed, {len(late)} later ones")
    assert len(load.failures) <= 30, load.failures
    assert not late, late
    # Back with its first good probe.
    await asyncio.to_thread(victim.start, victim.address)
    await until(lambda: balancer.states()[victim.address] == "healthy", "it is back")


def main():
    with Daemon(pool="127.136.0.0/14") as daemon:
        samples = [Sample(name, delay=50) for name in ("one", "two", "three")]
        try:
            balancer = Balancer(daemon, name="drain", delay=30)
            balancer.register(*samples)
            balancer.wait_healthy(*samples)
            asyncio.run(deregistrations(balancer, samples))
            asyncio.run(killed(daemon, balancer, samples))
        finally:
            for sample in samples:
                sample.kill()
        daemon.stop()
    print("drain: good")


if __name__ == "__main__":
    main()
