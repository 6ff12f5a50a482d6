"""FIFO queues: order within groups, and each message once."""

import concurrent.futures
import hashlib
import time

from .place import refused


def entries(*messages):
    """A batch of (group, body), each with a deduplication id of its own."""
    return [{"Id": str(number), "MessageBody": body, "MessageGroupId": group, "MessageDeduplicationId": f"{group}:{body}"}
            for number, (group, body) in enumerate(messages)]


def drain(place, url, most=10):
    """Bodies by group in the order in which they come, each deleted before the next receive."""
    found = {}
    while messages := place.receive(url, most=most, AttributeNames=["All"]):
        for message in messages:
            found.setdefault(message["Attributes"]["MessageGroupId"], []).append(message["Body"])
        place.delete(url, *messages)
    return found


def test_order_within_groups(place):
    url = place.fifo()
    for turn in range(6):
        place.sqs.send_message_batch(QueueUrl=url, Entries=entries(*((f"g{n % 5}", f"{turn}-{n}") for n in range(10))))
    found = drain(place, url, most=7)
    wanted = {f"g{group}": [f"{turn}-{n}" for turn in range(6) for n in (group, group + 5)] for group in range(5)}
    assert found == wanted, found


def test_group_waits_for_its_message_in_flight(place):
    url = place.fifo(VisibilityTimeout=60)
    place.sqs.send_message_batch(QueueUrl=url, Entries=entries(("a", "1"), ("a", "2"), ("b", "1"), ("a", "3")))
    [first] = place.receive(url, most=1)
    assert first["Body"] == "1"
    others = place.receive(url, AttributeNames=["MessageGroupId"])
    assert [(message["Attributes"]["MessageGroupId"], message["Body"]) for message in others] == [("b", "1")], others
    assert not place.receive(url)
    place.delete(url, first)
    [second] = place.receive(url, most=1)
    assert second["Body"] == "2"
    # Given back, it comes again, before the one after it.
    place.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=0)
    again = place.receive(url)
    assert [message["Body"] for message in again] == ["2", "3"], again
    assert place.figures(url) == (0, 3, 0)


def test_who_waits_is_woken_when_the_group_is_free(place):
    url = place.fifo(VisibilityTimeout=60)
    place.sqs.send_message_batch(QueueUrl=url, Entries=entries(("a", "1"), ("a", "2")))
    [first] = place.receive(url, most=1)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waits = pool.submit(place.receive, url, wait=20)
        began = time.monotonic()
        place.delete(url, first)
        [second] = waits.result(25)
    assert second["Body"] == "2" and time.monotonic() - began < 5, second


def test_sent_twice_is_there_once(place):
    url = place.fifo()
    once = {"QueueUrl": url, "MessageBody": "a", "MessageGroupId": "g", "MessageDeduplicationId": "id"}
    first = place.sqs.send_message(**once)
    second = place.sqs.send_message(**{**once, "MessageBody": "another"})
    third = place.sqs.send_message(**{**once, "MessageGroupId": "another"})
    assert first["MessageId"] == second["MessageId"] == third["MessageId"], (first, second, third)
    assert first["SequenceNumber"] == second["SequenceNumber"], (first, second)
    [message] = place.receive(url, AttributeNames=["All"])
    assert message["Attributes"]["MessageDeduplicationId"] == "id" and message["Attributes"]["SequenceNumber"] == first["SequenceNumber"], message
    place.delete(url, message)
    # Five minutes are meant, whatever became of it.
    place.sqs.send_message(**once)
    assert place.figures(url) == (0, 0, 0)
    # The same in one batch.
    told = place.sqs.send_message_batch(QueueUrl=url, Entries=[
        {"Id": name, "MessageBody": name, "MessageGroupId": "g", "MessageDeduplicationId": "one"} for name in ("a", "b")])
    assert len(told["Successful"]) == 2 and place.figures(url) == (1, 0, 0), told


def test_content_is_what_makes_a_message_the_same(place):
    url = place.fifo(ContentBasedDeduplication="true")
    send = lambda body, **more: place.sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g", **more)
    send("a")
    send("a", MessageAttributes={"n": {"DataType": "Number", "StringValue": "1"}})
    send("b")
    send("a", MessageDeduplicationId="other")
    # The id that the body would give.
    send("c", MessageDeduplicationId=hashlib.sha256(b"a").hexdigest())
    found = place.receive(url, AttributeNames=["All"])
    assert [message["Body"] for message in found] == ["a", "b", "a"], found
    assert found[0]["Attributes"]["MessageDeduplicationId"] == hashlib.sha256(b"a").hexdigest(), found


def test_high_throughput_deduplicates_by_group(place):
    url = place.fifo(DeduplicationScope="messageGroup", FifoThroughputLimit="perMessageGroupId")
    for group in ("a", "b", "a"):
        place.sqs.send_message(QueueUrl=url, MessageBody=group, MessageGroupId=group, MessageDeduplicationId="same")
    assert drain(place, url) == {"a": ["a"], "b": ["b"]}


def test_sequence_numbers_rise(place):
    url = place.fifo(ContentBasedDeduplication="true")
    numbers = [place.sqs.send_message(QueueUrl=url, MessageBody=str(n), MessageGroupId=str(n % 3))["SequenceNumber"] for n in range(12)]
    assert all(number.isdigit() for number in numbers) and len({len(number) for number in numbers}) == 1, numbers
    assert sorted(numbers) == numbers and len(set(numbers)) == 12, numbers


def test_fifo_refusals(place):
    url = place.fifo()
    send = place.sqs.send_message
    refused("MissingParameter", send, QueueUrl=url, MessageBody="a", MessageDeduplicationId="a")
    refused("InvalidParameterValue", send, QueueUrl=url, MessageBody="a", MessageGroupId="g")
    good = {"QueueUrl": url, "MessageBody": "a", "MessageGroupId": "g", "MessageDeduplicationId": "a"}
    refused("InvalidParameterValue", send, **good, DelaySeconds=1)
    for name in ("MessageGroupId", "MessageDeduplicationId"):
        for wrong in ("a" * 129, "a b", "ä"):
            refused("InvalidParameterValue", send, **{**good, name: wrong})
    # Not documented; moto's tests have it so: a message that could never be one of this queue is an error of the whole batch.
    whole = {"Id": "good", "MessageBody": "a", "MessageGroupId": "g", "MessageDeduplicationId": "a"}
    for code, wrong in (("MissingParameter", "MessageGroupId"), ("InvalidParameterValue", "MessageDeduplicationId")):
        part = {name: value for name, value in whole.items() if name != wrong} | {"Id": "wrong"}
        refused(code, place.sqs.send_message_batch, QueueUrl=url, Entries=[whole, part])
    assert place.figures(url) == (0, 0, 0)


def test_expired_receipts_do_nothing(place):
    url = place.fifo(VisibilityTimeout=1)
    place.sqs.send_message_batch(QueueUrl=url, Entries=entries(("a", "1")))
    [first] = place.receive(url)
    [second] = place.receive(url, wait=20)
    # The API reference of DeleteMessage has none for it; what AWS answers is this.
    refused(("InvalidParameterValue", "ReceiptHandleIsInvalid"), place.sqs.delete_message, QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    place.delete(url, second)
    assert place.figures(url) == (0, 0, 0)


def test_an_attempt_is_answered_again(place):
    url = place.fifo(VisibilityTimeout=60)
    place.sqs.send_message_batch(QueueUrl=url, Entries=entries(("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")))
    first = place.receive(url, most=3, ReceiveRequestAttemptId="attempt")
    again = place.receive(url, most=3, ReceiveRequestAttemptId="attempt", AttributeNames=["All"])
    assert [message["MessageId"] for message in first] == [message["MessageId"] for message in again] and len(first) == 3, (first, again)
    assert place.figures(url) == (1, 3, 0)
    for message in again:
        place.delete(url, message)
    refused("InvalidParameterValue", place.sqs.receive_message, QueueUrl=url, ReceiveRequestAttemptId="a" * 129)


def test_queue_delays_fifo_messages(place):
    url = place.fifo(DelaySeconds=1)
    place.sqs.send_message_batch(QueueUrl=url, Entries=entries(("a", "1"), ("a", "2")))
    assert not place.receive(url)
    found = place.receive(url, wait=20)
    assert [message["Body"] for message in found][:1] == ["1"], found


def test_purged_is_still_known(place):
    url = place.fifo(ContentBasedDeduplication="true")
    send = lambda: place.sqs.send_message(QueueUrl=url, MessageBody="a", MessageGroupId="g")
    send()
    place.sqs.purge_queue(QueueUrl=url)
    assert place.figures(url) == (0, 0, 0)
    send()
    assert place.figures(url) == (0, 0, 0)
