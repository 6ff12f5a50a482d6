"""What the balancer sees, read by boto3 from CloudWatch's API: counts of a run equal the clients' own, a second is readable soon after
it is over, an alarm with 10 s periods follows it, and `kill -9` costs no more than ten seconds."""

import datetime
import http.client
import statistics
import time

from daemon import Balancer, Daemon, Sample, bound, wait

REQUESTS = 400
UTC = datetime.timezone.utc


def now():
    return datetime.datetime.now(UTC)


def dimensions(balancer):
    load_balancer = balancer.arn.split("loadbalancer/")[1]
    return [{"Name": "LoadBalancer", "Value": load_balancer}]


def read(client, name, dimensions, stat="Sum", since=600, period=60):
    """The values of the last ten minutes together, or the newest of them."""
    begin = now().replace(second=0, microsecond=0) - datetime.timedelta(seconds=since)
    metric = {"Namespace": "AWS/ApplicationELB", "MetricName": name, "Dimensions": dimensions}
    query = {"Id": "m", "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}
    [result] = client.get_metric_data(MetricDataQueries=[query], StartTime=begin, EndTime=now() + datetime.timedelta(minutes=1))["MetricDataResults"]
    return result["Values"]


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
    wait(lambda: sum(read(client, "RequestCount", of)) == wanted["RequestCount"], "the requests are counted", 10)
    bound(time.monotonic() - told, 3, "seconds until a second is readable", slack=3)
    found = {name: sum(read(client, name, of)) for name in wanted}
    assert found == wanted, (found, wanted)
    print(f"{wanted}: as the client counted, {time.monotonic() - told:.1f} s after the last answer")
    [average] = read(client, "TargetResponseTime", of, "Average")[:1]
    [median] = read(client, "TargetResponseTime", of, "p50")[:1]
    # The target takes 20 ms, and the balancer sees less of it than the client does.
    client_median = statistics.median(took for status in good.values() for took in status)
    assert 0.015 < median <= client_median * 1.02 and 0.01 < average <= client_median * 1.5, (average, median, client_median)
    print(f"TargetResponseTime p50 {median * 1000:.1f} ms, the client's {client_median * 1000:.1f} ms")


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
        alarm(client, balancer)
        killed(daemon, balancer)
        daemon.stop()
    print("cloudwatch: passed")


main()
