//! EventBridge Scheduler's operations, as clients call them, and the runs of schedules.

use crate::schedules::{Doing, Looking, ask, carry_out, doing, finish, look, next_look};
use crate::testing::{Caller, REGION};
use crate::{Asked, MessageOrder, Ports};
use forebay_awswire::{ApiError, Service};
use forebay_units::Wall;
use serde_json::{Value, json};

mod changes;

const QUEUE: &str = "arn:aws:sqs:local-1:123456789012:q";
const ROLE: &str = "arn:aws:iam::123456789012:role/run";

impl Caller {
    fn scheduler(&mut self, operation: &str, input: Value) -> Result<Value, ApiError> {
        self.call_of(Service::Scheduler, operation, input)
    }

    /// Looks at schedules at `now` and carries out the runs that write. Returns what the others ask for outside the
    /// writer.
    fn runs(&mut self, now: Wall) -> Vec<(String, Asked)> {
        self.now = now;
        if let Some(next) = look(&self.state, now, Looking::default()) {
            self.state = next;
        }
        let mut asked = Vec::new();
        for (region, key, how) in doing(&self.state, now, usize::MAX, |_, _| false) {
            let ports = Ports {
                observations: &self.observed,
                datapoints: &self.datapoints,
            };
            match how {
                Doing::Write => self.state = carry_out(&self.state, &region, &key, &ports, now).unwrap(),
                Doing::Ask => match ask(&self.state, &region, &key, &ports, now).unwrap() {
                    Ok(what) => asked.push((key, what)),
                    Err(error) => self.state = finish(&self.state, &region, &key, Err(&error), now).unwrap(),
                },
                Doing::Put => panic!("nothing is put"),
            }
        }
        asked
    }
}

fn with_queue() -> Caller {
    let mut caller = Caller::new();
    caller
        .call_of(Service::Sqs, "CreateQueue", json!({"QueueName": "q"}))
        .unwrap();
    caller
}

fn schedule(name: &str, expression: &str, arn: &str) -> Value {
    json!({
        "Name": name, "ScheduleExpression": expression, "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": arn, "RoleArn": ROLE},
    })
}

fn code(result: Result<Value, ApiError>) -> String {
    result.unwrap_err().code
}

#[test]
fn a_schedule_is_made_changed_listed_and_deleted() {
    let mut caller = with_queue();
    let made = caller
        .scheduler("CreateSchedule", schedule("s", "rate(1 hour)", QUEUE))
        .unwrap();
    assert_eq!(
        made["ScheduleArn"],
        "arn:aws:scheduler:local-1:123456789012:schedule/default/s"
    );
    assert_eq!(
        code(caller.scheduler("CreateSchedule", schedule("s", "rate(1 hour)", QUEUE))),
        "ConflictException"
    );
    let mut change = schedule("s", "cron(0 8 ? * MON-FRI *)", QUEUE);
    change["ScheduleExpressionTimezone"] = json!("Europe/Berlin");
    change["FlexibleTimeWindow"] = json!({"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15});
    change["State"] = json!("DISABLED");
    caller.scheduler("UpdateSchedule", change).unwrap();
    assert_eq!(next_look(&caller.state, caller.now, |_, _| false), None);
    let shown = caller.scheduler("GetSchedule", json!({"Name": "s"})).unwrap();
    assert_eq!(
        (&shown["State"], &shown["ScheduleExpressionTimezone"]),
        (&json!("DISABLED"), &json!("Europe/Berlin"))
    );
    assert_eq!(shown["FlexibleTimeWindow"]["MaximumWindowInMinutes"], 15);
    assert_eq!(shown["Target"]["RetryPolicy"]["MaximumRetryAttempts"], 185);
    let listed = caller
        .scheduler("ListSchedules", json!({"NamePrefix": "s", "State": "DISABLED"}))
        .unwrap();
    assert_eq!(listed["Schedules"][0]["Target"]["Arn"], QUEUE);
    caller.scheduler("DeleteSchedule", json!({"Name": "s"})).unwrap();
    assert_eq!(
        code(caller.scheduler("GetSchedule", json!({"Name": "s"}))),
        "ResourceNotFoundException"
    );
}

#[test]
fn groups_have_tags_and_take_their_schedules_with_them() {
    let mut caller = with_queue();
    let tags = json!([{"Key": "a", "Value": "1"}]);
    let made = caller
        .scheduler("CreateScheduleGroup", json!({"Name": "g", "Tags": tags}))
        .unwrap();
    let arn = made["ScheduleGroupArn"].clone();
    assert_eq!(
        code(caller.scheduler("CreateScheduleGroup", json!({"Name": "g"}))),
        "ConflictException"
    );
    let mut within = schedule("s", "rate(1 hour)", QUEUE);
    within["GroupName"] = json!("g");
    caller.scheduler("CreateSchedule", within).unwrap();
    caller
        .scheduler(
            "TagResource",
            json!({"ResourceArn": arn, "Tags": [{"Key": "b", "Value": "2"}]}),
        )
        .unwrap();
    caller
        .scheduler("UntagResource", json!({"ResourceArn": arn, "TagKeys": ["a"]}))
        .unwrap();
    let listed = caller
        .scheduler("ListTagsForResource", json!({"ResourceArn": arn}))
        .unwrap();
    assert_eq!(listed["Tags"], json!([{"Key": "b", "Value": "2"}]));
    let groups = caller.scheduler("ListScheduleGroups", json!({})).unwrap();
    assert_eq!(groups["ScheduleGroups"].as_array().unwrap().len(), 2);
    assert_eq!(
        caller
            .scheduler("GetScheduleGroup", json!({"Name": "default"}))
            .unwrap()["State"],
        "ACTIVE"
    );
    assert_eq!(
        code(caller.scheduler("DeleteScheduleGroup", json!({"Name": "default"}))),
        "ValidationException"
    );
    caller
        .scheduler("DeleteScheduleGroup", json!({"Name": "g"}))
        .unwrap();
    assert!(caller.state.region(REGION).event_schedules.is_empty());
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let mut caller = with_queue();
    let universal = |action: &str| format!("arn:aws:scheduler:::aws-sdk:{action}");
    let mut refused = |expression: &str, arn: &str, change: Value| {
        let mut input = schedule("s", expression, arn);
        for (name, value) in change.as_object().unwrap() {
            if name == "Input" || name == "DeadLetterConfig" {
                input["Target"][name] = value.clone();
            } else {
                input[name] = value.clone();
            }
        }
        let error = caller.scheduler("CreateSchedule", input).unwrap_err();
        assert_eq!(error.code, "ValidationException", "{error}");
        error.message
    };
    let none = json!({});
    assert!(refused("rate(0 hours)", QUEUE, none.clone()).contains("rate(0 hours)"));
    assert!(
        refused(
            "rate(1 hour)",
            "arn:aws:sqs:local-1:123456789012:none",
            none.clone()
        )
        .contains("does not exist")
    );
    assert!(refused("rate(1 hour)", "arn:aws:sns:local-1:123456789012:t", none.clone()).contains("Arn"));
    assert!(
        refused("rate(1 hour)", &universal("ec2:describeInstances"), none.clone()).contains("only reads")
    );
    assert!(refused("rate(1 hour)", &universal("lambda:createFunction"), none.clone()).contains("code"));
    assert!(refused("rate(1 hour)", &universal("dynamodb:putItem"), none.clone()).contains("dynamodb"));
    let wrong = json!({"Input": r#"{"LoadBalancer": "x"}"#});
    assert!(
        refused(
            "rate(1 hour)",
            &universal("elasticloadbalancingv2:modifyCapacityReservation"),
            wrong
        )
        .contains("LoadBalancer")
    );
    let zone = json!({"ScheduleExpressionTimezone": "Mars/Olympus"});
    assert!(refused("rate(1 hour)", QUEUE, zone).contains("Mars"));
    let key = json!({"KmsKeyArn": "arn:aws:kms:local-1:123456789012:key/k"});
    assert!(refused("rate(1 hour)", QUEUE, key).contains("KmsKeyArn"));
    let dates = json!({"StartDate": 1_700_003_600, "EndDate": 1_700_000_000});
    assert!(refused("rate(1 hour)", QUEUE, dates).contains("EndDate"));
    let window = json!({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}});
    assert!(refused("rate(1 hour)", QUEUE, window).contains("FlexibleTimeWindow"));
    let dead = json!({"DeadLetterConfig": {"Arn": "arn:aws:sqs:local-1:123456789012:none"}});
    assert!(refused("rate(1 hour)", QUEUE, dead).contains("dead-letter"));
}

#[test]
fn a_capacity_reservation_is_set_and_reset_at_the_second() {
    let mut caller = Caller::new();
    let balancer = caller.balancer("lb");
    let begin = caller.now;
    let call = |name: &str, at: &str, input: Value| {
        let mut schedule = schedule(
            name,
            at,
            "arn:aws:scheduler:::aws-sdk:elasticloadbalancingv2:modifyCapacityReservation",
        );
        schedule["Target"]["Input"] = json!(input.to_string());
        schedule["ActionAfterCompletion"] = json!("DELETE");
        schedule
    };
    let capacity =
        json!({"LoadBalancerArn": balancer, "MinimumLoadBalancerCapacity": {"CapacityUnits": 500}});
    caller
        .scheduler("CreateSchedule", call("set", "at(2023-11-14T22:14:00)", capacity))
        .unwrap();
    let reset = json!({"LoadBalancerArn": balancer, "ResetCapacityReservation": true});
    caller
        .scheduler("CreateSchedule", call("reset", "at(2023-11-14T22:15:00)", reset))
        .unwrap();
    let units = |caller: &mut Caller| {
        let input = json!({"LoadBalancerArn": balancer});
        let told = caller.ok("DescribeCapacityReservation", input);
        told["MinimumLoadBalancerCapacity"]["CapacityUnits"].as_i64()
    };
    // `now` is 22:13:20.
    assert_eq!(
        next_look(&caller.state, caller.now, |_, _| false),
        Some(Wall::from_seconds(begin.seconds() + 40))
    );
    caller.runs(Wall::from_seconds(begin.seconds() + 39));
    assert_eq!(units(&mut caller), None);
    caller.runs(Wall::from_seconds(begin.seconds() + 40));
    assert_eq!(units(&mut caller), Some(500));
    caller.runs(Wall::from_seconds(begin.seconds() + 100));
    assert_eq!(units(&mut caller), None);
    let region = caller.state.region(REGION);
    assert!(
        region.event_schedules.is_empty()
            && region.scheduled_runs.is_empty()
            && region.schedule_clocks.is_empty()
    );
}

#[test]
fn a_run_is_a_row_until_it_is_done_and_asks_for_the_same_each_time() {
    let mut caller = with_queue();
    caller
        .scheduler("CreateSchedule", schedule("s", "rate(1 minute)", QUEUE))
        .unwrap();
    let begin = caller.now;
    let id = |asked: &Asked| match asked {
        Asked::Order(MessageOrder::Send { letters, .. }, _) => letters[0].id,
        _ => panic!("nothing is sent"),
    };
    let first = caller.runs(begin);
    assert_eq!(first.len(), 1);
    // After a crash before the result is known, the run asks again with the same message, and no other run is found.
    let again = caller.runs(Wall::from_seconds(begin.seconds() + 5));
    assert_eq!((again.len(), id(&again[0].1)), (1, id(&first[0].1)));
    assert!(id(&first[0].1).is_naming());
    caller.state = finish(&caller.state, REGION, &first[0].0, Ok(()), begin).unwrap();
    assert!(caller.runs(Wall::from_seconds(begin.seconds() + 59)).is_empty());
    let next = caller.runs(Wall::from_seconds(begin.seconds() + 60));
    assert_ne!(id(&next[0].1), id(&first[0].1));
    let views = caller.state.schedule_views(caller.now);
    assert_eq!(
        (views[0].runs.len(), views[0].next),
        (2, Some(Wall::from_seconds(begin.seconds() + 120)))
    );
}

#[test]
fn each_message_of_a_batch_has_its_own_id_and_keeps_it() {
    let mut caller = with_queue();
    let arn = "arn:aws:scheduler:::aws-sdk:sqs:sendMessageBatch";
    let mut batch = schedule("s", "rate(1 minute)", arn);
    let entries: Vec<Value> = (0..3)
        .map(|place| json!({"Id": place.to_string(), "MessageBody": "b"}))
        .collect();
    let input = json!({"QueueUrl": "http://127.0.0.1:4566/123456789012/q", "Entries": entries});
    batch["Target"]["Input"] = json!(input.to_string());
    caller.scheduler("CreateSchedule", batch).unwrap();
    let mut ids = |seconds: i64| {
        let asked = caller.runs(Wall::from_seconds(caller.now.seconds() + seconds));
        match &asked[0].1 {
            Asked::Order(MessageOrder::Send { letters, .. }, _) => {
                letters.iter().map(|letter| letter.id).collect::<Vec<_>>()
            }
            _ => panic!("nothing is sent"),
        }
    };
    let first = ids(0);
    assert_eq!(first.len(), 3);
    assert!(first[0] != first[1] && first[1] != first[2] && first[0] != first[2]);
    assert_eq!(ids(5), first);
}

#[test]
fn a_run_that_fails_for_good_goes_to_its_dead_letter_queue() {
    let mut caller = with_queue();
    caller
        .call_of(Service::Sqs, "CreateQueue", json!({"QueueName": "gone"}))
        .unwrap();
    let mut failing = schedule("s", "rate(1 hour)", "arn:aws:sqs:local-1:123456789012:gone");
    failing["Target"]["DeadLetterConfig"] = json!({"Arn": QUEUE});
    caller.scheduler("CreateSchedule", failing).unwrap();
    caller
        .call_of(
            Service::Sqs,
            "DeleteQueue",
            json!({"QueueUrl": "/123456789012/gone"}),
        )
        .unwrap();
    let begin = caller.now;
    assert!(caller.runs(begin).is_empty());
    let dead = caller.runs(begin);
    let (key, Asked::Order(MessageOrder::Send { queue, .. }, _)) = &dead[0] else {
        panic!("nothing is sent")
    };
    assert_eq!(*queue, caller.state.region(REGION).queues["q"].id);
    caller.state = finish(&caller.state, REGION, key, Ok(()), begin).unwrap();
    let views = caller.state.schedule_views(begin);
    assert!(
        format!("{:?}", views[0].runs[0].phase).contains("NonExistentQueue"),
        "{views:?}"
    );
}

#[test]
fn a_rate_goes_on_from_where_it_counted_when_something_else_changes() {
    let mut caller = with_queue();
    caller
        .scheduler("CreateSchedule", schedule("s", "rate(1 hour)", QUEUE))
        .unwrap();
    let begin = caller.now;
    let [(key, _)] = &caller.runs(begin)[..] else {
        panic!("one run")
    };
    caller.state = finish(&caller.state, REGION, key, Ok(()), begin).unwrap();
    caller.now = Wall::from_seconds(begin.seconds() + 600);
    let mut ends = schedule("s", "rate(1 hour)", QUEUE);
    ends["EndDate"] = json!(begin.seconds() + 7200);
    caller.scheduler("UpdateSchedule", ends).unwrap();
    assert_eq!(
        next_look(&caller.state, caller.now, |_, _| false),
        Some(Wall::from_seconds(begin.seconds() + 3600))
    );
    caller
        .scheduler("UpdateSchedule", schedule("s", "rate(2 hours)", QUEUE))
        .unwrap();
    assert_eq!(
        next_look(&caller.state, caller.now, |_, _| false),
        Some(caller.now)
    );
}

#[test]
fn a_function_is_configured_by_a_schedule_only_if_its_maker_is_known() {
    let mut caller = with_queue();
    caller.function_named("f");
    let arn = "arn:aws:scheduler:::aws-sdk:lambda:updateFunctionConfiguration";
    let mut change = schedule("s", "rate(1 hour)", arn);
    change["Target"]["Input"] = json!(json!({"FunctionName": "f", "Timeout": 77}).to_string());
    caller.is_proven = false;
    assert_eq!(
        code(caller.scheduler("CreateSchedule", change.clone())),
        "ValidationException"
    );
    caller.is_proven = true;
    caller.scheduler("CreateSchedule", change).unwrap();
    caller.runs(caller.now);
    assert_eq!(caller.state.functions()[0].timeout_s, 77);
}

#[test]
fn what_was_missed_runs_once() {
    let mut caller = with_queue();
    caller
        .scheduler("CreateSchedule", schedule("s", "rate(1 minute)", QUEUE))
        .unwrap();
    let late = Wall::from_seconds(caller.now.seconds() + 3600);
    let runs = caller.runs(late);
    // The run that is due now, and the latest of those that are more than a minute late.
    let views = caller.state.schedule_views(late);
    assert_eq!((runs.len(), views[0].missed), (3, 58));
    assert!(views[0].runs.iter().any(|run| run.caught_up));
}
