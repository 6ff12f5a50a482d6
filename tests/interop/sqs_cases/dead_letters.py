"""Dead-letter queues: where messages go that were received too often, and how they come back."""

import json
import time

from daemon import wait

from .place import refused


def pair(place, receives=2, **attributes):
    """A queue and its dead-letter queue."""
    dead = place.queue()
    policy = {"deadLetterTargetArn": place.arn(dead), "maxReceiveCount": receives}
    return place.queue(VisibilityTimeout=0, RedrivePolicy=policy, **attributes), dead


def bury(place, source, *bodies):
    """Sends messages, and receives them until they are dead letters."""
    place.send(source, *bodies)
    while place.receive(source):
        pass


def test_received_too_often(place):
    source, dead = pair(place)
    [sent] = place.send(source, "poison", MessageAttributes={"n": {"DataType": "Number", "StringValue": "1"}})
    for count in ("1", "2"):
        [found] = place.receive(source, AttributeNames=["All"])
        assert found["Attributes"]["ApproximateReceiveCount"] == count, found
    assert not place.receive(source)
    assert place.figures(source) == (0, 0, 0)
    [letter] = place.receive(dead, AttributeNames=["All"], MessageAttributeNames=["All"])
    assert (letter["MessageId"], letter["Body"], letter["MessageAttributes"]["n"]["StringValue"]) == (sent["MessageId"], "poison", "1"), letter
    # The developer guide: a standard queue's dead letter keeps the time when it was sent.
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == place.arn(source), letter
    assert letter["Attributes"]["SentTimestamp"] == found["Attributes"]["SentTimestamp"], (letter, found)


def test_dead_letter_of_a_fifo_queue(place):
    dead = place.fifo()
    source = place.fifo(VisibilityTimeout=0, ContentBasedDeduplication="true", RedrivePolicy={"deadLetterTargetArn": place.arn(dead), "maxReceiveCount": 1})
    for body in ("1", "2"):
        place.sqs.send_message(QueueUrl=source, MessageBody=body, MessageGroupId="g")
    [first] = place.receive(source, most=1)
    assert first["Body"] == "1"
    [second] = place.receive(source, most=1)
    assert second["Body"] == "2"
    assert not place.receive(source)
    letters = place.receive(dead, AttributeNames=["All"])
    assert [(letter["Body"], letter["Attributes"]["MessageGroupId"]) for letter in letters] == [("1", "g"), ("2", "g")], letters


def test_sources_are_listed(place):
    dead = place.queue()
    policy = {"deadLetterTargetArn": place.arn(dead), "maxReceiveCount": 3}
    made = sorted(place.queue(RedrivePolicy=policy) for _ in range(5))
    told = place.sqs.list_dead_letter_source_queues(QueueUrl=dead)
    assert sorted(told["queueUrls"]) == made and "NextToken" not in told, told
    pages = list(place.sqs.get_paginator("list_dead_letter_source_queues").paginate(QueueUrl=dead, PaginationConfig={"PageSize": 2}))
    assert [len(page["queueUrls"]) for page in pages] == [2, 2, 1] and sorted(url for page in pages for url in page["queueUrls"]) == made, pages
    place.sqs.set_queue_attributes(QueueUrl=made[0], Attributes={"RedrivePolicy": ""})
    assert "RedrivePolicy" not in place.attributes(made[0])
    assert sorted(place.sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"]) == made[1:]
    assert place.sqs.list_dead_letter_source_queues(QueueUrl=made[0])["queueUrls"] == []
    refused("QueueDoesNotExist", place.sqs.list_dead_letter_source_queues, QueueUrl=dead + "-none")


def test_redrive_policies_are_refused(place):
    source, dead, fifo = place.queue(), place.queue(), place.fifo()
    arn = place.arn(dead)
    wrong = [
        "{", {"deadLetterTargetArn": arn}, {"maxReceiveCount": 3}, {"deadLetterTargetArn": arn, "maxReceiveCount": 0},
        {"deadLetterTargetArn": arn, "maxReceiveCount": 1001}, {"deadLetterTargetArn": arn + "-none", "maxReceiveCount": 3},
        {"deadLetterTargetArn": place.arn(fifo), "maxReceiveCount": 3}, {"deadLetterTargetArn": "nonsense", "maxReceiveCount": 3},
    ]
    for policy in wrong:
        text = policy if isinstance(policy, str) else json.dumps(policy)
        refused(("InvalidParameterValue", "InvalidAttributeValue"), place.sqs.set_queue_attributes, QueueUrl=source, Attributes={"RedrivePolicy": text})
    assert "RedrivePolicy" not in place.attributes(source)
    place.sqs.set_queue_attributes(QueueUrl=source, Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "5"})})
    told = json.loads(place.attributes(source, "RedrivePolicy")["RedrivePolicy"])
    assert told["deadLetterTargetArn"] == arn and int(told["maxReceiveCount"]) == 5, told


def test_who_may_use_a_dead_letter_queue(place):
    dead, good, bad = place.queue(), place.queue(), place.queue()
    policy = json.dumps({"deadLetterTargetArn": place.arn(dead), "maxReceiveCount": 3})
    allow = lambda value: place.sqs.set_queue_attributes(QueueUrl=dead, Attributes={"RedriveAllowPolicy": json.dumps(value)})
    use = lambda url: place.sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    allow({"redrivePermission": "denyAll"})
    refused(("InvalidParameterValue", "InvalidAttributeValue"), use, url=good)
    allow({"redrivePermission": "byQueue", "sourceQueueArns": [place.arn(good)]})
    use(good)
    refused(("InvalidParameterValue", "InvalidAttributeValue"), use, url=bad)
    told = json.loads(place.attributes(dead, "RedriveAllowPolicy")["RedriveAllowPolicy"])
    assert told == {"redrivePermission": "byQueue", "sourceQueueArns": [place.arn(good)]}, told
    allow({"redrivePermission": "allowAll"})
    use(bad)
    for wrong in ({"redrivePermission": "some"}, {"redrivePermission": "denyAll", "sourceQueueArns": [place.arn(good)]}, {"redrivePermission": "byQueue"},
                  {"redrivePermission": "byQueue", "sourceQueueArns": [place.arn(good)] * 11}):
        refused(("InvalidParameterValue", "InvalidAttributeValue"), allow, value=wrong)


def tasks(place, arn):
    return place.sqs.list_message_move_tasks(SourceArn=arn, MaxResults=10).get("Results", [])


def test_letters_go_back_to_where_they_came_from(place):
    source, dead = pair(place, receives=1)
    bury(place, source, *map(str, range(5)))
    assert place.figures(dead) == (5, 0, 0)
    arn = place.arn(dead)
    place.sqs.start_message_move_task(SourceArn=arn)
    wait(lambda: place.figures(source) == (5, 0, 0), lambda: f"all are back: {place.figures(source)}", 20)
    assert place.figures(dead) == (0, 0, 0)
    wait(lambda: tasks(place, arn)[0]["Status"] == "COMPLETED", lambda: f"the task is over: {tasks(place, arn)}", 20)
    [task] = tasks(place, arn)
    assert (task["SourceArn"], task["ApproximateNumberOfMessagesMoved"], task["ApproximateNumberOfMessagesToMove"]) == (arn, 5, 5), task
    assert "TaskHandle" not in task and abs(task["StartedTimestamp"] / 1000 - time.time()) < 60, task
    found = place.receive(source, AttributeNames=["All"])
    # The developer guide: moved messages are new ones.
    assert found and {message["Attributes"]["ApproximateReceiveCount"] for message in found} == {"1"}, found


def test_letters_go_elsewhere_slowly_and_are_stopped(place):
    source, dead = pair(place, receives=1)
    other = place.queue()
    bury(place, source, *map(str, range(30)))
    arn = place.arn(dead)
    handle = place.sqs.start_message_move_task(SourceArn=arn, DestinationArn=place.arn(other), MaxNumberOfMessagesPerSecond=2)["TaskHandle"]
    [task] = tasks(place, arn)
    assert (task["Status"], task["TaskHandle"], task["DestinationArn"], task["MaxNumberOfMessagesPerSecond"]) == ("RUNNING", handle, place.arn(other), 2), task
    refused(("InvalidParameterValue", "UnsupportedOperation"), place.sqs.start_message_move_task, SourceArn=arn)
    wait(lambda: place.figures(other)[0] >= 2, lambda: f"some are moved: {place.figures(other)}", 20)
    moved = place.sqs.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"]
    assert 2 <= moved < 15, moved
    wait(lambda: tasks(place, arn)[0]["Status"] == "CANCELLED", lambda: f"the task is cancelled: {tasks(place, arn)}", 20)
    there = place.figures(other)[0]
    assert there + place.figures(dead)[0] == 30 and there >= moved, (there, moved)
    refused(("ResourceNotFoundException", "UnsupportedOperation"), place.sqs.cancel_message_move_task, TaskHandle=handle)
    place.sqs.start_message_move_task(SourceArn=arn, DestinationArn=place.arn(other))
    wait(lambda: place.figures(other)[0] == 30, lambda: f"the rest is moved: {place.figures(other)}", 20)
    assert [task["Status"] for task in tasks(place, arn)][1:] == ["CANCELLED"], tasks(place, arn)


def test_moves_are_refused(place):
    plain = place.queue()
    _, dead = pair(place)
    start = place.sqs.start_message_move_task
    refused("ResourceNotFoundException", start, SourceArn=place.arn(dead) + "-none")
    refused("ResourceNotFoundException", start, SourceArn=place.arn(dead), DestinationArn=place.arn(plain) + "-none")
    # The API reference: only a queue that some queue names as its dead-letter queue.
    refused(("InvalidParameterValue", "UnsupportedOperation"), start, SourceArn=place.arn(plain))
    for rate in (0, 501):
        refused("InvalidParameterValue", start, SourceArn=place.arn(dead), MaxNumberOfMessagesPerSecond=rate)
    refused("ResourceNotFoundException", place.sqs.list_message_move_tasks, SourceArn=place.arn(dead) + "-none")
    refused("InvalidParameterValue", place.sqs.list_message_move_tasks, SourceArn=place.arn(dead), MaxResults=11)
    refused(("ResourceNotFoundException", "InvalidParameterValue"), place.sqs.cancel_message_move_task, TaskHandle="bm9uc2Vuc2U=")
