"""A warm handler in Python behind a load balancer: 500 requests a second, and as many as there may be."""

import concurrent.futures
import multiprocessing
import statistics
import time

from daemon import bound
from functions_cases.place import Connection, Place, archive

HELLO = """
import time
def handler(event, context):
    wait = event["queryStringParameters"].get("wait")
    if wait:
        time.sleep(float(wait))
    return {"statusCode": 200, "headers": {"Content-Type": "text/plain"}, "body": "hello"}
"""
RATE, SECONDS, PROCESSES, CONNECTIONS = 500, 10, 2, 4


def paced(ip, port, rate, seconds, begin, offset):
    """Requests on one kept connection at a rate, or one after another if there is none. Seconds of each, from when it was due."""
    connection = Connection(ip, port)
    request = b"GET /hello HTTP/1.1\r\nHost: a.test\r\n\r\n"
    took, sent = [], 0
    time.sleep(max(0, begin + offset - time.monotonic()))
    while True:
        now = time.monotonic()
        due = begin + offset + sent / rate if rate else now
        if due >= begin + seconds:
            break
        if due > now:
            time.sleep(due - now)
        status, _, body = connection.exchange(request)
        assert status == "HTTP/1.1 200 OK" and body == b"hello", (status, body)
        took.append(time.monotonic() - due)
        sent += 1
    connection.close()
    return took


def process(ip, port, rate, seconds, begin, number):
    """One process of the load, with a thread for each of its connections."""
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        step = 1 / rate / CONNECTIONS / PROCESSES if rate else 0
        ran = [pool.submit(paced, ip, port, rate, seconds, begin, step * (number + place * PROCESSES)) for place in range(CONNECTIONS)]
        return [one for run in ran for one in run.result()]


def load(ip, port, rate, seconds, processes):
    """Requests a second, and the 99th percentile of their times."""
    begin = time.monotonic() + 0.1
    each = rate and rate / PROCESSES / CONNECTIONS
    ran = processes.starmap(process, [(ip, port, each, seconds, begin, number) for number in range(PROCESSES)])
    took = sorted(one for run in ran for one in run)
    return len(took) / (time.monotonic() - begin), took[int(len(took) * 0.99)]


def speed(place: Place):
    place.make("hello", archive(app_py=HELLO))
    group = place.group("hello")
    place.permit("hello", group)
    balancer, ip = place.balancer("speed")
    _, port = place.listener(balancer, group)
    # As many environments as there are connections, so none starts meanwhile.
    with concurrent.futures.ThreadPoolExecutor(PROCESSES * CONNECTIONS) as pool:
        request = b"GET /?wait=1 HTTP/1.1\r\nHost: a.test\r\n\r\n"
        assert all(answer[2] == b"hello" for answer in pool.map(lambda _: Connection(ip, port).exchange(request), range(PROCESSES * CONNECTIONS)))
    at_rate, at_most = [], []
    # Forked, they would have the daemon's pipes and the threads' locks.
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as processes:
        processes.starmap(load_nothing, [()] * PROCESSES)
        for _ in range(3):
            at_rate.append(load(ip, port, RATE, SECONDS, processes))
            at_most.append(load(ip, port, None, 2, processes))
    rate, p99 = (statistics.median(column) for column in zip(*at_rate))
    most, busy = (statistics.median(column) for column in zip(*at_most))
    told = f"at {RATE}/s {rate:.0f}/s with p99 {p99 * 1000:.1f} ms (each: " + ", ".join(f"{one[1] * 1000:.1f}" for one in at_rate) + " ms); "
    told += f"at most {most:.0f}/s with p99 {busy * 1000:.1f} ms"
    print("   ", told, flush=True)
    starts = place.logs("hello").count("Init Duration")
    assert starts <= PROCESSES * CONNECTIONS * 2, f"{starts} environments were started"
    bound(RATE * 0.98 / rate, 1, "seconds for a second's requests", 4)
    bound(p99, 0.050, f"p99 at {RATE} requests a second")
    place.elb.delete_load_balancer(LoadBalancerArn=balancer)
    place.delete("hello")


def load_nothing():
    """Has a process be there."""
