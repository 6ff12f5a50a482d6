"""Queues and waiting events: each message is given until it is done, each event once."""

import collections
import json
import time

from daemon import wait
from functions_cases.place import FUNCTION, Place, archive, error

# Says in its log what it got. It fails what is bad, and each that is lame for the first time.
TAKES = """
import json
def handler(event, context):
    failed, did = [], []
    for record in event["Records"]:
        body, count = record["body"], int(record["attributes"]["ApproximateReceiveCount"])
        in_order = record["eventSourceARN"].endswith(".fifo")
        if body.startswith("bad") or body.startswith("lame") and count == 1 or in_order and failed:
            failed.append({"itemIdentifier": record["messageId"]})
        else:
            did.append(body)
    print("SAID " + json.dumps({"got": [record["body"] for record in event["Records"]], "did": did, "records": event["Records"][:1]}))
    return {"batchItemFailures": failed}
"""
LATER = """
import json
def handler(event, context):
    print("SAID " + json.dumps(event))
    if event.get("fails"):
        raise ValueError("not yet")
"""


def send(place, url, bodies, **group):
    for start in range(0, len(bodies), 10):
        ten = enumerate(bodies[start:start + 10])
        entries = [{"Id": str(number), "MessageBody": body} | {key: value(body) for key, value in group.items()} for number, body in ten]
        assert len(place.sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == len(entries)


def take(place, name, arn, **more):
    """Has a function take a queue's messages; the mapping's id."""
    made = place.functions.create_event_source_mapping(FunctionName=name, EventSourceArn=arn, **more)
    assert made["FunctionArn"] == FUNCTION + name and made["EventSourceArn"] == arn, made
    return made["UUID"]


def did(place, name):
    return [body for batch in place.said(name) for body in batch["did"]]


def test_batches(place: Place):
    """200 messages in batches of ten; what came before the mapping is taken too."""
    url, arn = place.queue("batches")
    place.make("batches", archive(app_py=TAKES))
    bodies = [f"message {number}" for number in range(200)]
    send(place, url, bodies[:100])
    id = take(place, "batches", arn, BatchSize=10, MaximumBatchingWindowInSeconds=1, ScalingConfig={"MaximumConcurrency": 2})
    assert error(place.functions.create_event_source_mapping, FunctionName="batches", EventSourceArn=arn) == "ResourceConflictException"
    send(place, url, bodies[100:])
    wait(lambda: len(did(place, "batches")) >= 200, lambda: f"all come: {len(did(place, 'batches'))}", 30)
    wait(lambda: place.holds(url) == 0, lambda: f"all are deleted: {place.holds(url)}", 10)
    batches = place.said("batches")
    assert sorted(did(place, "batches")) == sorted(bodies)
    assert all(1 <= len(batch["got"]) <= 10 for batch in batches) and len(batches) <= 30, [len(batch["got"]) for batch in batches]
    record = batches[0]["records"][0]
    members = {"messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfBody", "eventSource", "eventSourceARN", "awsRegion"}
    assert record.keys() == members, record
    assert record["attributes"].keys() >= {"ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"}, record
    assert (record["eventSource"], record["eventSourceARN"], record["awsRegion"]) == ("aws:sqs", arn, "local-1"), record
    place.functions.delete_event_source_mapping(UUID=id)
    place.delete("batches")
    return f"200 messages in {len(batches)} batches"


def test_failures(place: Place):
    """What a function names comes again, until the queue has enough of it."""
    dead, dead_arn = place.queue("failures-dead")
    url, arn = place.queue("failures", VisibilityTimeout="5", RedrivePolicy={"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})
    place.make("failures", archive(app_py=TAKES), Timeout=5)
    bodies = [f"{'bad' if number % 10 == 3 else 'lame' if number % 10 == 7 else 'good'} {number}" for number in range(40)]
    send(place, url, bodies)
    id = take(place, "failures", arn, BatchSize=10, FunctionResponseTypes=["ReportBatchItemFailures"])
    letters = {}

    def buried():
        for message in place.sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
            letters[message["MessageId"]] = message["Body"]
        return len(letters) >= 4

    wait(buried, lambda: f"bad ones are buried: {letters} of {collections.Counter(did(place, 'failures'))}", 40)
    wait(lambda: place.holds(url) == 0, "the queue is empty", 10)
    got = collections.Counter(body for batch in place.said("failures") for body in batch["got"])
    assert got == {body: 1 if body.startswith("good") else 2 for body in bodies}, got
    assert sorted(letters.values()) == sorted(body for body in bodies if body.startswith("bad")), letters
    assert sorted(did(place, "failures")) == sorted(body for body in bodies if not body.startswith("bad"))
    place.functions.delete_event_source_mapping(UUID=id)
    place.delete("failures")


def test_order(place: Place):
    """Of a FIFO queue's group each message comes after the one before is done, also after a failure."""
    url, arn = place.queue("order.fifo", FifoQueue="true", ContentBasedDeduplication="true", VisibilityTimeout="3")
    place.make("order", archive(app_py=TAKES), Timeout=3)
    bodies = [f"{'lame' if number == 5 and group == 1 else 'good'} {group} {number:02}" for number in range(20) for group in range(3)]
    send(place, url, bodies, MessageGroupId=lambda body: body.split()[1])
    id = take(place, "order", arn, BatchSize=10, FunctionResponseTypes=["ReportBatchItemFailures"])
    wait(lambda: len(did(place, "order")) >= 60, lambda: f"all are done: {did(place, 'order')}", 40)
    wait(lambda: place.holds(url) == 0, "the queue is empty", 10)
    for group in range(3):
        numbers = [body.split()[2] for body in did(place, "order") if body.split()[1] == str(group)]
        assert numbers == [f"{number:02}" for number in range(20)], (group, numbers)
    place.functions.delete_event_source_mapping(UUID=id)
    place.delete("order")


def test_disabled(place: Place):
    """A mapping that is disabled takes nothing, until it is enabled."""
    url, arn = place.queue("disabled")
    place.make("disabled", archive(app_py=TAKES))
    id = take(place, "disabled", arn, Enabled=False)
    send(place, url, [f"message {number}" for number in range(5)])
    assert place.functions.get_event_source_mapping(UUID=id)["State"] == "Disabled"
    # Nothing tells that nothing comes. It is taken within this time when it is enabled.
    time.sleep(2)
    assert place.holds(url) == 5 and place.logs("disabled") == "", place.logs("disabled")
    place.functions.update_event_source_mapping(UUID=id, Enabled=True)
    began = time.monotonic()
    wait(lambda: len(did(place, "disabled")) == 5, "they are taken", 15)
    took = time.monotonic() - began
    assert [one["UUID"] for one in place.functions.list_event_source_mappings(FunctionName="disabled")["EventSourceMappings"]] == [id]
    place.functions.update_event_source_mapping(UUID=id, Enabled=False)
    send(place, url, ["after"])
    time.sleep(1)
    assert len(did(place, "disabled")) == 5 and place.holds(url) == 1
    place.functions.delete_event_source_mapping(UUID=id)
    assert error(place.functions.get_event_source_mapping, UUID=id) == "ResourceNotFoundException"
    place.delete("disabled")
    return f"taken {took:.2f} s after it was enabled"


def test_later(place: Place):
    """A waiting event comes once; one that fails is not lost, but waits for a minute."""
    place.make("later", archive(app_py=LATER))
    for number in range(30):
        assert place.functions.invoke(FunctionName="later", InvocationType="Event", Payload=json.dumps({"number": number}))["StatusCode"] == 202
    wait(lambda: len(place.said("later")) >= 30, lambda: f"all come: {len(place.said('later'))}", 30)
    place.functions.invoke(FunctionName="later", InvocationType="Event", Payload=json.dumps({"number": 30, "fails": True}))
    wait(lambda: "not yet" in place.logs("later"), "the event fails", 15)
    wait(lambda: len(place.said("later")) >= 31, "the event fails", 15)
    assert sorted(event["number"] for event in place.said("later")) == list(range(31))
    place.delete("later")


def test_switched_off(place: Place):
    """Events of a function without any concurrency fail without a try, as AWS tells people who want to stop a function."""
    dead, dead_arn = place.queue("off-dead")
    place.make("off", archive(app_py=LATER), DeadLetterConfig={"TargetArn": dead_arn})
    place.functions.put_function_concurrency(FunctionName="off", ReservedConcurrentExecutions=0)
    assert error(place.functions.invoke, FunctionName="off") == "TooManyRequestsException"
    assert place.functions.invoke(FunctionName="off", InvocationType="Event", Payload='{"number": 1}')["StatusCode"] == 202
    (letter,) = place.sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=10, MessageAttributeNames=["All"])["Messages"]
    assert json.loads(letter["Body"]) == {"number": 1}, letter
    assert "reserved concurrency is 0" in letter["MessageAttributes"]["ErrorMessage"]["StringValue"], letter
    place.functions.delete_function_concurrency(FunctionName="off")
    assert place.functions.invoke(FunctionName="off", InvocationType="Event", Payload='{"number": 2}')["StatusCode"] == 202
    wait(lambda: place.said("off") == [{"number": 2}], lambda: f"the second is run: {place.logs('off')}", 15)
    place.delete("off")
