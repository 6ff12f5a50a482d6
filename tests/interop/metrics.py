"""`forebay metrics`: real traffic is listed, plotted and exported, and exported sums equal what boto3's GetMetricData says."""

import csv
import datetime
import io
import json
import subprocess
import tempfile

from cloudwatch_reads import dimensions, read
from daemon import BINARY, Balancer, Daemon, Sample, get, wait

REQUESTS = 50


def metrics(daemon, *flags):
    command = [BINARY, "metrics", "--data-dir", str(daemon.directory), "--api", daemon.api, *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def good(daemon, *flags):
    done = metrics(daemon, *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout


def listed(daemon, of):
    table = good(daemon, "list", "--namespace", "AWS/ApplicationELB", "--name", "RequestCount").splitlines()
    assert table[0].split() == ["NAMESPACE", "METRIC", "DIMENSIONS"], table
    assert any(line.endswith(f"LoadBalancer={of}") for line in table[1:]), table
    found = json.loads(good(daemon, "list", "--name", "RequestCount", "--dimension", f"LoadBalancer={of}", "--json"))
    assert {"Namespace": "AWS/ApplicationELB", "MetricName": "RequestCount", "Dimensions": [{"Name": "LoadBalancer", "Value": of}]} in found, found


def plotted(daemon, of):
    of = ("--dimension", f"LoadBalancer={of}")
    page = good(daemon, "plot", "RequestCount", *of, "--period", "60", "--since", "10m")
    assert "periods without a datapoint" in page and any(0x2800 < ord(letter) < 0x2900 for letter in page), page
    assert all(len(line) <= 80 for line in page.splitlines()), page
    page = good(daemon, "plot", "HTTPCode_Target_2XX_Count", "RequestCount", *of, "--period", "60", "--expression", "m1/m2")
    assert "max 1 " in page, page


def exported(daemon, client, balancer):
    of = dimensions(balancer)
    flags = ("export", "--namespace", "AWS/ApplicationELB", "--name", "RequestCount", "--stat", "Sum", "--since", "15m")
    flags += ("--dimension", f"LoadBalancer={of[0]['Value']}")
    rows = list(csv.DictReader(io.StringIO(good(daemon, *flags), newline="")))
    own = [row for row in rows if row["dimensions"] == f"LoadBalancer={of[0]['Value']}"]
    assert sum(float(row["value"]) for row in own) == sum(read(client, "RequestCount", of)) == REQUESTS, rows
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/out.json"
        assert good(daemon, *flags, "--format", "json", "--output", path) == ""
        with open(path, encoding="utf-8") as file:
            series = [one for one in json.load(file) if one["Dimensions"] == of]
    assert sum(value for one in series for _, value in one["Points"]) == REQUESTS, series
    for at, _ in series[0]["Points"]:
        datetime.datetime.fromisoformat(at)


if __name__ == "__main__":
    with Daemon(pool="127.84.0.0/14") as daemon, Sample("a") as a:
        balancer = Balancer(daemon)
        balancer.register(a)
        balancer.wait_healthy(a)
        client, of = daemon.client("cloudwatch"), dimensions(balancer)
        for _ in range(REQUESTS):
            assert get(balancer.nodes[0], balancer.port, "/")[0] == 200
        wait(lambda: sum(read(client, "RequestCount", of)) == REQUESTS, "the requests are counted", 10)
        listed(daemon, of[0]["Value"])
        plotted(daemon, of[0]["Value"])
        exported(daemon, client, balancer)
        for flags in (["list", "--name", "Absent"], ["plot", "Absent"], ["export", "--name", "Absent"]):
            absent = metrics(daemon, *flags)
            assert absent.returncode == 1 and "there is no" in absent.stderr, absent
        assert "NAME=VALUE" in metrics(daemon, "list", "--dimension", "x").stderr
        daemon.stop()
        gone = metrics(daemon, "list")
        assert gone.returncode == 1 and "is `forebay up` running" in gone.stderr, gone
    print("metrics: listed, plotted, exported")
