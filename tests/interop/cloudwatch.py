"""What the balancer sees, read by boto3 from CloudWatch's API: counts of a run equal the clients' own, a second is readable soon after
it is over, an alarm with 10 s periods follows it, and `kill -9` costs no more than ten seconds."""

import concurrent.futures
import gzip
import http.client
import random
import shlex
import statistics
import time

from cloudwatch_reads import dimensions, now, read
from daemon import Balancer, Daemon, Sample, bound, wait

REQUESTS = 400


def send(balancer, count, path="/"):
    """GETs over one connection; returns how long each took, by its status."""
    took = {}
    connection = http.client.HTTPConnection(balancer.nodes[0], balancer.port, timeout=30)
    for _ in range(count):
        began = time.perf_counter()
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        took.setdefault(response.status, []).append(time.perf_counter() - began)
    connection.close()
    return took


def counts(client, balancer):
    of = dimensions(balancer)
    good = send(balancer, REQUESTS)
    bad = send(balancer, 20, "/?status=500")
    wanted = {
        "RequestCount": REQUESTS + 20,
        "HTTPCode_Target_2XX_Count": len(good[200]),
        "HTTPCode_Target_5XX_Count": sum(len(took) for status, took in bad.items() if status >= 500),
    }
    assert set(good) == {200}, good.keys()
    told = time.monotonic()
    # A request counts when it comes, its answer when it goes: they may be of two seconds.
    found = lambda: {name: sum(read(client, name, of)) for name in wanted}
    wait(lambda: found() == wanted, lambda: f"the requests are counted: {found()} of {wanted}", 10)
    bound(time.monotonic() - told, 3, "seconds until a second is readable", slack=3)
    print(f"{wanted}: as the client counted, {time.monotonic() - told:.1f} s after the last answer")
    [average] = read(client, "TargetResponseTime", of, "Average")[:1]
    [median] = read(client, "TargetResponseTime", of, "p50")[:1]
    # The target takes 20 ms, and the balancer sees less of it than the client does.
    client_median = statistics.median(took for status in good.values() for took in status)
    assert 0.015 < median <= client_median * 1.02 and 0.01 < average <= client_median * 1.5, (average, median, client_median)
    print(f"TargetResponseTime p50 {median * 1000:.1f} ms, the client's {client_median * 1000:.1f} ms")


def logged(daemon, bucket):
    """The access log's lines so far, each as its fields."""
    lines = []
    for path in sorted((daemon.directory / "logs" / bucket).rglob("*.log.gz")):
        with gzip.open(path, "rt", encoding="ascii", newline="\n") as file:
            try:
                lines += [shlex.split(line) for line in file]
            except EOFError:
                # Its last member is being written.
                pass
    return lines


def against_the_log(daemon, client):
    """Percentiles and bytes of a run with times of 0.1 to 0.9 s, beside those of the access log's own fields."""
    with Sample("slow") as slow:
        balancer = Balancer(daemon, name="logged")
        attributes = {"access_logs.s3.enabled": "true", "access_logs.s3.bucket": "percentiles"}
        balancer.elb.modify_load_balancer_attributes(
            LoadBalancerArn=balancer.arn, Attributes=[{"Key": key, "Value": value} for key, value in attributes.items()]
        )
        balancer.register(slow)
        balancer.wait_healthy(slow)
        chance = random.Random(20)
        paths = [f"/?delay={chance.randint(100, 900)}" for _ in range(200)]
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            taken = list(pool.map(lambda path: send(balancer, 1, path), paths))
        assert all(list(took) == [200] for took in taken)
        lines = wait(lambda: (lambda lines: len(lines) >= len(paths) and lines)(logged(daemon, "percentiles")), "all lines are in the log", 30)
        of = dimensions(balancer)
        wait(lambda: sum(read(client, "RequestCount", of)) == len(paths), "the requests are counted", 10)
        # Fields 7, 11 and 12 of ALB's access log: target_processing_time, received_bytes, sent_bytes.
        times = sorted(float(line[6]) for line in lines)
        wanted = sum(int(line[10]) + int(line[11]) for line in lines)
        found = sum(read(client, "ProcessedBytes", of))
        assert found == wanted, f"ProcessedBytes: {found}, the log has {wanted}"
        for percent in (50, 90, 99):
            # All minutes as one period, for a percentile of minutes is none of the whole.
            [percentile] = read(client, "TargetResponseTime", of, f"p{percent}", period=1200, since=1140)
            rank = percent / 100 * (len(times) - 1)
            low, high = times[int(rank)], times[min(int(rank) + 1, len(times) - 1)]
            # The log has milliseconds.
            assert low * 0.99 - 0.001 <= percentile <= high * 1.01 + 0.001, f"p{percent}: {percentile}, the log has {low} to {high}"
            print(f"TargetResponseTime p{percent} {percentile:.4f} s, by the log {low:.3f} to {high:.3f}")
        print(f"ProcessedBytes {found:.0f}, as the log's sums")


def alarm(client, balancer):
    client.put_metric_alarm(
        AlarmName="requests", Namespace="AWS/ApplicationELB", MetricName="RequestCount", Dimensions=dimensions(balancer), Statistic="Sum",
        Period=10, EvaluationPeriods=1, Threshold=5, ComparisonOperator="GreaterThanThreshold", TreatMissingData="notBreaching",
    )

    def state():
        return client.describe_alarms(AlarmNames=["requests"])["MetricAlarms"][0]["StateValue"]

    wait(lambda: state() == "OK", "the alarm is OK while nobody asks", 60)
    began = time.monotonic()
    while state() != "ALARM":
        send(balancer, 5)
        assert time.monotonic() - began < 60, "no alarm within a minute"
    to_alarm = time.monotonic() - began
    began = time.monotonic()
    wait(lambda: state() == "OK", "the alarm is over", 90)
    print(f"an alarm with 10 s periods: ALARM after {to_alarm:.0f} s of requests, OK {time.monotonic() - began:.0f} s after the last")
    history = client.describe_alarm_history(AlarmName="requests", HistoryItemType="StateUpdate")["AlarmHistoryItems"]
    assert len(history) >= 3, history


def killed(daemon, balancer):
    """What was put more than ten seconds ago outlives the process."""
    client = daemon.client("cloudwatch")
    client.put_metric_data(Namespace="Interop", MetricData=[{"MetricName": "kept", "Value": 7}])
    # For as long as is promised.
    time.sleep(10)
    before = sum(read(client, "RequestCount", dimensions(balancer)))
    daemon.kill()
    daemon.start()
    client = daemon.client("cloudwatch")
    after = sum(read(client, "RequestCount", dimensions(balancer)))
    [kept] = client.list_metrics(Namespace="Interop")["Metrics"]
    assert (after, kept["MetricName"]) == (before, "kept"), (before, after, kept)
    print(f"killed: {after:.0f} requests before and after")


def main():
    with Daemon(pool="127.152.0.0/14") as daemon, Sample("one", delay=20) as one:
        balancer = Balancer(daemon, name="counted")
        balancer.register(one)
        balancer.wait_healthy(one)
        client = daemon.client("cloudwatch")
        counts(client, balancer)
        against_the_log(daemon, client)
        alarm(client, balancer)
        killed(daemon, balancer)
        daemon.stop()
    print("cloudwatch: passed")


main()
