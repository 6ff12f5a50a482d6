//! EventBridge's operations, as clients call them, and the runs of rules.

use crate::schedules::{Looking, ask, doing, look};
use crate::testing::Caller;
use crate::{Asked, MessageOrder, Ports};
use forebay_awswire::{ApiError, Service};
use forebay_units::Wall;
use serde_json::{Value, json};

const QUEUE: &str = "arn:aws:sqs:local-1:123456789012:q";
const RULE: &str = "arn:aws:events:local-1:123456789012:rule/r";

impl Caller {
    fn events(&mut self, operation: &str, input: Value) -> Result<Value, ApiError> {
        self.call_of(Service::Events, operation, input)
    }
}

fn with_rule() -> Caller {
    let mut caller = Caller::new();
    caller
        .call_of(Service::Sqs, "CreateQueue", json!({"QueueName": "q"}))
        .unwrap();
    let tags = json!([{"Key": "a", "Value": "1"}]);
    let rule = json!({"Name": "r", "ScheduleExpression": "rate(1 minute)", "Tags": tags});
    assert_eq!(caller.events("PutRule", rule).unwrap(), json!({"RuleArn": RULE}));
    let target = json!({"Rule": "r", "Targets": [{"Id": "1", "Arn": QUEUE}]});
    assert_eq!(
        caller.events("PutTargets", target).unwrap()["FailedEntryCount"],
        0
    );
    caller
}

fn code(result: Result<Value, ApiError>) -> String {
    result.unwrap_err().code
}

/// The bodies of the messages that runs send at `now`.
fn sent(caller: &mut Caller, now: Wall) -> Vec<Value> {
    if let Some(next) = look(&caller.state, now, Looking::default()) {
        caller.state = next;
    }
    let ports = Ports {
        observations: &caller.observed,
        datapoints: &caller.datapoints,
    };
    let runs = doing(&caller.state, now, usize::MAX, |_, _| false).into_iter();
    runs.map(
        |(region, key, _)| match ask(&caller.state, &region, &key, &ports, now).unwrap().unwrap() {
            Asked::Order(MessageOrder::Send { letters, .. }, _) => {
                // The stored form: a version, then the body preceded by its length.
                let bytes = &letters[0].body[1..];
                let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
                serde_json::from_slice(&bytes[4..4 + length]).unwrap()
            }
            _ => panic!("nothing is sent"),
        },
    )
    .collect()
}

#[test]
fn a_rule_is_made_turned_off_and_deleted() {
    let mut caller = with_rule();
    let of = json!({"Name": "r"});
    let shown = caller.events("DescribeRule", of.clone()).unwrap();
    assert_eq!(
        (&shown["Arn"], &shown["State"]),
        (&json!(RULE), &json!("ENABLED"))
    );
    assert_eq!(
        caller.events("ListRules", json!({"NamePrefix": "r"})).unwrap()["Rules"][0]["Name"],
        "r"
    );
    let by = json!({"TargetArn": QUEUE});
    assert_eq!(
        caller.events("ListRuleNamesByTarget", by).unwrap()["RuleNames"],
        json!(["r"])
    );
    assert_eq!(
        code(caller.events("DeleteRule", of.clone())),
        "ValidationException"
    );
    caller.events("DisableRule", of.clone()).unwrap();
    let late = Wall::from_seconds(caller.now.seconds() + 600);
    assert!(sent(&mut caller, late).is_empty());
    caller.events("EnableRule", of.clone()).unwrap();
    let of_rule = json!({"Rule": "r", "Ids": ["1"]});
    assert_eq!(
        caller.events("ListTargetsByRule", json!({"Rule": "r"})).unwrap()["Targets"][0]["Id"],
        "1"
    );
    caller.events("RemoveTargets", of_rule).unwrap();
    caller.events("DeleteRule", of.clone()).unwrap();
    caller.events("DeleteRule", of.clone()).unwrap();
    assert_eq!(
        code(caller.events("DescribeRule", of)),
        "ResourceNotFoundException"
    );
    assert_eq!(
        caller.events("DescribeEventBus", json!({})).unwrap()["Name"],
        "default"
    );
    assert_eq!(
        caller.events("ListEventBuses", json!({})).unwrap()["EventBuses"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn tags_come_and_go() {
    let mut caller = with_rule();
    caller
        .events(
            "TagResource",
            json!({"ResourceARN": RULE, "Tags": [{"Key": "b", "Value": "2"}]}),
        )
        .unwrap();
    caller
        .events("UntagResource", json!({"ResourceARN": RULE, "TagKeys": ["a"]}))
        .unwrap();
    let listed = caller
        .events("ListTagsForResource", json!({"ResourceARN": RULE}))
        .unwrap();
    assert_eq!(listed["Tags"], json!([{"Key": "b", "Value": "2"}]));
    assert_eq!(
        code(caller.events("ListTagsForResource", json!({"ResourceARN": "x"}))),
        "ResourceNotFoundException"
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let mut caller = with_rule();
    let pattern = json!({"Name": "p", "EventPattern": "{}"});
    assert_eq!(
        code(caller.events("PutRule", pattern)),
        "InvalidEventPatternException"
    );
    for rule in [
        json!({"Name": "p"}),
        json!({"Name": "p", "ScheduleExpression": "rate(1 minutes)"}),
        json!({"Name": "p", "ScheduleExpression": "at(2030-01-01T00:00:00)"}),
    ] {
        assert_eq!(code(caller.events("PutRule", rule)), "ValidationException");
    }
    let bus = json!({"Name": "r", "EventBusName": "other"});
    assert_eq!(
        code(caller.events("DescribeRule", bus)),
        "ResourceNotFoundException"
    );
    for target in [
        json!({"Id": "2", "Arn": "arn:aws:sns:local-1:123456789012:t"}),
        json!({"Id": "2", "Arn": QUEUE, "Input": "{"}),
        json!({"Id": "2", "Arn": QUEUE, "Input": "{}", "InputPath": "$.detail"}),
        json!({"Id": "2", "Arn": QUEUE, "EcsParameters": {"TaskDefinitionArn": "x"}}),
    ] {
        let input = json!({"Rule": "r", "Targets": [target]});
        assert_eq!(code(caller.events("PutTargets", input)), "ValidationException");
    }
    let many: Vec<Value> = (0..6)
        .map(|id| json!({"Id": id.to_string(), "Arn": QUEUE}))
        .collect();
    assert_eq!(
        code(caller.events("PutTargets", json!({"Rule": "r", "Targets": many}))),
        "LimitExceededException"
    );
}

#[test]
fn targets_get_the_event_or_what_is_made_of_it() {
    let mut caller = with_rule();
    let transformer = json!({
        "InputPathsMap": {"when": "$.time", "first": "$.resources[0]"},
        "InputTemplate": "{\"at\": \"<when>\", \"of\": \"<first>\", \"rule\": \"<aws.events.rule-name>\"}",
    });
    let targets = json!([
        {"Id": "2", "Arn": QUEUE, "Input": "{\"fixed\": true}"},
        {"Id": "3", "Arn": QUEUE, "InputPath": "$.source"},
        {"Id": "4", "Arn": QUEUE, "InputTransformer": transformer},
    ]);
    caller
        .events("PutTargets", json!({"Rule": "r", "Targets": targets}))
        .unwrap();
    let due = Wall::from_seconds(caller.now.seconds() + 60);
    let sent = sent(&mut caller, due);
    let time = "2023-11-14T22:14:20Z";
    assert_eq!(sent[0]["detail-type"], "Scheduled Event");
    assert_eq!(
        (&sent[0]["time"], &sent[0]["resources"]),
        (&json!(time), &json!([RULE]))
    );
    assert_eq!(sent[1], json!({"fixed": true}));
    assert_eq!(sent[2], json!("aws.events"));
    assert_eq!(sent[3], json!({"at": time, "of": RULE, "rule": "r"}));
}
