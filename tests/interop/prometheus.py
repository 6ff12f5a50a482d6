"""Debian's Prometheus scrapes a server and an agent under load, every second: quantiles of queue waits and of latencies are numbers,
each scrape is whole, and promtool has nothing to say about either page. What the server sends it by remote-write is what it scrapes.

`prometheus.py --seconds 60` for a minute (15 s otherwise)."""

import asyncio
import http.client
import json
import math
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import urllib.parse

from daemon import BINARY, Balancer, Daemon, Sample, free_port, wait

SECONDS = int(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 15
# Two targets with a slot each and 20 ms per request serve 100 a second.
RATE = 120
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
QUANTILES = {
    "queue wait": 'histogram_quantile(0.99, sum by (le, target_group) (rate(forebay_queue_wait_seconds_bucket[{window}s])))',
    "latency": 'histogram_quantile(0.99, sum by (le, target_group) (rate(forebay_target_response_seconds_bucket[{window}s])))',
    "latency of a target": 'histogram_quantile(0.5, rate(forebay_target_response_seconds_bucket[{window}s]))',
}


def page(address, accept=None):
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", "/metrics", headers={"Accept": accept} if accept else {})
    answer = connection.getresponse()
    return answer.getheader("content-type"), answer.read()


class Prometheus:
    """`prometheus` in a directory of its own, at a free port."""

    def __init__(self, directory, port, *targets):
        self.address, self.targets = f"127.0.0.1:{port}", set(targets)
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{"job_name": "forebay", "static_configs": [{"targets": list(targets)}]}],
        }
        path = f"{directory}/prometheus.yml"
        with open(path, "w") as file:
            # JSON is YAML.
            json.dump(config, file)
        self.log = open(f"{directory}/prometheus.log", "w+")
        command = ["prometheus", f"--config.file={path}", f"--storage.tsdb.path={directory}/data", f"--web.listen-address={self.address}", "--web.enable-remote-write-receiver"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        wait(self.is_ready, "prometheus is ready", 60)

    def is_ready(self):
        if self.process.poll() is not None:
            self.log.seek(0)
            raise AssertionError(f"prometheus ended: {self.log.read()[-2000:]}")
        try:
            return self.get("/-/ready")[0] == 200
        except OSError:
            return False

    def get(self, path):
        connection = http.client.HTTPConnection(self.address, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def query(self, text):
        """Labels and value of each series."""
        status, body = self.get("/api/v1/query?" + urllib.parse.urlencode({"query": text}))
        answer = json.loads(body)
        assert status == 200 and answer["status"] == "success", answer
        return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


def checked(name, address):
    """promtool reads the page in both formats that it may ask for; its advice counts as a fault."""
    kind, text = page(address)
    assert kind.startswith("text/plain; version=0.0.4"), kind
    ran = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    said = (ran.stdout + ran.stderr).decode()
    assert ran.returncode == 0 and not said, f"{name}: promtool ended with {ran.returncode}: {said}"
    return len(text)


RULES = pathlib.Path(__file__).parent.parent.parent / "examples" / "prometheus-alerts.yml"


def alerts(pages):
    """The rules that come along are good ones, and name only metrics that are there."""
    ran = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    named = set(re.findall(r"\bforebay_[a-z_]+", RULES.read_text()))
    served = {name.decode() for page in pages for name in re.findall(rb"^(forebay_[a-z_]+)", page, re.MULTILINE)}
    # A counter without a value yet is known by its help alone.
    served |= {name.decode() for page in pages for name in re.findall(rb"^# HELP (forebay_[a-z_]+)", page, re.MULTILINE)}
    missing = {name for name in named if name not in served and name.removesuffix("_total") not in served}
    assert not missing, f"{RULES.name} names what no page has: {missing}"
    print(f"{RULES.name}: promtool takes its rules, and their {len(named)} metrics are there")


async def load(balancer, stop):
    """So many requests a second, each on a connection of its own: more than two slots serve."""

    async def one():
        reader, writer = await asyncio.open_connection(balancer.nodes[0], balancer.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer[9:12]

    tasks = []
    while not stop.is_set():
        tasks.append(asyncio.ensure_future(one()))
        await asyncio.sleep(1 / RATE)
    return await asyncio.gather(*tasks)


def judged(prometheus):
    window = max(5, SECONDS - 5)
    for what, text in QUANTILES.items():
        found = prometheus.query(text.format(window=window))
        assert found and all(math.isfinite(value) and value > 0 for _, value in found), f"{what}: {found}"
        values = ", ".join(f"{value * 1000:.3g} ms" for _, value in found)
        print(f"{what}: {values}")
    scraped = prometheus.query(f"sum_over_time(up[{window}s])")
    missed = prometheus.query(f"count_over_time(up[{window}s])")
    instances = [labels["instance"] for labels, _ in scraped]
    assert set(instances) == prometheus.targets and len(instances) == len(prometheus.targets), scraped
    counts = dict((labels["instance"], count) for labels, count in missed)
    assert all(counts[labels["instance"]] == up for labels, up in scraped), f"scrapes failed: {scraped} of {missed}"
    dropped = prometheus.query("sum(forebay_queue_wait_seconds_count) - sum(forebay_queue_wait_seconds_bucket{le='+Inf'})")
    assert [value for _, value in dropped] == [0], dropped
    print(f"{sum(count for _, count in scraped):.0f} scrapes of a server and an agent, none failed")


def series(prometheus, instance):
    """Values by name and labels of what it has of this instance, but for what a scrape adds of its own."""
    found = {}
    for labels, value in prometheus.query(f'{{instance="{instance}"}}'):
        assert labels.pop("job") == "forebay" and labels.pop("instance") == instance
        if labels["__name__"] != "up" and not labels["__name__"].startswith("scrape_"):
            found[tuple(sorted(labels.items()))] = value
    return found


def sent(daemon, prometheus, admin):
    """By remote-write came what was scraped: the same names and labels, and once all is quiet the same counts."""
    own = f"{socket.gethostname()}:{admin.rsplit(':', 1)[1]}"
    quiet = ("forebay_requests_total", "forebay_target_requests_total", "forebay_group_response_seconds_bucket", "forebay_queue_wait_seconds_sum")

    def counts(of):
        return {labels: value for labels, value in of.items() if dict(labels)["__name__"] in quiet}

    def is_same():
        scraped, written = series(prometheus, admin), series(prometheus, own)
        return written if scraped.keys() == written.keys() and counts(scraped) == counts(written) else None

    written = wait(is_same, "what was sent is what was scraped", 30)
    requests = sum(value for labels, value in written.items() if dict(labels)["__name__"] == "forebay_requests_total")
    assert requests == daemon.metric("^forebay_requests_total") > 0
    assert {dict(labels).get("code") for labels in written} >= {"2xx", "5xx"}
    taken, dropped = (daemon.metric(f'^forebay_exported_samples_{name}total.*receiver="remote-write"') for name in ("", "dropped_"))
    assert taken > len(written) and dropped == 0, (taken, dropped)
    print(f"{len(written)} series came by remote-write, with the names, labels and counts that were scraped; {taken:.0f} samples sent, none lost")


async def watched(daemon, balancer, prometheus):
    stop = asyncio.Event()
    running = asyncio.ensure_future(load(balancer, stop))
    await asyncio.to_thread(wait, lambda: daemon.metric("^forebay_queued_total") > 0, "requests wait", 20)
    # So long it looks.
    await asyncio.sleep(SECONDS)
    await asyncio.to_thread(judged, prometheus)
    stop.set()
    answers = await running
    print(f"{answers.count(b'200')} of {len(answers)} requests served, {answers.count(b'503')} refused")
    assert answers.count(b"200") + answers.count(b"503") == len(answers) and answers.count(b"200") > SECONDS * 50


def agent(destination):
    command = [BINARY, "agent", "--data-address", "127.0.0.1:0", "--control-address", "127.0.0.1:0", "--destination-address", destination, "--admin", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    ready = re.match(r"forebay agent ready .* admin=http://(\S+)\n", process.stdout.readline())
    return process, ready.group(1)


def main():
    port = free_port()
    # Nobody listens there yet: it is tried again.
    write = {"remote_write_url": f"http://127.0.0.1:{port}/api/v1/write", "remote_write_interval": 1}
    with Daemon(pool="127.180.0.0/14", **write) as daemon, Sample("one", delay=20) as one, Sample("two", delay=20) as two, tempfile.TemporaryDirectory() as directory:
        balancer = Balancer(daemon, name="watched")
        tags = {"concurrency": "1", "queue-length": "100", "queue-wait": "5"}
        balancer.elb.add_tags(ResourceArns=[balancer.group], Tags=[{"Key": f"forebay:{key}", "Value": value} for key, value in tags.items()])
        balancer.register(one, two)
        balancer.wait_healthy(one, two)
        process, beside = agent(one.address)
        admin = daemon.admin.removeprefix("http://")
        prometheus = Prometheus(directory, port, admin, beside)
        try:
            asyncio.run(watched(daemon, balancer, prometheus))
            sent(daemon, prometheus, admin)
            sizes = [checked("server", admin), checked("agent", beside)]
            kind, text = page(admin, OPEN_METRICS)
            assert kind.startswith(OPEN_METRICS) and text.endswith(b"# EOF\n"), kind
            print(f"promtool has nothing to say about {sizes} bytes")
            alerts([page(admin)[1], page(beside)[1]])
        finally:
            prometheus.stop()
            process.terminate()
            assert process.wait(30) == 0
        daemon.stop()
    print("prometheus: passed")


main()
