"""Messages of standard queues: sent, received, waited for, hidden, deleted."""

import concurrent.futures
import re
import threading
import time

from daemon import REGION, bound, read_keys, wait
from sqs_wire import Calls

from .place import md5, md5_of_attributes, refused

ATTRIBUTES = {
    "Colour": {"DataType": "String", "StringValue": "rötlich"},
    "Count": {"DataType": "Number", "StringValue": "-12.5e3"},
    "Bytes": {"DataType": "Binary", "BinaryValue": bytes(range(256))},
    "Own.String": {"DataType": "String.colour", "StringValue": "red"},
    "Own.Number": {"DataType": "Number.int", "StringValue": "7"},
    "Own.Binary": {"DataType": "Binary.png", "BinaryValue": b"\x89PNG"},
}
TRACE = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"}}


def test_message_comes_as_it_was_sent(place):
    url = place.queue()
    began = int(time.time() * 1000)
    body = "Grüße, \U0001f5ff\n\t<tag attr='\"'>&amp;</tag> \u2028"
    [sent] = place.send(url, body, MessageAttributes=ATTRIBUTES, MessageSystemAttributes=TRACE)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", sent["MessageId"]), sent
    wanted = (md5(body), md5_of_attributes(ATTRIBUTES), md5_of_attributes(TRACE))
    assert (sent["MD5OfMessageBody"], sent["MD5OfMessageAttributes"], sent["MD5OfMessageSystemAttributes"]) == wanted, sent
    assert "SequenceNumber" not in sent, sent
    [found] = place.receive(url, MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"])
    assert (found["MessageId"], found["Body"], found["MD5OfBody"]) == (sent["MessageId"], body, md5(body)), found
    assert (found["MessageAttributes"], found["MD5OfMessageAttributes"]) == (ATTRIBUTES, md5_of_attributes(ATTRIBUTES)), found
    system = found["Attributes"]
    told = {"SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp", "AWSTraceHeader"}
    assert set(system) == told, system
    assert system["AWSTraceHeader"] == TRACE["AWSTraceHeader"]["StringValue"] and system["ApproximateReceiveCount"] == "1" and system["SenderId"], system
    # Its clock is not ours, to the millisecond.
    times = [began - 1000, int(system["SentTimestamp"]), int(system["ApproximateFirstReceiveTimestamp"]), int(time.time() * 1000) + 1000]
    assert times == sorted(times), times


def test_only_asked_attributes_come(place):
    url = place.queue(VisibilityTimeout=0)
    place.send(url, "a", MessageAttributes=ATTRIBUTES)
    [plain] = place.receive(url)
    assert not plain.keys() & {"Attributes", "MessageAttributes", "MD5OfMessageAttributes"}, plain
    for named in ({"AttributeNames": ["SentTimestamp"]}, {"MessageSystemAttributeNames": ["SentTimestamp"]}):
        [found] = place.receive(url, **named)
        assert set(found["Attributes"]) == {"SentTimestamp"}, found
    for names, wanted in ((["Colour"], ["Colour"]), (["Own.*"], ["Own.Binary", "Own.Number", "Own.String"]),
                          (["Co.*"], ["Colour", "Count"]), ([".*"], sorted(ATTRIBUTES)), (["All"], sorted(ATTRIBUTES)),
                          (["Own.Number", "Count"], ["Count", "Own.Number"])):
        [found] = place.receive(url, MessageAttributeNames=names)
        assert sorted(found["MessageAttributes"]) == wanted, (names, found)
        assert found["MD5OfMessageAttributes"] == md5_of_attributes(found["MessageAttributes"]), (names, found)
    [found] = place.receive(url, MessageAttributeNames=["Nothing"])
    assert "MessageAttributes" not in found, found
    refused(("InvalidAttributeName", "InvalidParameterValue"), place.sqs.receive_message, QueueUrl=url, AttributeNames=["Colour"])


def test_send_refuses_attributes(place):
    url = place.queue()
    wrong = [
        {"a b": {"DataType": "String", "StringValue": "a"}}, {"AWS.a": {"DataType": "String", "StringValue": "a"}},
        {"amazon.a": {"DataType": "String", "StringValue": "a"}}, {".a": {"DataType": "String", "StringValue": "a"}},
        {"a": {"DataType": "Text", "StringValue": "a"}}, {"a": {"DataType": "String", "StringValue": ""}},
        {"a": {"DataType": "Number", "StringValue": "seven"}}, {"a": {"DataType": "String", "BinaryValue": b"a"}},
        {"a" * 257: {"DataType": "String", "StringValue": "a"}}, {"a": {"DataType": "Binary", "StringValue": "a"}},
        {f"a{number}": {"DataType": "Number", "StringValue": "1"} for number in range(11)},
    ]
    for attributes in wrong:
        refused("InvalidParameterValue", place.sqs.send_message, QueueUrl=url, MessageBody="a", MessageAttributes=attributes)
    refused("InvalidParameterValue", place.sqs.send_message, QueueUrl=url, MessageBody="a", MessageSystemAttributes={"Other": TRACE["AWSTraceHeader"]})
    assert place.figures(url) == (0, 0, 0)


def test_send_refuses_contents(place):
    url = place.queue()
    for body in ("\x00", "a\x0bb", "\ufffe", "\uffff"):
        refused("InvalidMessageContents", place.sqs.send_message, QueueUrl=url, MessageBody=body)
    refused(("MissingParameter", "InvalidParameterValue"), place.sqs.send_message, QueueUrl=url, MessageBody="")
    for delay in (-1, 901):
        refused("InvalidParameterValue", place.sqs.send_message, QueueUrl=url, MessageBody="a", DelaySeconds=delay)
    assert place.figures(url) == (0, 0, 0)


def test_messages_have_a_size(place):
    small = place.queue(MaximumMessageSize=1024)
    place.send(small, "x" * 1024)
    refused("InvalidParameterValue", place.sqs.send_message, QueueUrl=small, MessageBody="x" * 1025)
    refused("InvalidParameterValue", place.sqs.send_message, QueueUrl=small, MessageBody="ä" * 513)
    # Names, types and values of attributes count (API reference of SendMessage).
    attributes = {"name": {"DataType": "String", "StringValue": "v" * 14}}
    place.send(small, "x" * 1000, MessageAttributes=attributes)
    refused("InvalidParameterValue", place.sqs.send_message, QueueUrl=small, MessageBody="x" * 1001, MessageAttributes=attributes)
    large = place.queue()
    place.send(large, "x" * (1 << 20))
    refused("InvalidParameterValue", place.sqs.send_message, QueueUrl=large, MessageBody="x" * ((1 << 20) + 1))
    [found] = place.receive(large)
    assert len(found["Body"]) == 1 << 20


def test_batches(place):
    url = place.queue()
    entries = [{"Id": f"id_{number}-a", "MessageBody": f"body {number}", "MessageAttributes": {"n": {"DataType": "Number", "StringValue": str(number)}}}
               for number in range(10)]
    told = place.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert not told.get("Failed") and [one["Id"] for one in told["Successful"]] == [entry["Id"] for entry in entries], told
    for one, entry in zip(told["Successful"], entries):
        wanted = (md5(entry["MessageBody"]), md5_of_attributes(entry["MessageAttributes"]))
        assert (one["MD5OfMessageBody"], one["MD5OfMessageAttributes"]) == wanted, one
    found = []
    while len(found) < 10:
        more = place.receive(url, wait=1)
        assert more, f"{len(found)} of ten came"
        found += more
    assert sorted(message["Body"] for message in found) == [f"body {number}" for number in range(10)], found
    told = place.sqs.change_message_visibility_batch(
        QueueUrl=url, Entries=[{"Id": str(number), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 900} for number, message in enumerate(found)])
    assert len(told["Successful"]) == 10 and not told.get("Failed"), told
    told = place.sqs.delete_message_batch(
        QueueUrl=url, Entries=[{"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(found)])
    assert len(told["Successful"]) == 10 and not told.get("Failed"), told
    assert place.figures(url) == (0, 0, 0)


def test_batches_fail_in_part(place):
    url = place.queue(MaximumMessageSize=1024)
    entries = [{"Id": "good", "MessageBody": "good"}, {"Id": "contents", "MessageBody": "\x01"}, {"Id": "long", "MessageBody": "x" * 1025},
               {"Id": "delay", "MessageBody": "a", "DelaySeconds": 901}, {"Id": "best", "MessageBody": "best"}]
    told = place.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert [one["Id"] for one in told["Successful"]] == ["good", "best"], told
    failed = {one["Id"]: one["Code"] for one in told["Failed"]}
    assert failed == {"contents": "InvalidMessageContents", "long": "InvalidParameterValue", "delay": "InvalidParameterValue"}, told
    assert all(one["SenderFault"] and one["Message"] for one in told["Failed"]), told
    [message] = place.receive(url, most=1)
    told = place.sqs.change_message_visibility_batch(QueueUrl=url, Entries=[
        {"Id": "good", "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 100}, {"Id": "handle", "ReceiptHandle": "a", "VisibilityTimeout": 0},
        {"Id": "time", "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 43201}])
    assert [one["Id"] for one in told["Successful"]] == ["good"], told
    assert {one["Id"]: one["Code"] for one in told["Failed"]} == {"handle": "ReceiptHandleIsInvalid", "time": "InvalidParameterValue"}, told
    told = place.sqs.delete_message_batch(QueueUrl=url, Entries=[{"Id": "handle", "ReceiptHandle": "a"}, {"Id": "good", "ReceiptHandle": message["ReceiptHandle"]}])
    assert [one["Id"] for one in told["Successful"]] == ["good"] and [one["Code"] for one in told["Failed"]] == ["ReceiptHandleIsInvalid"], told


def test_batches_are_refused_as_a_whole(place):
    url = place.queue()
    send, change, delete = place.sqs.send_message_batch, place.sqs.change_message_visibility_batch, place.sqs.delete_message_batch
    for call, entry in ((send, {"MessageBody": "a"}), (change, {"ReceiptHandle": "a", "VisibilityTimeout": 1}), (delete, {"ReceiptHandle": "a"})):
        refused("EmptyBatchRequest", call, QueueUrl=url, Entries=[])
        refused("BatchEntryIdsNotDistinct", call, QueueUrl=url, Entries=[{"Id": "a", **entry}, {"Id": "a", **entry}])
        refused("TooManyEntriesInBatchRequest", call, QueueUrl=url, Entries=[{"Id": str(number), **entry} for number in range(11)])
        for wrong in ("a b", "", "a" * 81, "ä"):
            refused("InvalidBatchEntryId", call, QueueUrl=url, Entries=[{"Id": wrong, **entry}])
    half = "x" * (1 << 19)
    refused("BatchRequestTooLong", send, QueueUrl=url, Entries=[{"Id": "a", "MessageBody": half}, {"Id": "b", "MessageBody": half + "x"}])
    assert place.figures(url) == (0, 0, 0)
    told = send(QueueUrl=url, Entries=[{"Id": "a", "MessageBody": half}, {"Id": "b", "MessageBody": half}])
    assert len(told["Successful"]) == 2, told


def test_figures_are_true_at_once(place):
    url = place.queue(VisibilityTimeout=30)
    place.send(url, "a", "b", "c")
    assert place.figures(url) == (3, 0, 0)
    place.send(url, "later", DelaySeconds=1)
    began = time.monotonic()
    delayed = place.figures(url)
    assert delayed == (3, 0, 1) or time.monotonic() - began > 0.9, delayed
    first, second = place.receive(url, most=2)
    wait(lambda: place.figures(url) == (2, 2, 0), lambda: f"the delayed one is visible: {place.figures(url)}", 10)
    assert 0 < time.monotonic() - began < 5
    place.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    assert place.figures(url) == (3, 1, 0)
    place.delete(url, second)
    assert place.figures(url) == (3, 0, 0)
    place.receive(url, VisibilityTimeout=1)
    assert sum(place.figures(url)) == 3
    wait(lambda: place.figures(url) == (3, 0, 0), lambda: f"all are visible again: {place.figures(url)}", 10)


def test_receive_refuses_figures(place):
    url = place.queue()
    for wrong in ({"MaxNumberOfMessages": 0}, {"MaxNumberOfMessages": 11}, {"WaitTimeSeconds": -1}, {"WaitTimeSeconds": 21}, {"VisibilityTimeout": -1},
                  {"VisibilityTimeout": 43201}):
        refused("InvalidParameterValue", place.sqs.receive_message, QueueUrl=url, **wrong)
    assert "Messages" not in place.sqs.receive_message(QueueUrl=url)


def test_wait_ends_as_soon_as_a_message_comes(place):
    url = place.queue()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for _ in range(3):
            started = threading.Event()

            def receive():
                started.set()
                found = place.receive(url, wait=20)
                return time.monotonic(), found

            waits = pool.submit(receive)
            started.wait()
            time.sleep(0.3)
            place.send(url, "wakes")
            sent = time.monotonic()
            came, [message] = waits.result(25)
            # Sent is the moment after its answer.
            bound(came - sent, 0.1, "seconds from a send's answer to the answer of who waited")
            place.delete(url, message)
    assert place.figures(url) == (0, 0, 0)


def test_each_who_waits_gets_a_message(place):
    url = place.queue()
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        waits = [pool.submit(place.receive, url, most=1, wait=20) for _ in range(10)]
        place.send(url, *map(str, range(10)))
        found = [message["Body"] for one in waits for message in one.result(25)]
    assert sorted(found, key=int) == list(map(str, range(10))), found


def test_who_waited_and_left_gets_nothing(place):
    """A client that is gone takes no message with it."""
    url = place.queue(VisibilityTimeout=60)
    keys = read_keys(place.daemon.directory / "credentials", "default")
    for _ in range(5):
        calls = Calls(place.daemon.api, *keys, REGION, timeout=0.2)
        try:
            calls.once("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=20)
        except TimeoutError:
            continue
        raise AssertionError("an empty queue answered a receive that waits")
    # When it sees that they are gone cannot be seen from outside.
    time.sleep(0.5)
    place.send(url, "for who is there")
    assert [message["Body"] for message in place.receive(url)] == ["for who is there"], place.figures(url)


def test_wait_without_messages_takes_its_time(place):
    url = place.queue(ReceiveMessageWaitTimeSeconds=1)
    for more, least in (({}, 1), ({"WaitTimeSeconds": 0}, 0), ({"WaitTimeSeconds": 2}, 2)):
        began = time.monotonic()
        assert not place.sqs.receive_message(QueueUrl=url, **more).get("Messages")
        took = time.monotonic() - began
        assert took >= least - 0.05, (more, took)
        bound(took - least, 0.3, f"seconds beyond a wait of {least} s")


def test_delayed_message_ends_a_wait(place):
    url = place.queue(DelaySeconds=1)
    began = time.monotonic()
    place.send(url, "by the queue")
    assert not place.receive(url)
    [found] = place.receive(url, wait=10)
    took = time.monotonic() - began
    assert found["Body"] == "by the queue" and 0.9 <= took < 5, (found, took)
    place.send(url, "by itself", DelaySeconds=0)
    assert [message["Body"] for message in place.receive(url)] == ["by itself"]


def test_hidden_until_the_visibility_is_over(place):
    url = place.queue(VisibilityTimeout=2)
    place.send(url, "a")
    [first] = place.receive(url, AttributeNames=["All"])
    began = time.monotonic()
    assert not place.receive(url)
    [second] = place.receive(url, wait=20, AttributeNames=["All"])
    took = time.monotonic() - began
    assert 1.5 < took < 6, took
    assert second["MessageId"] == first["MessageId"] and second["ReceiptHandle"] != first["ReceiptHandle"]
    assert second["Attributes"]["ApproximateReceiveCount"] == "2", second
    for name in ("SentTimestamp", "ApproximateFirstReceiveTimestamp"):
        assert second["Attributes"][name] == first["Attributes"][name], (first, second)


def test_visibility_changes(place):
    url = place.queue(VisibilityTimeout=1)
    place.send(url, "a")
    [message] = place.receive(url)
    change = lambda seconds, handle=message["ReceiptHandle"]: place.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds)
    change(30)
    assert not place.receive(url, wait=2), "it came although it was hidden for longer"
    for wrong in (-1, 43201):
        refused("InvalidParameterValue", change, seconds=wrong)
    change(0)
    refused("MessageNotInflight", change, seconds=5)
    [again] = place.receive(url)
    change(43200 - 60, again["ReceiptHandle"])
    place.delete(url, again)
    refused("InvalidParameterValue", change, seconds=5, handle=again["ReceiptHandle"])
    refused("ReceiptHandleIsInvalid", change, seconds=5, handle="nonsense")


def test_deletes(place):
    url, other = place.queue(VisibilityTimeout=0), place.queue()
    place.send(url, "a")
    [message] = place.receive(url)
    refused("ReceiptHandleIsInvalid", place.sqs.delete_message, QueueUrl=url, ReceiptHandle="nonsense")
    refused("ReceiptHandleIsInvalid", place.sqs.delete_message, QueueUrl=other, ReceiptHandle=message["ReceiptHandle"])
    # Visible again, and deleted all the same: it is the last receipt (API reference of DeleteMessage).
    place.delete(url, message)
    assert place.figures(url) == (0, 0, 0)
    place.delete(url, message)


def test_standard_queues_take_groups_and_no_deduplication(place):
    url = place.queue()
    # Fair queues.
    place.send(url, "a", MessageGroupId="tenant")
    [message] = place.receive(url, AttributeNames=["All"])
    assert message["Attributes"]["MessageGroupId"] == "tenant", message
    refused("InvalidParameterValue", place.sqs.send_message, QueueUrl=url, MessageBody="a", MessageDeduplicationId="a")
