"""A worker of a queue's backlog, which makes the calls of the published one: the queue's name from Parameter Store; then for ever one message
at a time, as long as it says, deleted when it is done, and how long it took as a metric. It knows no endpoint: AWS_ENDPOINT_URL, a region
and keys come from where every AWS client has them. `backlog_worker.py --produce` is the other end: as many messages as `number_of_messages`
says into the queue `queue_name`, each of `default_msg_proc_duration` seconds."""

import json
import os
import random
import sys
import time

import boto3
from botocore.config import Config

CONFIG = Config(retries={"max_attempts": 10, "mode": "standard"})
PARAMETER = "ProcessingQueueName"
NAMESPACE = "ASG-Metrics"


def queue(name):
    return boto3.resource("sqs", config=CONFIG).get_queue_by_name(QueueName=name)


def age():
    """Seconds since this process began: how long it took to get ready, which a busy machine makes longer."""
    with open("/proc/self/stat", encoding="ascii") as stat:
        began = int(stat.read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began


def work():
    name = boto3.client("ssm", config=CONFIG).get_parameter(Name=PARAMETER)["Parameter"]["Value"]
    source, metrics = queue(name), boto3.client("cloudwatch", config=CONFIG)
    print(f"works on {source.url}, {age():.1f} s after its start", flush=True)
    while True:
        for message in source.receive_messages(AttributeNames=["All"], MaxNumberOfMessages=1, WaitTimeSeconds=5):
            asked = json.loads(message.body)
            time.sleep(asked["duration"])
            message.delete()
            metrics.put_metric_data(Namespace=NAMESPACE, MetricData=[
                {"MetricName": "MsgProcessingDuration", "Value": asked["duration"], "StorageResolution": 1}])
            print(f"done: {asked['id']} in {asked['duration']} s", flush=True)


def produce():
    name, duration = os.environ["queue_name"], float(os.environ["default_msg_proc_duration"])
    sqs = boto3.client("sqs", config=CONFIG)
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    # 16 bits at random, as published; two alike would be one message, so none is drawn twice here.
    for number in random.sample(range(1 << 16), int(os.environ.get("number_of_messages", "50"))):
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"id": number, "duration": duration}), MessageGroupId=str(number),
                         MessageDeduplicationId=f"{number}:{number}")


if __name__ == "__main__":
    produce() if sys.argv[1:] == ["--produce"] else work()
