"""Clients of the Query protocol, written by hand as they were made before 2023, and the AWS CLI."""

import base64
import contextlib
import http.client
import json
import os
import subprocess
import tempfile
import urllib.parse
import xml.etree.ElementTree as xml

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from daemon import REGION, read_keys

from .place import md5, md5_of_attributes

SPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"


def ask(place, action, path="/", method="POST", **parameters):
    """Status and the answer's root element; `A_1_B` is the parameter A.1.B."""
    parameters = {name.replace("_", "."): value for name, value in parameters.items()}
    text = urllib.parse.urlencode({"Action": action, "Version": "2012-11-05", **parameters})
    body, target = (text, path) if method == "POST" else ("", f"{path}?{text}")
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"} if method == "POST" else {}
    request = AWSRequest(method, place.daemon.api + path, headers, body or None, params=None if method == "POST" else dict(urllib.parse.parse_qsl(text)))
    SigV4Auth(Credentials(*read_keys(place.daemon.directory / "credentials", "default")), "sqs", REGION).add_auth(request)
    connection = http.client.HTTPConnection(place.daemon.api.removeprefix("http://"), timeout=30)
    with contextlib.closing(connection):
        connection.request(method, target, body, dict(request.headers))
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.getheader("Content-Type", "").startswith("text/xml"), (answer.getheaders(), text)
        return answer.status, xml.fromstring(text)


def good(place, action, path="/", **parameters):
    status, root = ask(place, action, path, **parameters)
    assert status == 200 and root.tag == f"{SPACE}{action}Response", (status, xml.tostring(root))
    assert root.findtext(f"{SPACE}ResponseMetadata/{SPACE}RequestId"), xml.tostring(root)
    return root


def texts(root, *names):
    """The texts of all elements at this path of names, wherever it begins."""
    return [element.text or "" for element in root.iterfind(".//" + "/".join(SPACE + name for name in names))]


def test_query_life_of_a_message(place):
    name = place.name()
    root = good(place, "CreateQueue", QueueName=name, Attribute_1_Name="VisibilityTimeout", Attribute_1_Value="20", Attribute_2_Name="DelaySeconds",
                Attribute_2_Value="0", Tag_1_Key="Team", Tag_1_Value="images")
    [url] = texts(root, "CreateQueueResult", "QueueUrl")
    assert texts(good(place, "GetQueueUrl", QueueName=name), "GetQueueUrlResult", "QueueUrl") == [url]
    assert url in texts(good(place, "ListQueues", QueueNamePrefix=name), "ListQueuesResult", "QueueUrl")
    # Old clients post to the queue itself, and do not name it again.
    path = urllib.parse.urlsplit(url).path
    body = "a < b & \"c\"\n"
    root = good(place, "SendMessage", path, MessageBody=body, MessageAttribute_1_Name="n", MessageAttribute_1_Value_DataType="Number",
                MessageAttribute_1_Value_StringValue="7", MessageAttribute_2_Name="b", MessageAttribute_2_Value_DataType="Binary",
                MessageAttribute_2_Value_BinaryValue=base64.b64encode(b"\0\1").decode())
    attributes = {"n": {"DataType": "Number", "StringValue": "7"}, "b": {"DataType": "Binary", "BinaryValue": b"\0\1"}}
    assert texts(root, "SendMessageResult", "MD5OfMessageBody") == [md5(body)], xml.tostring(root)
    assert texts(root, "SendMessageResult", "MD5OfMessageAttributes") == [md5_of_attributes(attributes)], xml.tostring(root)
    [sent] = texts(root, "SendMessageResult", "MessageId")
    root = good(place, "ReceiveMessage", path, AttributeName_1="All", MessageAttributeName_1="All", MaxNumberOfMessages=10)
    [message] = root.iterfind(f"{SPACE}ReceiveMessageResult/{SPACE}Message")
    told = {child.tag.removeprefix(SPACE): child.text for child in message}
    assert (told["MessageId"], told["Body"], told["MD5OfBody"], told["MD5OfMessageAttributes"]) == (sent, body, md5(body), md5_of_attributes(attributes)), told
    system = dict(zip(texts(message, "Attribute", "Name"), texts(message, "Attribute", "Value")))
    assert system["ApproximateReceiveCount"] == "1" and {"SenderId", "SentTimestamp", "ApproximateFirstReceiveTimestamp"} <= set(system), system
    own = dict(zip(texts(message, "MessageAttribute", "Name"), message.iterfind(f"{SPACE}MessageAttribute/{SPACE}Value")))
    assert own["n"].findtext(f"{SPACE}StringValue") == "7" and own["n"].findtext(f"{SPACE}DataType") == "Number", xml.tostring(message)
    assert base64.b64decode(own["b"].findtext(f"{SPACE}BinaryValue")) == b"\0\1", xml.tostring(message)
    root = good(place, "GetQueueAttributes", path, AttributeName_1="All")
    told = dict(zip(texts(root, "Attribute", "Name"), texts(root, "Attribute", "Value")))
    assert told["VisibilityTimeout"] == "20" and told["ApproximateNumberOfMessagesNotVisible"] == "1", told
    good(place, "ChangeMessageVisibility", path, ReceiptHandle=message.findtext(f"{SPACE}ReceiptHandle"), VisibilityTimeout=30)
    good(place, "DeleteMessage", QueueUrl=url, ReceiptHandle=message.findtext(f"{SPACE}ReceiptHandle"))
    root = good(place, "ReceiveMessage", path)
    assert root.find(f"{SPACE}ReceiveMessageResult/{SPACE}Message") is None
    good(place, "SetQueueAttributes", path, Attribute_1_Name="DelaySeconds", Attribute_1_Value="4")
    assert place.attributes(url, "DelaySeconds") == {"DelaySeconds": "4"}
    root = good(place, "ListQueueTags", path)
    assert (texts(root, "Tag", "Key"), texts(root, "Tag", "Value")) == (["Team"], ["images"]), xml.tostring(root)
    good(place, "AddPermission", path, Label="friends", AWSAccountId_1="111122223333", ActionName_1="SendMessage")
    good(place, "RemovePermission", path, Label="friends")
    good(place, "PurgeQueue", path)
    good(place, "DeleteQueue", path)


def test_query_of_one_attribute(place):
    """The sample of SetQueueAttributes in the API reference: a slash behind the queue, and no number where there is one attribute."""
    url = place.queue()
    good(place, "SetQueueAttributes", urllib.parse.urlsplit(url).path + "/", Attribute_Name="VisibilityTimeout", Attribute_Value="35")
    assert place.attributes(url, "VisibilityTimeout") == {"VisibilityTimeout": "35"}


def test_query_as_get(place):
    """The developer guide: requests may be GET as well."""
    url = place.queue()
    status, root = ask(place, "GetQueueUrl", method="GET", QueueName=url.rsplit("/", 1)[1])
    assert status == 200 and texts(root, "GetQueueUrlResult", "QueueUrl") == [url], (status, xml.tostring(root))
    status, root = ask(place, "SendMessage", urllib.parse.urlsplit(url).path, method="GET", MessageBody="by GET & all")
    assert status == 200 and texts(root, "SendMessageResult", "MD5OfMessageBody") == [md5("by GET & all")], (status, xml.tostring(root))


def test_query_batches(place):
    url = place.queue()
    path = urllib.parse.urlsplit(url).path
    root = good(place, "SendMessageBatch", path, SendMessageBatchRequestEntry_1_Id="a", SendMessageBatchRequestEntry_1_MessageBody="one",
                SendMessageBatchRequestEntry_2_Id="b", SendMessageBatchRequestEntry_2_MessageBody="\x01",
                SendMessageBatchRequestEntry_3_Id="c", SendMessageBatchRequestEntry_3_MessageBody="three", SendMessageBatchRequestEntry_3_DelaySeconds="900")
    assert texts(root, "SendMessageBatchResultEntry", "Id") == ["a", "c"], xml.tostring(root)
    assert texts(root, "SendMessageBatchResultEntry", "MD5OfMessageBody") == [md5("one"), md5("three")], xml.tostring(root)
    failed = [texts(root, "BatchResultErrorEntry", name) for name in ("Id", "Code", "SenderFault")]
    assert failed == [["b"], ["InvalidMessageContents"], ["true"]], xml.tostring(root)
    [message] = place.receive(url)
    root = good(place, "ChangeMessageVisibilityBatch", path, ChangeMessageVisibilityBatchRequestEntry_1_Id="a",
                ChangeMessageVisibilityBatchRequestEntry_1_ReceiptHandle=message["ReceiptHandle"], ChangeMessageVisibilityBatchRequestEntry_1_VisibilityTimeout="60")
    assert texts(root, "ChangeMessageVisibilityBatchResultEntry", "Id") == ["a"], xml.tostring(root)
    root = good(place, "DeleteMessageBatch", path, DeleteMessageBatchRequestEntry_1_Id="a",
                DeleteMessageBatchRequestEntry_1_ReceiptHandle=message["ReceiptHandle"], DeleteMessageBatchRequestEntry_2_Id="b",
                DeleteMessageBatchRequestEntry_2_ReceiptHandle="nonsense")
    assert texts(root, "DeleteMessageBatchResultEntry", "Id") == ["a"], xml.tostring(root)
    assert texts(root, "BatchResultErrorEntry", "Code") == ["ReceiptHandleIsInvalid"], xml.tostring(root)


def test_query_refusals(place):
    url = place.queue()
    path = urllib.parse.urlsplit(url).path
    for code, action, where, more in (
        ("AWS.SimpleQueueService.NonExistentQueue", "GetQueueUrl", "/", {"QueueName": "nobody-made-this"}),
        ("AWS.SimpleQueueService.NonExistentQueue", "SendMessage", path + "-none", {"MessageBody": "a"}),
        ("AWS.SimpleQueueService.EmptyBatchRequest", "SendMessageBatch", path, {}),
        ("InvalidParameterValue", "ReceiveMessage", path, {"MaxNumberOfMessages": "11"}),
        ("InvalidAttributeName", "GetQueueAttributes", path, {"AttributeName_1": "Colour"}),
        ("ReceiptHandleIsInvalid", "DeleteMessage", path, {"ReceiptHandle": "nonsense"}),
        ("QueueAlreadyExists", "CreateQueue", "/", {"QueueName": url.rsplit("/", 1)[1], "Attribute_1_Name": "DelaySeconds", "Attribute_1_Value": "9"}),
        ("InvalidAction", "Dance", "/", {}),
    ):
        status, root = ask(place, action, where, **more)
        # The developer guide's errors are in no namespace, those of the service in its own: either is understood.
        told = {element.tag.rsplit("}", 1)[-1]: element.text for element in root.iter()}
        assert root.tag.rsplit("}", 1)[-1] == "ErrorResponse" and 400 <= status < 500, (action, status, xml.tostring(root))
        assert (told["Code"], told["Type"]) == (code, "Sender") and told["Message"] and told["RequestId"], (action, xml.tostring(root))


def test_command_line(place):
    environment = {**os.environ, "AWS_ENDPOINT_URL": place.daemon.api, "AWS_SHARED_CREDENTIALS_FILE": str(place.daemon.directory / "credentials"),
                   "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_PAGER": "", "AWS_CONFIG_FILE": "/dev/null"}

    def aws(*words, code=0):
        ran = subprocess.run(["aws", "sqs", *words], env=environment, capture_output=True, text=True, timeout=60)
        assert ran.returncode == code, (words, ran.returncode, ran.stdout, ran.stderr)
        return (json.loads(ran.stdout) if ran.stdout.strip() else {}) if code == 0 else ran.stderr

    name = place.name(True)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(json.dumps({"FifoQueue": "true", "ContentBasedDeduplication": "true"}))
        file.flush()
        url = aws("create-queue", "--queue-name", name, "--attributes", f"file://{file.name}")["QueueUrl"]
    sent = aws("send-message", "--queue-url", url, "--message-body", "by hand", "--message-group-id", "g")
    assert sent["MD5OfMessageBody"] == md5("by hand"), sent
    told = aws("get-queue-attributes", "--queue-url", url, "--attribute-names", "ApproximateNumberOfMessages", "QueueArn")["Attributes"]
    assert told == {"ApproximateNumberOfMessages": "1", "QueueArn": place.arn(url)}, told
    [message] = aws("receive-message", "--queue-url", url, "--attribute-names", "All", "--wait-time-seconds", "5")["Messages"]
    assert message["Body"] == "by hand" and message["Attributes"]["MessageGroupId"] == "g", message
    aws("delete-message", "--queue-url", url, "--receipt-handle", message["ReceiptHandle"])
    assert "(AWS.SimpleQueueService.NonExistentQueue)" in aws("get-queue-url", "--queue-name", "nobody-made-this", code=254 if two() else 255)


def two():
    """Whether it is the second version, whose exit code for a refusal is another."""
    return subprocess.run(["aws", "--version"], capture_output=True, text=True).stdout.startswith("aws-cli/2")
