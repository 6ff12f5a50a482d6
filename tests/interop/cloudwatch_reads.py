"""Reads of what the balancer tells CloudWatch, by boto3."""

import datetime

UTC = datetime.timezone.utc


def now():
    return datetime.datetime.now(UTC)


def dimensions(balancer):
    return [{"Name": "LoadBalancer", "Value": balancer.arn.split("loadbalancer/")[1]}]


def read(client, name, dimensions, stat="Sum", since=600, period=60):
    """The values of the last ten minutes, a minute each."""
    begin = now().replace(second=0, microsecond=0) - datetime.timedelta(seconds=since)
    metric = {"Namespace": "AWS/ApplicationELB", "MetricName": name, "Dimensions": dimensions}
    query = {"Id": "m", "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}
    [result] = client.get_metric_data(MetricDataQueries=[query], StartTime=begin, EndTime=now() + datetime.timedelta(minutes=1))["MetricDataResults"]
    return result["Values"]
