"""What the cases of SQS share: a daemon with clients, and queues of each case's own."""

import hashlib
import itertools
import json
import struct

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from daemon import REGION, read_keys

# What the API reference calls an error, and what clients of the Query protocol are told; newer ones are told both (botocore's
# `awsQueryCompatible`).
OLD_NAMES = {
    "BatchEntryIdsNotDistinct": "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
    "BatchRequestTooLong": "AWS.SimpleQueueService.BatchRequestTooLong",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "InvalidBatchEntryId": "AWS.SimpleQueueService.InvalidBatchEntryId",
    "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
    "PurgeQueueInProgress": "AWS.SimpleQueueService.PurgeQueueInProgress",
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
    "UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation",
}
FIGURES = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
NUMBERS = itertools.count(1)


class Place:
    """A daemon, a client that all cases share, and what they need of queues. Names are never used twice."""

    def __init__(self, daemon, account="000000000000"):
        self.daemon, self.account = daemon, account
        self.sqs = self.client()

    def client(self, service="sqs"):
        """One that many threads may use at once."""
        access_key, secret = read_keys(self.daemon.directory / "credentials", "default")
        config = Config(retries={"max_attempts": 0}, read_timeout=30, max_pool_connections=64)
        return boto3.client(service, endpoint_url=self.daemon.api, region_name=REGION, aws_access_key_id=access_key,
                            aws_secret_access_key=secret, config=config)

    def name(self, fifo=False):
        return f"case-{next(NUMBERS)}" + ".fifo" * fifo

    def queue(self, **attributes):
        """A queue of the case's own, by its URL."""
        return self.sqs.create_queue(QueueName=self.name(), Attributes=texts(attributes))["QueueUrl"]

    def fifo(self, **attributes):
        return self.sqs.create_queue(QueueName=self.name(True), Attributes=texts({"FifoQueue": "true", **attributes}))["QueueUrl"]

    def attributes(self, url, *names):
        return self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names or ["All"])).get("Attributes", {})

    def arn(self, url):
        return self.attributes(url, "QueueArn")["QueueArn"]

    def figures(self, url):
        """Messages that are visible, in flight, delayed."""
        told = self.attributes(url, *FIGURES)
        return tuple(int(told[name]) for name in FIGURES)

    def send(self, url, *bodies, **more):
        return [self.sqs.send_message(QueueUrl=url, MessageBody=body, **more) for body in bodies]

    def receive(self, url, most=10, wait=0, **more):
        return self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=most, WaitTimeSeconds=wait, **more).get("Messages", [])

    def delete(self, url, *messages):
        for message in messages:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def texts(attributes):
    """Attributes as the API takes them."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in attributes.items()}


def refused(code, call, text="", **arguments):
    """The call is refused with this error (or one of these, where AWS's documentation leaves it open)."""
    codes = (code,) if isinstance(code, str) else code
    try:
        answer = call(**arguments)
    except ClientError as error:
        found, status = error.response["Error"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        wanted = {OLD_NAMES.get(code, code) for code in codes}
        assert found["Code"] in wanted and 400 <= status < 500 and text in found["Message"], f"wanted {codes} {text!r}, got {status} {found}"
        modelled = [code for code in codes if code in OLD_NAMES]
        assert not modelled or found.get("QueryErrorCode") in codes, f"wanted {codes} beside the old name, got {found}"
        return found["Message"]
    raise AssertionError(f"{arguments} was taken, wanted {codes}: {answer}")


def md5(text):
    return hashlib.md5(text.encode() if isinstance(text, str) else text).hexdigest()


def md5_of_attributes(attributes):
    """The developer guide's algorithm: names in order; each name and data type with its length, the kind of transport, the value
    with its length."""
    told = hashlib.md5()

    def part(data):
        told.update(struct.pack(">I", len(data)) + data)

    for name in sorted(attributes):
        attribute = attributes[name]
        part(name.encode())
        part(attribute["DataType"].encode())
        binary = attribute["DataType"].split(".")[0] == "Binary"
        told.update(b"\2" if binary else b"\1")
        part(attribute["BinaryValue"] if binary else attribute["StringValue"].encode())
    return told.hexdigest()
