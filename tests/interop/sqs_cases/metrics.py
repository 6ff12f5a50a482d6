"""What CloudWatch is told of queues: AWS/SQS, a second fresh."""

import datetime
import time

from daemon import bound, wait

NAMES = {"NumberOfMessagesSent": "Sum", "NumberOfMessagesReceived": "Sum", "NumberOfMessagesDeleted": "Sum", "NumberOfEmptyReceives": "Sum",
         "SentMessageSize": "Average", "ApproximateNumberOfMessagesVisible": "Maximum", "ApproximateNumberOfMessagesNotVisible": "Maximum",
         "ApproximateNumberOfMessagesDelayed": "Maximum", "ApproximateAgeOfOldestMessage": "Maximum"}


def read(client, queue, period=60):
    """Each metric's values of the last minutes by its name, the newest first."""
    now = datetime.datetime.now(datetime.timezone.utc)
    queries = [{"Id": name.lower(), "MetricStat": {"Metric": {"Namespace": "AWS/SQS", "MetricName": name, "Dimensions": [{"Name": "QueueName", "Value": queue}]},
                                                   "Period": period, "Stat": stat}} for name, stat in NAMES.items()]
    begin = now.replace(second=0, microsecond=0) - datetime.timedelta(minutes=5)
    told = client.get_metric_data(MetricDataQueries=queries, StartTime=begin, EndTime=now + datetime.timedelta(minutes=1), ScanBy="TimestampDescending")
    by_id = {one["Id"]: one["Values"] for one in told["MetricDataResults"]}
    return {name: by_id[name.lower()] for name in NAMES}


def test_metrics_of_a_queue(place):
    client = place.client("cloudwatch")
    url = place.queue()
    queue = url.rsplit("/", 1)[1]
    place.send(url, "x" * 100, "x" * 200, "x" * 300)
    place.send(url, "x" * 400, DelaySeconds=900)
    [message] = place.receive(url, most=1)
    place.receive(url, most=1)
    place.delete(url, message)
    place.receive(place.queue())
    empty = place.queue()
    place.receive(empty)
    began = time.monotonic()
    wanted = {"NumberOfMessagesSent": 4, "NumberOfMessagesReceived": 2, "NumberOfMessagesDeleted": 1}

    def told():
        found = read(client, queue)
        return {name: sum(found[name]) for name in wanted} == wanted and found

    found = wait(told, lambda: f"{wanted}: {read(client, queue)}", 20)
    bound(time.monotonic() - began, 2, "seconds until metrics are told", slack=5)
    # Averages and sums of one minute; a change of the minute in between would split them.
    assert sum(found["SentMessageSize"]) / len(found["SentMessageSize"]) in (250, *found["SentMessageSize"]), found
    gauges = {"ApproximateNumberOfMessagesVisible": 1, "ApproximateNumberOfMessagesNotVisible": 1, "ApproximateNumberOfMessagesDelayed": 1}

    def gauged():
        found = read(client, queue, 1)
        return {name: found[name][0] for name in gauges if found[name]} == gauges and found["ApproximateAgeOfOldestMessage"] and found

    found = wait(gauged, lambda: f"{gauges}: {read(client, queue, 1)}", 20)
    assert 0 <= found["ApproximateAgeOfOldestMessage"][0] < 60, found
    wait(lambda: sum(read(client, empty.rsplit("/", 1)[1])["NumberOfEmptyReceives"]) == 1, "an empty receive is counted", 20)
    listed = client.list_metrics(Namespace="AWS/SQS", Dimensions=[{"Name": "QueueName", "Value": queue}])["Metrics"]
    assert {metric["MetricName"] for metric in listed} >= set(NAMES) - {"NumberOfEmptyReceives"}, listed
