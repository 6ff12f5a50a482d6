//! Changes of schedules between a run's scheduled time and its end, calls that are made twice, and what is checked first.

use super::*;
use crate::schedules::miss;
use forebay_schedules::CatchUp;

const HOUR: i64 = 3600;

fn with_window(name: &str, minutes: i64) -> Value {
    let mut schedule = schedule(name, "at(2023-11-14T22:14:00)", QUEUE);
    schedule["FlexibleTimeWindow"] = json!({"Mode": "FLEXIBLE", "MaximumWindowInMinutes": minutes});
    schedule
}

/// A schedule whose only run waits within its window of an hour, and when it begins.
fn waiting() -> (Caller, Wall) {
    let mut caller = with_queue();
    caller.scheduler("CreateSchedule", with_window("s", 60)).unwrap();
    assert!(
        caller
            .runs(Wall::from_seconds(caller.now.seconds() + 41))
            .is_empty()
    );
    let begins = next_look(&caller.state, caller.now, |_, _| false).unwrap();
    assert!(begins > caller.now && begins < Wall::from_seconds(caller.now.seconds() + HOUR));
    (caller, begins)
}

#[test]
fn a_change_within_the_window_keeps_the_run() {
    let (mut caller, begins) = waiting();
    let mut change = with_window("s", 60);
    change["Description"] = json!("changed");
    change["Target"]["Input"] = json!("later");
    caller.scheduler("UpdateSchedule", change).unwrap();
    assert!(caller.runs(Wall(begins.0 - 1)).is_empty());
    let runs = caller.runs(begins);
    let [(_, Asked::Order(MessageOrder::Send { letters, .. }, _))] = &runs[..] else {
        panic!("one message")
    };
    assert!(String::from_utf8_lossy(&letters[0].body).contains("later"));
}

#[test]
fn a_window_that_is_shortened_lets_the_run_begin_and_no_run_comes_twice() {
    let (mut caller, _) = waiting();
    caller
        .scheduler("UpdateSchedule", schedule("s", "at(2023-11-14T22:14:00)", QUEUE))
        .unwrap();
    let runs = caller.runs(caller.now);
    assert_eq!(runs.len(), 1);
    caller.state = finish(&caller.state, REGION, &runs[0].0, Ok(()), caller.now).unwrap();
    // A window that reaches back to times that have run draws none of them again.
    caller
        .scheduler("UpdateSchedule", with_window("s", 1440))
        .unwrap();
    assert!(
        caller
            .runs(Wall::from_seconds(caller.now.seconds() + 24 * HOUR))
            .is_empty()
    );
    assert_eq!(caller.state.schedule_views(caller.now)[0].runs.len(), 1);
}

#[test]
fn a_schedule_that_is_turned_off_or_moved_drops_the_run_that_waits() {
    for (name, value) in [
        ("State", "DISABLED"),
        ("ScheduleExpression", "at(2024-01-01T00:00:00)"),
    ] {
        let (mut caller, begins) = waiting();
        let mut change = with_window("s", 60);
        change[name] = json!(value);
        caller.scheduler("UpdateSchedule", change).unwrap();
        assert!(caller.runs(begins).is_empty(), "{name}");
    }
}

#[test]
fn runs_whose_moment_passed_while_nobody_looked_count_as_missed() {
    let catch_up = |catch_up| Looking {
        catch_up,
        ..Looking::default()
    };
    let (caller, begins) = waiting();
    let late = Wall::from_seconds(begins.seconds() + 61);
    assert!(miss(&caller.state, begins, Looking::default()).is_none());
    let latest = miss(&caller.state, late, catch_up(CatchUp::RunLatest)).unwrap();
    assert_eq!(doing(&latest, late, 9, |_, _| false).len(), 1);
    assert!(latest.schedule_views(late)[0].runs[0].caught_up);
    let skipped = miss(&caller.state, late, catch_up(CatchUp::Skip)).unwrap();
    assert!(doing(&skipped, late, 9, |_, _| false).is_empty());
    assert_eq!(skipped.schedule_views(late)[0].missed, 1);
}

#[test]
fn a_call_with_the_same_token_is_answered_alike() {
    let mut caller = with_queue();
    let mut one = schedule("s", "rate(1 hour)", QUEUE);
    one["ClientToken"] = json!("token");
    let made = caller.scheduler("CreateSchedule", one.clone()).unwrap();
    caller.now = Wall::from_seconds(caller.now.seconds() + 5);
    assert_eq!(caller.scheduler("CreateSchedule", one.clone()).unwrap(), made);
    let mut other = one.clone();
    other["ScheduleExpression"] = json!("rate(2 hours)");
    assert_eq!(
        code(caller.scheduler("CreateSchedule", other)),
        "ConflictException"
    );
    one["ClientToken"] = json!("another");
    assert_eq!(code(caller.scheduler("CreateSchedule", one)), "ConflictException");
    let group = json!({"Name": "g", "ClientToken": "token"});
    let made = caller.scheduler("CreateScheduleGroup", group.clone()).unwrap();
    assert_eq!(caller.scheduler("CreateScheduleGroup", group).unwrap(), made);
    assert_eq!(
        code(caller.scheduler("CreateScheduleGroup", json!({"Name": "g", "ClientToken": "x"}))),
        "ConflictException"
    );
}

#[test]
fn dates_inputs_and_dead_letter_queues_are_checked_first() {
    let mut caller = with_queue();
    let function = caller.function_named("f");
    let fifo = json!({"QueueName": "dead.fifo", "Attributes": {"FifoQueue": "true"}});
    caller.call_of(Service::Sqs, "CreateQueue", fifo).unwrap();
    let mut old = schedule("s", "rate(1 hour)", QUEUE);
    old["StartDate"] = json!(caller.now.seconds() - 301);
    let mut text = schedule("s", "rate(1 hour)", &function);
    text["Target"]["Input"] = json!("no JSON");
    let mut large = schedule("s", "rate(1 hour)", QUEUE);
    large["Target"]["Input"] = json!("x".repeat(256 * 1024 + 1));
    let mut dead = schedule("s", "rate(1 hour)", QUEUE);
    dead["Target"]["DeadLetterConfig"] = json!({"Arn": "arn:aws:sqs:local-1:123456789012:dead.fifo"});
    for (wrong, why) in [
        (old, "5 minutes ago"),
        (text, "JSON"),
        (large, "bytes"),
        (dead, "FIFO"),
    ] {
        let error = caller.scheduler("CreateSchedule", wrong).unwrap_err();
        assert!(
            error.code == "ValidationException" && error.message.contains(why),
            "{error:?}"
        );
    }
    // What a run fills in is filled in for the check.
    let mut number = schedule("s", "rate(1 hour)", &function);
    number["Target"]["Input"] = json!(r#"{"n": <aws.scheduler.attempt-number>}"#);
    caller.scheduler("CreateSchedule", number).unwrap();
    let arn = "arn:aws:scheduler:::aws-sdk:cloudwatch:putMetricData";
    let mut time = schedule("t", "rate(1 hour)", arn);
    let datum = json!({"MetricName": "m", "Value": 1.0, "Timestamp": "<aws.scheduler.scheduled-time>"});
    time["Target"]["Input"] = json!(json!({"Namespace": "n", "MetricData": [datum]}).to_string());
    caller.scheduler("CreateSchedule", time).unwrap();
}

#[test]
fn a_universal_invocation_is_an_event_with_the_payload_as_text() {
    let mut caller = with_queue();
    caller.function_named("f");
    let mut invoke = schedule("s", "rate(1 hour)", "arn:aws:scheduler:::aws-sdk:lambda:invoke");
    let payload = json!({"message": "x"}).to_string();
    invoke["Target"]["Input"] = json!(json!({"FunctionName": "f", "Payload": payload}).to_string());
    caller.scheduler("CreateSchedule", invoke).unwrap();
    let runs = caller.runs(caller.now);
    let [(_, Asked::Order(MessageOrder::Send { letters, .. }, _))] = &runs[..] else {
        panic!("one event")
    };
    assert!(String::from_utf8_lossy(&letters[0].body).contains(r#"{"message":"x"}"#));
    assert!(letters[0].id.is_naming());
}

#[test]
fn a_dead_letter_that_cannot_be_sent_for_a_while_is_sent_later() {
    let mut caller = with_queue();
    let gone = json!({"QueueName": "gone"});
    caller.call_of(Service::Sqs, "CreateQueue", gone).unwrap();
    let mut failing = schedule("s", "rate(1 hour)", "arn:aws:sqs:local-1:123456789012:gone");
    failing["Target"]["DeadLetterConfig"] = json!({"Arn": QUEUE});
    failing["Target"]["Input"] = json!("a text");
    caller.scheduler("CreateSchedule", failing).unwrap();
    let url = json!({"QueueUrl": "/123456789012/gone"});
    caller.call_of(Service::Sqs, "DeleteQueue", url).unwrap();
    caller.runs(caller.now);
    let dead = caller.runs(caller.now);
    let full = ApiError::receiver(503, "ServiceUnavailable", "The disk is full.");
    caller.state = finish(&caller.state, REGION, &dead[0].0, Err(&full), caller.now).unwrap();
    assert!(caller.runs(caller.now).is_empty());
    let dead = caller.runs(Wall::from_seconds(caller.now.seconds() + 10));
    let [(key, Asked::Order(MessageOrder::Send { letters, .. }, _))] = &dead[..] else {
        panic!("one dead letter")
    };
    let body = String::from_utf8_lossy(&letters[0].body).into_owned();
    for part in [
        r#""MessageBody":"a text""#,
        "SCHEDULE_ARN",
        "SCHEDULED_TIME",
        "EXECUTION_ID",
        "IS_PAYLOAD_TRUNCATED",
    ] {
        assert!(body.contains(part), "{part}: {body}");
    }
    caller.state = finish(&caller.state, REGION, key, Ok(()), caller.now).unwrap();
    let views = caller.state.schedule_views(caller.now);
    assert_eq!(views[0].runs[0].target.input, None);
}

#[test]
fn a_schedule_that_will_never_run_is_deleted_if_told() {
    let mut caller = with_queue();
    let mut past = schedule("s", "at(2023-11-14T22:00:00)", QUEUE);
    caller.scheduler("CreateSchedule", past.clone()).unwrap();
    caller.runs(caller.now);
    assert_eq!(caller.state.schedule_views(caller.now).len(), 1);
    past["ActionAfterCompletion"] = json!("DELETE");
    caller.scheduler("UpdateSchedule", past).unwrap();
    caller.runs(caller.now);
    assert!(caller.state.schedule_views(caller.now).is_empty());
}

#[test]
fn a_wall_clock_that_was_years_ahead_stops_nothing() {
    let mut caller = with_queue();
    let begin = caller.now;
    caller
        .scheduler("CreateSchedule", schedule("s", "rate(1 hour)", QUEUE))
        .unwrap();
    caller.runs(Wall::from_seconds(begin.seconds() + 5 * 365 * 24 * HOUR));
    for (key, _) in caller.state.region(REGION).scheduled_runs.clone().iter() {
        caller.state = finish(&caller.state, REGION, key, Ok(()), begin).unwrap();
    }
    caller.now = begin;
    assert_eq!(next_look(&caller.state, begin, |_, _| false), Some(begin));
    assert!(caller.runs(begin).is_empty());
    let next = Wall::from_seconds(begin.seconds() + HOUR);
    assert_eq!(next_look(&caller.state, begin, |_, _| false), Some(next));
    assert_eq!(caller.runs(next).len(), 1);
}
