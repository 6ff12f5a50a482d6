//! The documents of AWS's guides, field by field.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

use forebay_functions::alb::{Request, Values, event, health_check_event, read_answer};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct EventCase {
    source: String,
    target_group_arn: String,
    multi_value: bool,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    event: Value,
}

/// Compares member by member, so that a failure names the member.
fn assert_members(made: &[u8], wanted: &Value, source: &str) {
    let made: Value = serde_json::from_slice(made).unwrap();
    let (made, wanted) = (made.as_object().unwrap(), wanted.as_object().unwrap());
    assert_eq!(
        made.keys().collect::<Vec<_>>(),
        wanted.keys().collect::<Vec<_>>(),
        "{source}"
    );
    for (name, member) in wanted {
        assert_eq!(&made[name], member, "{name} of: {source}");
    }
}

#[test]
fn events_are_those_of_the_guides() {
    let cases: Vec<EventCase> = serde_json::from_str(include_str!("data/alb_events.json")).unwrap();
    for case in cases {
        let headers: Vec<(&[u8], &[u8])> = case
            .headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let request = Request {
            target_group_arn: &case.target_group_arn,
            method: case.method.as_bytes(),
            target: case.target.as_bytes(),
            headers: &headers,
            body: case.body.as_bytes(),
        };
        let made = event(&request, Values::of(case.multi_value)).unwrap();
        assert_members(&made, &case.event, &case.source);
    }
}

#[derive(Deserialize)]
struct HealthCase {
    source: String,
    target_group_arn: String,
    path: String,
    event: Value,
}

#[test]
fn the_health_checks_event_is_that_of_the_guide() {
    let case: HealthCase = serde_json::from_str(include_str!("data/alb_health_check.json")).unwrap();
    let made = health_check_event(&case.target_group_arn, &case.path, Values::Last);
    assert_members(&made, &case.event, &case.source);
}

#[derive(Deserialize)]
struct AnswerCase {
    source: String,
    multi_value: bool,
    answer: Value,
    status: u16,
    phrase: Option<String>,
    headers: Vec<(String, String)>,
    body: String,
}

#[test]
fn answers_are_read_as_the_guides_say() {
    let cases: Vec<AnswerCase> = serde_json::from_str(include_str!("data/alb_answers.json")).unwrap();
    for case in cases {
        let mut read = read_answer(case.answer.to_string().as_bytes(), Values::of(case.multi_value)).unwrap();
        // The order of names does not matter; that of values of one name does.
        read.headers.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(read.status, case.status, "{}", case.source);
        assert_eq!(read.phrase, case.phrase, "{}", case.source);
        assert_eq!(read.headers, case.headers, "{}", case.source);
        assert_eq!(read.body, case.body.as_bytes(), "{}", case.source);
    }
}
