"""A flood of metrics of users' own: `datapoints.py [VALUES SERIES]` (1,000,000 values over 100,000 metrics if not said) are put, all in
one minute. Memory and disk hold what is promised, a metric too many is refused with a clear error and the others go on,
and `kill -9` costs what came in the last ten seconds at most."""

import datetime
import sys
import time

import botocore.exceptions

from daemon import Daemon

A_CALL = 1000
# 256 MiB for the points, and what a Forebay takes without them, with room for answers and allocation.
MEMORY_KIB = (256 + 192) * 1024
DISK_BYTES = 4 << 30


def put(client, values, series, at):
    """As many values of each metric, in calls of a thousand metrics."""
    each = values // series
    for first in range(0, series, A_CALL):
        data = [
            {"MetricName": f"m{number % 100}", "Dimensions": [{"Name": "Id", "Value": str(number // 100)}], "Timestamp": at,
             "Values": [float(value) for value in range(1, each + 1)]}
            for number in range(first, min(first + A_CALL, series))
        ]
        client.put_metric_data(Namespace="Flood", MetricData=data)


def disk(daemon):
    return sum(path.stat().st_size for path in (daemon.directory / "datapoints").rglob("*") if path.is_file())


def main():
    values, series = map(int, sys.argv[1:]) if len(sys.argv) == 3 else (1_000_000, 100_000)
    with Daemon(pool="127.160.0.0/14") as daemon:
        client = daemon.client("cloudwatch")
        at = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        began = time.monotonic()
        put(client, values, series, at)
        took = time.monotonic() - began
        # A call takes at most 500 queries: these stand for all.
        sample = [{"Id": f"q{number}", "MetricStat": {
            "Metric": {"Namespace": "Flood", "MetricName": f"m{number % 100}", "Dimensions": [{"Name": "Id", "Value": str(number // 100)}]},
            "Period": 60, "Stat": "Sum"}} for number in range(0, series, series // 400)]
        each = values // series

        def read(client):
            begin = at - datetime.timedelta(minutes=5)
            results = client.get_metric_data(
                MetricDataQueries=sample, StartTime=begin, EndTime=at + datetime.timedelta(minutes=5))["MetricDataResults"]
            return [sum(result["Values"]) for result in results]

        wanted = [each * (each + 1) / 2] * len(sample)
        assert read(client) == wanted
        assert daemon.metric("^forebay_datapoint_series") >= series
        memory = daemon.memory_kib()
        assert memory <= MEMORY_KIB, memory
        points = daemon.metric("^forebay_datapoint_memory_bytes")
        assert points <= 256 << 20, points
        print(f"{values} values over {series} metrics in {took:.1f} s: {memory / 1024:.0f} MiB resident, {points / 2**20:.0f} MiB of points")
        time.sleep(10)
        daemon.kill()
        on_disk = disk(daemon)
        assert on_disk <= DISK_BYTES, on_disk
        began = time.monotonic()
        daemon.start()
        client = daemon.client("cloudwatch")
        assert read(client) == wanted
        print(f"killed, {on_disk / 2**20:.1f} MiB on disk, there again after {time.monotonic() - began:.1f} s, with all that was put ten seconds before")
        # Metrics beyond 200,000 are refused, and those that are there go on. Their points may go for want of memory, the oldest first.
        refused = None
        for turn in range(110):
            try:
                client.put_metric_data(Namespace="Flood", MetricData=[
                    {"MetricName": "more", "Dimensions": [{"Name": "Id", "Value": f"{turn}-{number}"}], "Value": 1} for number in range(A_CALL)])
            except botocore.exceptions.ClientError as error:
                refused = error.response["Error"]
                break
        assert refused and "there is no room for another" in refused["Message"], refused
        client.put_metric_data(Namespace="Flood", MetricData=[
            {"MetricName": "m0", "Dimensions": [{"Name": "Id", "Value": "0"}], "Timestamp": at, "Value": 0}])
        assert daemon.metric("^forebay_datapoint_memory_bytes") <= 256 << 20
        memory = daemon.memory_kib()
        assert memory <= MEMORY_KIB, memory
        print(f"past 200,000 metrics: {refused['Message']!r}; {memory / 1024:.0f} MiB resident")
        daemon.stop()
    print("datapoints: passed")


main()
