//! SQS's operations, as clients call them.

use crate::testing::Caller;
use core::time::Duration;
use forebay_awswire::Service;
use serde_json::{Value, json};

fn sqs(caller: &mut Caller, operation: &str, input: Value) -> Result<Value, String> {
    caller
        .call_of(Service::Sqs, operation, input)
        .map_err(|error| error.code)
}

fn made(caller: &mut Caller, name: &str, attributes: Value) -> String {
    let input = json!({"QueueName": name, "Attributes": attributes});
    let url = &sqs(caller, "CreateQueue", input).unwrap()["QueueUrl"];
    url.as_str().unwrap().to_owned()
}

fn send(caller: &mut Caller, url: &str, body: &str) -> Value {
    sqs(
        caller,
        "SendMessage",
        json!({"QueueUrl": url, "MessageBody": body}),
    )
    .unwrap()
}

fn receive(caller: &mut Caller, url: &str) -> Vec<Value> {
    let input = json!({"QueueUrl": url, "MaxNumberOfMessages": 10, "AttributeNames": ["All"], "MessageAttributeNames": ["All"]});
    let answer = sqs(caller, "ReceiveMessage", input).unwrap();
    answer["Messages"].as_array().cloned().unwrap_or_default()
}

fn counts(caller: &mut Caller, url: &str) -> [u32; 3] {
    let input = json!({"QueueUrl": url, "AttributeNames": ["All"]});
    let found = sqs(caller, "GetQueueAttributes", input).unwrap();
    super::attributes::COUNTS.map(|name| found["Attributes"][name].as_str().unwrap().parse().unwrap())
}

fn code(caller: &mut Caller, operation: &str, input: Value) -> String {
    sqs(caller, operation, input).unwrap_err()
}

#[test]
fn message_is_sent_received_hidden_and_deleted() {
    let caller = &mut Caller::new();
    let url = made(caller, "orders", json!({"VisibilityTimeout": "10"}));
    assert_eq!(url, "http://forebay.test/123456789012/orders");
    let attributes = json!({"kind": {"DataType": "String", "StringValue": "book"}});
    let input =
        json!({"QueueUrl": url, "MessageBody": "hello", "MessageAttributes": attributes, "DelaySeconds": 5});
    let sent = sqs(caller, "SendMessage", input).unwrap();
    assert_eq!(sent["MD5OfMessageBody"], "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(counts(caller, &url), [0, 0, 1]);
    caller.now = caller.now + Duration::from_secs(5);
    let got = receive(caller, &url);
    assert_eq!(counts(caller, &url), [0, 1, 0]);
    assert_eq!(got[0]["Body"], "hello");
    assert_eq!(got[0]["MessageId"], sent["MessageId"]);
    assert_eq!(got[0]["MessageAttributes"], attributes);
    assert_eq!(got[0]["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"]);
    assert_eq!(got[0]["Attributes"]["SenderId"], "AKID");
    assert_eq!(got[0]["Attributes"]["ApproximateReceiveCount"], "1");
    let handle = got[0]["ReceiptHandle"].clone();
    let hide = |seconds: u32| json!({"QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": seconds});
    sqs(caller, "ChangeMessageVisibility", hide(0)).unwrap();
    assert_eq!(counts(caller, &url), [1, 0, 0]);
    assert_eq!(
        code(caller, "ChangeMessageVisibility", hide(1)),
        "AWS.SimpleQueueService.MessageNotInflight"
    );
    assert_eq!(
        code(caller, "ChangeMessageVisibility", hide(43_201)),
        "InvalidParameterValue"
    );
    let again = receive(caller, &url);
    assert_eq!(again[0]["Attributes"]["ApproximateReceiveCount"], "2");
    let delete = |handle: &Value| json!({"QueueUrl": url, "ReceiptHandle": handle});
    assert_eq!(
        sqs(caller, "DeleteMessage", delete(&again[0]["ReceiptHandle"])).unwrap(),
        Value::Null
    );
    assert_eq!(counts(caller, &url), [0, 0, 0]);
    assert_eq!(
        code(caller, "DeleteMessage", delete(&json!("noise"))),
        "ReceiptHandleIsInvalid"
    );
}

#[test]
fn batches_fail_by_entry() {
    let caller = &mut Caller::new();
    let url = made(caller, "many", json!({}));
    let entry = |id: &str, body: &str| json!({"Id": id, "MessageBody": body});
    let batch = |entries: Vec<Value>| json!({"QueueUrl": url, "Entries": entries});
    let some = batch(vec![
        entry("a", "1"),
        entry("b", ""),
        entry("c", "\u{1}"),
        entry("d", "4"),
    ]);
    let answer = sqs(caller, "SendMessageBatch", some).unwrap();
    let ids = |list: &Value| -> Vec<String> {
        let entries = list.as_array().unwrap().iter();
        entries
            .map(|entry| entry["Id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&answer["Successful"]), ["a", "d"]);
    assert_eq!(ids(&answer["Failed"]), ["b", "c"]);
    assert_eq!(answer["Failed"][1]["Code"], "InvalidMessageContents");
    for (entries, expected) in [
        (vec![], "EmptyBatchRequest"),
        (vec![entry("a", "1"), entry("a", "2")], "BatchEntryIdsNotDistinct"),
        (vec![entry("a b", "1")], "InvalidBatchEntryId"),
        (
            (0..11).map(|id| entry(&id.to_string(), "x")).collect(),
            "TooManyEntriesInBatchRequest",
        ),
        (
            vec![entry("a", &"x".repeat(600_000)), entry("b", &"x".repeat(600_000))],
            "BatchRequestTooLong",
        ),
    ] {
        let found = code(caller, "SendMessageBatch", batch(entries));
        assert_eq!(found, format!("AWS.SimpleQueueService.{expected}"));
    }
    let got = receive(caller, &url);
    let handles: Vec<Value> = got
        .iter()
        .enumerate()
        .map(|(id, message)| json!({"Id": id.to_string(), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 60}))
        .collect();
    let hidden = sqs(caller, "ChangeMessageVisibilityBatch", batch(handles.clone())).unwrap();
    assert_eq!(hidden["Successful"].as_array().unwrap().len(), 2);
    let mut deletes: Vec<Value> = handles;
    deletes.push(json!({"Id": "x", "ReceiptHandle": "noise"}));
    for entry in &mut deletes {
        entry.as_object_mut().unwrap().remove("VisibilityTimeout");
    }
    let deleted = sqs(caller, "DeleteMessageBatch", batch(deletes)).unwrap();
    assert_eq!(ids(&deleted["Successful"]), ["0", "1"]);
    assert_eq!(deleted["Failed"][0]["Code"], "ReceiptHandleIsInvalid");
    assert_eq!(counts(caller, &url), [0, 0, 0]);
}

#[test]
fn queues_are_made_once_found_listed_and_deleted() {
    let caller = &mut Caller::new();
    let url = made(caller, "a", json!({"DelaySeconds": "7"}));
    assert_eq!(made(caller, "a", json!({"DelaySeconds": "7"})), url);
    assert_eq!(made(caller, "a", json!({})), url);
    let other = json!({"QueueName": "a", "Attributes": {"DelaySeconds": "8"}});
    assert_eq!(code(caller, "CreateQueue", other), "QueueAlreadyExists");
    for (input, expected) in [
        (json!({"QueueName": "a b"}), "InvalidParameterValue"),
        (json!({"QueueName": "a.fifo"}), "InvalidParameterValue"),
        (
            json!({"QueueName": "a", "Attributes": {"FifoQueue": "true"}}),
            "InvalidParameterValue",
        ),
        (
            json!({"QueueName": "b", "Attributes": {"FifoQueue": "false"}}),
            "InvalidAttributeName",
        ),
        (
            json!({"QueueName": "b", "Attributes": {"Colour": "red"}}),
            "InvalidAttributeName",
        ),
        (
            json!({"QueueName": "b", "Attributes": {"VisibilityTimeout": "43201"}}),
            "InvalidAttributeValue",
        ),
    ] {
        assert_eq!(code(caller, "CreateQueue", input), expected);
    }
    made(caller, "ab", json!({}));
    made(caller, "b", json!({}));
    assert_eq!(
        sqs(caller, "GetQueueUrl", json!({"QueueName": "a"})).unwrap()["QueueUrl"],
        json!(url)
    );
    let none = json!({"QueueName": "c"});
    assert_eq!(
        code(caller, "GetQueueUrl", none),
        "AWS.SimpleQueueService.NonExistentQueue"
    );
    let first = sqs(
        caller,
        "ListQueues",
        json!({"QueueNamePrefix": "a", "MaxResults": 1}),
    )
    .unwrap();
    assert_eq!(first["QueueUrls"], json!([url]));
    let next = json!({"QueueNamePrefix": "a", "MaxResults": 1, "NextToken": first["NextToken"]});
    let second = sqs(caller, "ListQueues", next).unwrap();
    assert_eq!(second["QueueUrls"][0], "http://forebay.test/123456789012/ab");
    assert_eq!(second.get("NextToken"), None);
    send(caller, &url, "x");
    sqs(caller, "DeleteQueue", json!({"QueueUrl": url})).unwrap();
    assert_eq!(
        code(caller, "PurgeQueue", json!({"QueueUrl": url})),
        "AWS.SimpleQueueService.NonExistentQueue"
    );
    // A new queue of the same name is another queue.
    made(caller, "a", json!({}));
    assert_eq!(counts(caller, &url), [0, 0, 0]);
    send(caller, &url, "y");
    sqs(caller, "PurgeQueue", json!({"QueueUrl": url})).unwrap();
    assert_eq!(counts(caller, &url), [0, 0, 0]);
    assert_eq!(
        code(caller, "PurgeQueue", json!({"QueueUrl": url})),
        "AWS.SimpleQueueService.PurgeQueueInProgress"
    );
}

#[test]
fn fifo_queues_keep_order_and_deduplicate() {
    let caller = &mut Caller::new();
    let attributes = json!({"FifoQueue": "true", "ContentBasedDeduplication": "true"});
    let url = made(caller, "q.fifo", attributes);
    let message = |body: &str| json!({"QueueUrl": url, "MessageBody": body, "MessageGroupId": "g"});
    let one = sqs(caller, "SendMessage", message("1")).unwrap();
    assert_eq!(
        sqs(caller, "SendMessage", message("1")).unwrap()["MessageId"],
        one["MessageId"]
    );
    sqs(caller, "SendMessage", message("2")).unwrap();
    let got = receive(caller, &url);
    let bodies: Vec<&Value> = got.iter().map(|message| &message["Body"]).collect();
    assert_eq!(bodies, ["1", "2"]);
    assert_eq!(got[0]["Attributes"]["SequenceNumber"], one["SequenceNumber"]);
    assert_eq!(got[0]["Attributes"]["MessageGroupId"], "g");
    assert_eq!(
        got[0]["Attributes"]["MessageDeduplicationId"]
            .as_str()
            .unwrap()
            .len(),
        64
    );
    let no_group = json!({"QueueUrl": url, "MessageBody": "3"});
    assert_eq!(code(caller, "SendMessage", no_group), "MissingParameter");
    let set = json!({"QueueUrl": url, "Attributes": {"FifoThroughputLimit": "perMessageGroupId"}});
    assert_eq!(code(caller, "SetQueueAttributes", set), "InvalidAttributeValue");
    let standard = made(caller, "s", json!({}));
    let odd = json!({"QueueUrl": standard, "MessageBody": "x", "MessageDeduplicationId": "d"});
    assert_eq!(code(caller, "SendMessage", odd), "InvalidParameterValue");
}

#[test]
fn dead_letters_go_where_they_belong_and_back() {
    let caller = &mut Caller::new();
    let dead = made(caller, "dead", json!({}));
    let policy =
        json!({"deadLetterTargetArn": "arn:aws:sqs:local-1:123456789012:dead", "maxReceiveCount": "1"});
    let url = made(
        caller,
        "work",
        json!({"VisibilityTimeout": "0", "RedrivePolicy": policy.to_string()}),
    );
    send(caller, &url, "poison");
    assert_eq!(receive(caller, &url).len(), 1);
    assert_eq!(receive(caller, &url).len(), 0);
    let got = receive(caller, &dead);
    assert_eq!(
        got[0]["Attributes"]["DeadLetterQueueSourceArn"],
        "arn:aws:sqs:local-1:123456789012:work"
    );
    let sources = sqs(caller, "ListDeadLetterSourceQueues", json!({"QueueUrl": dead})).unwrap();
    assert_eq!(sources["queueUrls"], json!([url]));
    let arn = "arn:aws:sqs:local-1:123456789012:dead";
    let task = sqs(caller, "StartMessageMoveTask", json!({"SourceArn": arn})).unwrap();
    let tasks = sqs(caller, "ListMessageMoveTasks", json!({"SourceArn": arn})).unwrap();
    assert_eq!(tasks["Results"][0]["Status"], "COMPLETED");
    assert_eq!(
        code(caller, "CancelMessageMoveTask", task),
        "ResourceNotFoundException"
    );
    caller.now = caller.now + Duration::from_secs(60);
    assert_eq!(counts(caller, &dead), [1, 0, 0]);
    let task = sqs(
        caller,
        "StartMessageMoveTask",
        json!({"SourceArn": arn, "MaxNumberOfMessagesPerSecond": 1}),
    )
    .unwrap();
    assert_eq!(
        code(caller, "StartMessageMoveTask", json!({"SourceArn": arn})),
        "AWS.SimpleQueueService.UnsupportedOperation"
    );
    let stopped = sqs(caller, "CancelMessageMoveTask", task).unwrap();
    assert_eq!(stopped["ApproximateNumberOfMessagesMoved"], 0);
    for (text, _) in [
        ("{}", 0),
        ("no", 0),
        (
            r#"{"deadLetterTargetArn":"arn:aws:sqs:local-1:123456789012:none","maxReceiveCount":1}"#,
            0,
        ),
        (
            r#"{"deadLetterTargetArn":"arn:aws:sqs:local-1:123456789012:dead","maxReceiveCount":0}"#,
            0,
        ),
    ] {
        let set = json!({"QueueUrl": url, "Attributes": {"RedrivePolicy": text}});
        assert_eq!(
            code(caller, "SetQueueAttributes", set),
            "InvalidParameterValue",
            "{text}"
        );
    }
    let deny =
        json!({"QueueUrl": dead, "Attributes": {"RedriveAllowPolicy": r#"{"redrivePermission":"denyAll"}"#}});
    sqs(caller, "SetQueueAttributes", deny).unwrap();
    let set = json!({"QueueUrl": url, "Attributes": {"RedrivePolicy": policy.to_string()}});
    assert_eq!(code(caller, "SetQueueAttributes", set), "InvalidParameterValue");
    let none = json!({"QueueUrl": url, "Attributes": {"RedrivePolicy": ""}});
    sqs(caller, "SetQueueAttributes", none).unwrap();
}

#[test]
fn tags_and_permissions_are_kept() {
    let caller = &mut Caller::new();
    let input = json!({"QueueName": "t", "tags": {"team": "a"}});
    let url = sqs(caller, "CreateQueue", input).unwrap()["QueueUrl"].clone();
    sqs(
        caller,
        "TagQueue",
        json!({"QueueUrl": url, "Tags": {"stage": "b"}}),
    )
    .unwrap();
    let tags = |caller: &mut Caller| sqs(caller, "ListQueueTags", json!({"QueueUrl": url})).unwrap();
    assert_eq!(tags(caller), json!({"Tags": {"team": "a", "stage": "b"}}));
    sqs(
        caller,
        "UntagQueue",
        json!({"QueueUrl": url, "TagKeys": ["team", "stage"]}),
    )
    .unwrap();
    assert_eq!(tags(caller), json!({}));
    // Also by ARN, as for all resources with tags.
    let arn = "arn:aws:sqs:local-1:123456789012:t";
    let put = json!({"ResourceARNList": [arn], "Tags": {"team": "c"}});
    let failed = caller.call_of(Service::Tagging, "TagResources", put).unwrap();
    assert_eq!(failed["FailedResourcesMap"], json!({}));
    assert_eq!(tags(caller), json!({"Tags": {"team": "c"}}));
    let found = json!({"ResourceTypeFilters": ["sqs"]});
    let found = caller.call_of(Service::Tagging, "GetResources", found).unwrap();
    assert_eq!(found["ResourceTagMappingList"][0]["ResourceARN"], arn);
    let take = json!({"ResourceARNList": [arn], "TagKeys": ["team"]});
    caller.call_of(Service::Tagging, "UntagResources", take).unwrap();
    assert_eq!(tags(caller), json!({}));
    let permission = |label: &str, action: &str| json!({"QueueUrl": url, "Label": label, "AWSAccountIds": ["123456789012"], "Actions": [action]});
    sqs(caller, "AddPermission", permission("one", "SendMessage")).unwrap();
    assert_eq!(
        code(caller, "AddPermission", permission("one", "SendMessage")),
        "InvalidParameterValue"
    );
    assert_eq!(
        code(caller, "AddPermission", permission("two", "CreateQueue")),
        "InvalidParameterValue"
    );
    let policy = |caller: &mut Caller| {
        let input = json!({"QueueUrl": url, "AttributeNames": ["Policy"]});
        sqs(caller, "GetQueueAttributes", input).unwrap()["Attributes"]["Policy"].clone()
    };
    let shown: Value = serde_json::from_str(policy(caller).as_str().unwrap()).unwrap();
    assert_eq!(shown["Statement"][0]["Action"], "SQS:SendMessage");
    sqs(
        caller,
        "RemovePermission",
        json!({"QueueUrl": url, "Label": "one"}),
    )
    .unwrap();
    assert_eq!(policy(caller), Value::Null);
    assert_eq!(
        code(
            caller,
            "RemovePermission",
            json!({"QueueUrl": url, "Label": "one"})
        ),
        "InvalidParameterValue"
    );
}
