"""Queues themselves: made, found, listed, changed, tagged, permitted, deleted."""

import concurrent.futures
import json
import time

from daemon import wait

from .place import refused

DEFAULTS = {
    "VisibilityTimeout": "30", "MaximumMessageSize": "1048576", "MessageRetentionPeriod": "345600", "DelaySeconds": "0",
    "ReceiveMessageWaitTimeSeconds": "0", "ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "0",
    "ApproximateNumberOfMessagesDelayed": "0", "SqsManagedSseEnabled": "true",
}
OF_FIFO = {"FifoQueue": "true", "ContentBasedDeduplication": "false", "DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue"}
# The API reference of SetQueueAttributes.
RANGES = {
    "VisibilityTimeout": (0, 43200), "MaximumMessageSize": (1024, 1048576), "MessageRetentionPeriod": (60, 1209600), "DelaySeconds": (0, 900),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
}


def test_create_again_with_equal_attributes_gives_the_same_queue(place):
    name = place.name()
    made = place.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "7"}, tags={"a": "b"})["QueueUrl"]
    assert made == f"{place.daemon.api}/{place.account}/{name}", made
    again = [{}, {"VisibilityTimeout": "7"}, {"VisibilityTimeout": "7", "DelaySeconds": "0"}]
    for attributes in again:
        assert place.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"] == made, attributes
    for attributes in ({"VisibilityTimeout": "8"}, {"DelaySeconds": "1"}):
        refused("QueueNameExists", place.sqs.create_queue, QueueName=name, Attributes=attributes)
    assert place.attributes(made, "VisibilityTimeout") == {"VisibilityTimeout": "7"}


def test_create_refuses_names(place):
    create = place.sqs.create_queue
    for name in ("a" * 81, "a b", "a/b", "ä", ""):
        refused("InvalidParameterValue", create, QueueName=name)
    refused("InvalidParameterValue", create, QueueName=place.name(True))
    refused("InvalidParameterValue", create, QueueName=place.name(), Attributes={"FifoQueue": "true"})
    refused("InvalidParameterValue", create, QueueName="a" * 76 + ".fifo", Attributes={"FifoQueue": "true"})
    assert create(QueueName="a" * 80)["QueueUrl"].endswith("/" + "a" * 80)


def test_create_refuses_attributes(place):
    create = place.sqs.create_queue
    for name, (least, most) in RANGES.items():
        for value in (least - 1, most + 1, "many", ""):
            refused("InvalidAttributeValue", create, QueueName=place.name(), Attributes={name: str(value)})
    refused("InvalidAttributeName", create, QueueName=place.name(), Attributes={"Colour": "red"})
    # The developer guide: these are a FIFO queue's alone.
    for name, value in (("ContentBasedDeduplication", "true"), ("DeduplicationScope", "queue"), ("FifoThroughputLimit", "perQueue")):
        refused("InvalidAttributeName", create, QueueName=place.name(), Attributes={name: value})
    fifo = {"FifoQueue": "true"}
    for name, value in (("ContentBasedDeduplication", "perhaps"), ("DeduplicationScope", "world"), ("FifoThroughputLimit", "none"),
                        ("FifoThroughputLimit", "perMessageGroupId")):
        refused("InvalidAttributeValue", create, QueueName=place.name(True), Attributes={**fifo, name: value})


def test_new_queue_has_the_defaults(place):
    began = int(time.time())
    for url, wanted in ((place.queue(), DEFAULTS), (place.fifo(), DEFAULTS | OF_FIFO)):
        told = place.attributes(url)
        arn, created, changed = (told.pop(name) for name in ("QueueArn", "CreatedTimestamp", "LastModifiedTimestamp"))
        assert told == wanted, told
        assert arn == f"arn:aws:sqs:local-1:{place.account}:{url.rsplit('/', 1)[1]}", arn
        assert began <= int(created) <= int(changed) <= time.time(), (created, changed)


def test_attributes_are_told_by_name(place):
    url = place.queue()
    assert set(place.attributes(url, "DelaySeconds", "QueueArn")) == {"DelaySeconds", "QueueArn"}
    assert "RedrivePolicy" not in place.attributes(url, "RedrivePolicy", "DelaySeconds")
    assert not place.sqs.get_queue_attributes(QueueUrl=url).get("Attributes")
    refused("InvalidAttributeName", place.sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["Colour"])


def test_attributes_change_within_their_ranges(place):
    url = place.queue()
    change = place.sqs.set_queue_attributes
    for name, (least, most) in RANGES.items():
        for value in (least, most):
            change(QueueUrl=url, Attributes={name: str(value)})
            assert place.attributes(url, name) == {name: str(value)}
        for value in (least - 1, most + 1):
            refused("InvalidAttributeValue", change, QueueUrl=url, Attributes={name: str(value)})
        assert place.attributes(url, name) == {name: str(most)}
    refused("InvalidAttributeName", change, QueueUrl=url, Attributes={"Colour": "red"})
    refused("InvalidAttributeName", change, QueueUrl=url, Attributes={"QueueArn": "arn:aws:sqs:local-1:1:a"})
    # One that is wrong, and none changes.
    refused("InvalidAttributeValue", change, QueueUrl=url, Attributes={"DelaySeconds": "1", "VisibilityTimeout": "-1"})
    assert place.attributes(url, "DelaySeconds") == {"DelaySeconds": "900"}


def test_fifo_attributes_change(place):
    url = place.fifo()
    change = place.sqs.set_queue_attributes
    change(QueueUrl=url, Attributes={"ContentBasedDeduplication": "true"})
    change(QueueUrl=url, Attributes={"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"})
    told = place.attributes(url)
    assert (told["ContentBasedDeduplication"], told["DeduplicationScope"], told["FifoThroughputLimit"]) == ("true", "messageGroup", "perMessageGroupId")
    refused("InvalidAttributeValue", change, QueueUrl=url, Attributes={"DeduplicationScope": "queue"})
    refused(("InvalidAttributeName", "InvalidAttributeValue"), change, QueueUrl=url, Attributes={"FifoQueue": "false"})


def test_queues_are_found_by_name(place):
    url = place.queue()
    name = url.rsplit("/", 1)[1]
    find = place.sqs.get_queue_url
    assert find(QueueName=name)["QueueUrl"] == url
    assert find(QueueName=name, QueueOwnerAWSAccountId=place.account)["QueueUrl"] == url
    refused("QueueDoesNotExist", find, QueueName="nobody-made-this")
    refused("QueueDoesNotExist", find, QueueName=name, QueueOwnerAWSAccountId="999999999999")
    try:
        find(QueueName="nobody-made-this")
    except place.sqs.exceptions.QueueDoesNotExist:
        return
    raise AssertionError("the exception is not the modelled one")


def test_queues_are_listed_by_prefix_and_page(place):
    prefix = place.name() + "-listed"
    made = sorted(place.sqs.create_queue(QueueName=f"{prefix}-{number}")["QueueUrl"] for number in range(7))
    told = place.sqs.list_queues(QueueNamePrefix=prefix)
    assert sorted(told["QueueUrls"]) == made and "NextToken" not in told, told
    pages = list(place.sqs.get_paginator("list_queues").paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 3}))
    assert [len(page["QueueUrls"]) for page in pages] == [3, 3, 1], pages
    assert sorted(url for page in pages for url in page["QueueUrls"]) == made
    assert not place.sqs.list_queues(QueueNamePrefix=prefix + "-none").get("QueueUrls")
    for wrong in (0, 1001):
        refused("InvalidParameterValue", place.sqs.list_queues, QueueNamePrefix=prefix, MaxResults=wrong)


def test_deleted_queue_is_gone_and_who_waits_is_told(place):
    url = place.queue()
    place.send(url, "lost")
    place.receive(url)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waits = pool.submit(place.receive, url, wait=20)
        # Whether the wait has begun cannot be seen from outside; if it has not, the queue is not there, which is as good.
        time.sleep(0.2)
        began = time.monotonic()
        place.sqs.delete_queue(QueueUrl=url)
        # Nothing is documented of who waits: it ends, with the error or with nothing.
        try:
            assert waits.result(20) == []
        except place.sqs.exceptions.QueueDoesNotExist:
            pass
    assert time.monotonic() - began < 10, "a receive waited on for a queue that is gone"
    for call, more in ((place.sqs.get_queue_attributes, {}), (place.sqs.send_message, {"MessageBody": "a"}), (place.sqs.receive_message, {}),
                       (place.sqs.purge_queue, {}), (place.sqs.delete_queue, {}), (place.sqs.list_queue_tags, {}),
                       (place.sqs.delete_message, {"ReceiptHandle": "a"}), (place.sqs.set_queue_attributes, {"Attributes": {"DelaySeconds": "1"}})):
        refused("QueueDoesNotExist", call, QueueUrl=url, **more)
    refused("QueueDoesNotExist", place.sqs.get_queue_url, QueueName=url.rsplit("/", 1)[1])


def test_tags(place):
    name = place.name()
    url = place.sqs.create_queue(QueueName=name, tags={"Team": "images", "Empty": ""})["QueueUrl"]
    tags = lambda: place.sqs.list_queue_tags(QueueUrl=url).get("Tags", {})
    assert tags() == {"Team": "images", "Empty": ""}
    place.sqs.tag_queue(QueueUrl=url, Tags={"Team": "video", "Size": "1"})
    place.sqs.untag_queue(QueueUrl=url, TagKeys=["Empty", "never-there"])
    assert tags() == {"Team": "video", "Size": "1"}
    refused("InvalidParameterValue", place.sqs.tag_queue, QueueUrl=url, Tags={f"key-{number}": "a" for number in range(51)})
    assert tags() == {"Team": "video", "Size": "1"}
    place.sqs.untag_queue(QueueUrl=url, TagKeys=["Team", "Size"])
    assert tags() == {}


def test_permissions_are_statements_of_the_policy(place):
    url = place.queue()
    permit = {"QueueUrl": url, "AWSAccountIds": ["111122223333"], "Actions": ["SendMessage", "ReceiveMessage"]}
    place.sqs.add_permission(Label="friends", **permit)
    place.sqs.add_permission(QueueUrl=url, Label="all", AWSAccountIds=["111122223333", "444455556666"], Actions=["*"])
    statements = {one["Sid"]: one for one in json.loads(place.attributes(url, "Policy")["Policy"])["Statement"]}
    assert set(statements) == {"friends", "all"}, statements
    friends = statements["friends"]
    assert friends["Effect"] == "Allow" and friends["Resource"] == place.arn(url), friends
    assert "111122223333" in json.dumps(friends["Principal"]), friends
    assert sorted(action.lower() for action in friends["Action"]) == ["sqs:receivemessage", "sqs:sendmessage"], friends
    refused("InvalidParameterValue", place.sqs.add_permission, Label="friends", **permit)
    refused("InvalidParameterValue", place.sqs.add_permission, **{**permit, "Label": "wrong", "Actions": ["Dance"]})
    refused("InvalidParameterValue", place.sqs.remove_permission, QueueUrl=url, Label="nobody")
    place.sqs.remove_permission(QueueUrl=url, Label="friends")
    assert [one["Sid"] for one in json.loads(place.attributes(url, "Policy")["Policy"])["Statement"]] == ["all"]
    # The API reference: an action may have 7 names (OverLimit).
    names = ["SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes", "GetQueueUrl", "ListDeadLetterSourceQueues", "PurgeQueue"]
    refused("OverLimit", place.sqs.add_permission, **{**permit, "Label": "many", "Actions": names})


def test_policy_is_stored_and_parsed(place):
    url = place.queue()
    policy = {"Version": "2012-10-17", "Statement": [{"Sid": "a", "Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": place.arn(url)}]}
    place.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    assert json.loads(place.attributes(url, "Policy")["Policy"]) == policy
    refused("InvalidAttributeValue", place.sqs.set_queue_attributes, QueueUrl=url, Attributes={"Policy": "{"})
    place.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    assert "Policy" not in place.attributes(url)


def test_purge_empties_and_not_twice_a_minute(place):
    url = place.queue()
    place.send(url, "a", "b", "c")
    place.send(url, "later", DelaySeconds=900)
    place.receive(url, most=1)
    place.sqs.purge_queue(QueueUrl=url)
    wait(lambda: place.figures(url) == (0, 0, 0), lambda: f"the purged queue is empty: {place.figures(url)}", 60)
    refused("PurgeQueueInProgress", place.sqs.purge_queue, QueueUrl=url)
    place.send(url, "after")
    assert [message["Body"] for message in place.receive(url)] == ["after"]
