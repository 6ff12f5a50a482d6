"""CloudWatch: metrics in and out, and an alarm's life; the same calls in each of its protocols, answered alike."""

import datetime
import gzip
import json
import urllib.error
import urllib.parse
import urllib.request

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from boto3_cases.shop import refused
from daemon import REGION, read_keys, wait

NAMESPACE = "Interop"
PROTOCOLS = ("json", "query", "smithy-rpc-v2-cbor")


def minute(ago):
    """The beginning of a minute, so many minutes ago."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0)
    return now - datetime.timedelta(minutes=ago)


def put(client, name, values, **more):
    """Values of the last minutes that are over, the oldest first."""
    data = [
        {"MetricName": name, "Timestamp": minute(len(values) - place), "Value": value, "Unit": "Count", **more}
        for place, value in enumerate(values)
    ]
    client.put_metric_data(Namespace=NAMESPACE, MetricData=data)


def test_metrics_come_back(shop):
    client, name = shop.daemon.client("cloudwatch"), shop.name()
    host = [{"Name": "Host", "Value": "a"}]
    put(client, name, [1.0, 5.0, 3.0], Dimensions=host)
    listed = client.get_paginator("list_metrics").paginate(Namespace=NAMESPACE, MetricName=name)
    metrics = [metric for page in listed for metric in page["Metrics"]]
    assert metrics == [{"Namespace": NAMESPACE, "MetricName": name, "Dimensions": host}], metrics
    window = {"StartTime": minute(3), "EndTime": minute(0)}
    answer = client.get_metric_statistics(
        Namespace=NAMESPACE, MetricName=name, Dimensions=host, Period=60, Statistics=["Sum", "Maximum"], **window
    )
    sums = [point["Sum"] for point in sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])]
    assert (answer["Label"], sums) == (name, [1.0, 5.0, 3.0]), answer
    metric = {"Namespace": NAMESPACE, "MetricName": name, "Dimensions": host}
    queries = [
        {"Id": "m1", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}, "ReturnData": False},
        {"Id": "e1", "Expression": "m1 * 2 + SUM(m1)", "Label": "twice"},
    ]
    [result] = client.get_metric_data(MetricDataQueries=queries, **window)["MetricDataResults"]
    assert (result["Label"], result["Values"], result["StatusCode"]) == ("twice", [15.0, 19.0, 11.0], "Complete"), result


def test_a_graph_is_a_png(shop):
    client, name = shop.daemon.client("cloudwatch"), shop.name()
    put(client, name, [1.0, 5.0, 3.0])
    widget = {"width": 300, "height": 200, "start": "-PT10M", "period": 60, "stat": "Sum", "metrics": [[NAMESPACE, name]]}
    image = client.get_metric_widget_image(MetricWidget=json.dumps(widget))["MetricWidgetImage"]
    # A PNG begins with its signature and the header chunk: its length, its name, width and height.
    assert image[:16] == b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" and image[16:24] == b"\0\0\x01\x2c\0\0\0\xc8", image[:24]
    widget["width"] = 2001
    refused("ValidationError", "/width", client.get_metric_widget_image, MetricWidget=json.dumps(widget))


def test_many_metrics_are_sent_compressed(shop):
    """boto3 compresses what is larger than ten kilobytes."""
    client, name = shop.daemon.client("cloudwatch"), shop.name()
    data = [{"MetricName": name, "Dimensions": [{"Name": "Number", "Value": str(number)}], "Value": number} for number in range(500)]
    sent = []
    client.meta.events.register("before-send.cloudwatch", lambda request, **_: sent.append(request.headers.get("Content-Encoding")))
    client.put_metric_data(Namespace=NAMESPACE, MetricData=data)
    assert sent in ([b"gzip"], ["gzip"]), sent
    listed = client.get_paginator("list_metrics").paginate(Namespace=NAMESPACE, MetricName=name)
    assert sum(len(page["Metrics"]) for page in listed) == 500


def test_what_is_no_datapoint_is_refused(shop):
    client = shop.daemon.client("cloudwatch")
    now = minute(0)
    for datum, code, text in (
        ({"Value": 1.0, "Values": [1.0]}, "InvalidParameterValue", "mutually exclusive"),
        ({"Values": [1.0], "Counts": [1.0, 2.0]}, "InvalidParameterValue", "of the same size"),
        ({"Value": 1.0, "Timestamp": now - datetime.timedelta(days=15)}, "InvalidParameterValue", "past two weeks"),
        ({"Value": 1.0, "Timestamp": now + datetime.timedelta(hours=3)}, "InvalidParameterValue", "two hours in the future"),
        ({}, "MissingParameter", "MetricData.member.1.Value"),
    ):
        refused(code, text, client.put_metric_data, Namespace=NAMESPACE, MetricData=[{"MetricName": "m", **datum}])


def test_alarm_life(shop):
    client, name = shop.daemon.client("cloudwatch"), shop.name()
    alarm = {
        "AlarmName": name,
        "Namespace": NAMESPACE,
        "MetricName": name,
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    client.put_metric_alarm(**alarm, Tags=[{"Key": "team", "Value": "blue"}])

    def described():
        [found] = client.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return found

    assert described()["StateValue"] == "INSUFFICIENT_DATA"
    assert {member: described()[member] for member in alarm} == alarm
    tags = client.list_tags_for_resource(ResourceARN=described()["AlarmArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "blue"}], tags
    [of_metric] = client.describe_alarms_for_metric(Namespace=NAMESPACE, MetricName=name)["MetricAlarms"]
    assert of_metric["AlarmName"] == name
    client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a try")
    assert (described()["StateValue"], described()["StateReason"]) == ("ALARM", "a try")
    client.disable_alarm_actions(AlarmNames=[name])
    assert described()["ActionsEnabled"] is False
    client.put_composite_alarm(AlarmName=f"{name}-all", AlarmRule=f'ALARM("{name}")')
    [composite] = client.describe_alarms(AlarmNames=[f"{name}-all"], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
    assert composite["AlarmRule"] == f'ALARM("{name}")'
    kinds = [item["HistoryItemType"] for item in client.describe_alarm_history(AlarmName=name)["AlarmHistoryItems"]]
    assert kinds[:1] == ["ConfigurationUpdate"] and "StateUpdate" in kinds, kinds
    client.delete_alarms(AlarmNames=[f"{name}-all"])
    client.delete_alarms(AlarmNames=[name])
    assert client.describe_alarms(AlarmNames=[name])["MetricAlarms"] == []


def test_alarm_follows_its_metric(shop):
    """Within a minute and what an evaluation waits for datapoints."""
    client, name = shop.daemon.client("cloudwatch"), shop.name()
    put(client, name, [9.0, 9.0])
    client.put_metric_alarm(
        AlarmName=name,
        Namespace=NAMESPACE,
        MetricName=name,
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=5.0,
        ComparisonOperator="GreaterThanThreshold",
    )

    def state():
        [found] = client.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return found["StateValue"]

    wait(lambda: state() == "ALARM", "the alarm to see its metric", seconds=100)
    client.delete_alarms(AlarmNames=[name])


def test_dashboards(shop):
    client, name = shop.daemon.client("cloudwatch"), shop.name()
    body = json.dumps({"widgets": [{"type": "text", "x": 0, "y": 0, "width": 6, "height": 6, "properties": {"markdown": "hello"}}]})
    assert client.put_dashboard(DashboardName=name, DashboardBody=body)["DashboardValidationMessages"] == []
    assert client.get_dashboard(DashboardName=name)["DashboardBody"] == body
    [entry] = client.list_dashboards(DashboardNamePrefix=name)["DashboardEntries"]
    assert entry["Size"] == len(body), entry
    refused("InvalidParameterInput", "valid JSON", client.put_dashboard, DashboardName=name, DashboardBody="{")
    client.delete_dashboards(DashboardNames=[name])
    assert client.list_dashboards(DashboardNamePrefix=name)["DashboardEntries"] == []


def raw(shop, protocol, operation, arguments, compressed=False):
    """The call as botocore writes it in one of the protocols, and its answer as botocore reads it."""
    described = shop.daemon.client("cloudwatch")._service_model._service_description
    metadata = {**described["metadata"], "protocol": protocol, "protocols": [protocol]}
    model = ServiceModel({**described, "metadata": metadata}, "cloudwatch").operation_model(operation)
    written = create_serializer(protocol, include_validation=False).serialize_to_request(arguments, model)
    headers, body = dict(written["headers"]), written["body"]
    if isinstance(body, dict):
        body = urllib.parse.urlencode(body)
    body = body.encode() if isinstance(body, str) else body
    if compressed:
        headers["Content-Encoding"], body = "gzip", gzip.compress(body)
    headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    request = AWSRequest("POST", shop.daemon.api + written["url_path"], headers=headers, data=body)
    key = read_keys(shop.daemon.directory / "credentials", "default")
    SigV4Auth(Credentials(*key), "monitoring", REGION).add_auth(request)
    prepared = request.prepare()
    sent = urllib.request.Request(prepared.url, data=prepared.body, headers=dict(prepared.headers.items()), method="POST")
    try:
        with urllib.request.urlopen(sent, timeout=30) as answer:
            status, found, text = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        status, found, text = error.code, error.headers, error.read()
    found = {name.lower(): value for name, value in found.items()}
    parsed = create_parser(protocol).parse({"status_code": status, "headers": found, "body": text}, model.output_shape)
    parsed.pop("ResponseMetadata")
    if "Error" in parsed:
        return status, parsed["Error"]["Code"], parsed["Error"]["Message"]
    return status, parsed


def test_protocols_answer_alike(shop):
    name = shop.name()
    metric = {"Namespace": NAMESPACE, "MetricName": name, "Dimensions": [{"Name": "Host", "Value": "a"}]}
    window = {"StartTime": minute(2), "EndTime": minute(0)}
    for protocol in PROTOCOLS:
        datum = {"MetricName": name, "Dimensions": metric["Dimensions"], "Timestamp": minute(1), "Value": 1.5}
        for compressed in (False, True):
            answer = raw(shop, protocol, "PutMetricData", {"Namespace": NAMESPACE, "MetricData": [datum]}, compressed)
            assert answer == (200, {}), (protocol, compressed, answer)
    query = {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
    alarm = {
        "AlarmName": name,
        "Metrics": [query],
        "EvaluationPeriods": 1,
        "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "AlarmActions": ["arn:aws:sns:local-1:000000000000:topic"],
    }
    assert raw(shop, "query", "PutMetricAlarm", alarm) == (200, {})
    for operation, arguments in (
        ("ListMetrics", {"Namespace": NAMESPACE, "MetricName": name}),
        ("GetMetricStatistics", {**metric, **window, "Period": 60, "Statistics": ["Sum", "SampleCount"]}),
        ("GetMetricStatistics", {**metric, **window, "Period": 60, "ExtendedStatistics": ["p50"]}),
        ("GetMetricData", {**window, "MetricDataQueries": [query, {"Id": "e", "Expression": "m / 2"}]}),
        ("DescribeAlarms", {"AlarmNames": [name]}),
        ("DescribeAlarmHistory", {"AlarmName": name}),
        ("GetDashboard", {"DashboardName": "none"}),
        ("SetAlarmState", {"AlarmName": "none", "StateValue": "OK", "StateReason": "x"}),
        ("SetAlarmState", {"AlarmName": name, "StateValue": "BAD", "StateReason": "x"}),
        ("PutMetricData", {"Namespace": NAMESPACE, "MetricData": [{"MetricName": name, "Value": float("nan")}]}),
        ("PutMetricData", {"Namespace": NAMESPACE}),
        ("GetMetricData", {**window, "MetricDataQueries": [{"Id": "e", "Expression": "m +"}]}),
    ):
        answers = {protocol: raw(shop, protocol, operation, arguments) for protocol in PROTOCOLS}
        assert answers["json"] == answers["query"] == answers["smithy-rpc-v2-cbor"], (operation, answers)
    assert raw(shop, "smithy-rpc-v2-cbor", "DeleteAlarms", {"AlarmNames": [name]}) == (200, {})
