//! Health checks of functions, and what is logged about functions.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod harness;

use forebay_functions::FunctionError;
use forebay_model::*;
use forebay_node::logging::{Always, ConnectionFacts, LogFacts, LogWriter, Logger, ProbeFacts};
use forebay_node::{ProbeResult, Reason};
use harness::fake::*;
use harness::*;
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What was logged about requests and probes.
#[derive(Clone, Default)]
struct Reader {
    requests: Arc<Mutex<Vec<ToldRequest>>>,
    probes: Arc<Mutex<Vec<ToldProbe>>>,
}

/// Status, reason, and whether the target has an address.
type ToldRequest = (u16, Option<Reason>, bool);
/// Kind, whether the target has an address, and the result.
type ToldProbe = (&'static str, bool, ProbeResult);

impl Logger for Reader {
    fn log_writer(&self) -> Box<dyn LogWriter> {
        Box::new(self.clone())
    }

    fn always(&self) -> Always {
        Always {
            access: true,
            connection: false,
            health: true,
        }
    }
}

impl LogWriter for Reader {
    fn request(&mut self, facts: &LogFacts<'_>) {
        let target = facts.record.target.as_ref();
        let has_address = target.is_some_and(|target| target.address.is_some());
        let told = (facts.status, facts.record.reason, has_address);
        self.requests.lock().unwrap().push(told);
    }

    fn connection(&mut self, _: &ConnectionFacts<'_>) {}

    fn probe(&mut self, facts: &ProbeFacts<'_>) {
        let told = (facts.kind, facts.address.is_some(), facts.result);
        self.probes.lock().unwrap().push(told);
    }

    fn flush(&mut self) {}
}

#[test]
fn health_checks_are_events_by_their_interval() {
    let functions = Fake::new(|event| {
        let status = if event["path"] == "/health" { 201 } else { 200 };
        Some(said(&json!({"statusCode": status})))
    });
    let reader = Reader::default();
    let balancer = Balancer::of_function(
        Arc::clone(&functions) as _,
        BalancerSettings::default(),
        Some(Arc::new(reader.clone())),
        usize::MAX,
    );
    balancer.edit_group(|group| {
        group.health.enabled = true;
        group.health.path = "/health?deep=1".into();
        group.health.matcher = Matcher::parse("201").unwrap();
    });
    let state = || balancer.function_health().map(|health| health.state);
    wait(|| state() == Some(HealthState::Healthy));
    let event = event_of(&functions.asked.lock().unwrap()[0].payload);
    let wanted = json!({
        "requestContext": {"elb": {"targetGroupArn": "group"}},
        "httpMethod": "GET",
        "path": "/health",
        "queryStringParameters": {"deep": "1"},
        "headers": {"user-agent": "ELB-HealthChecker/2.0"},
        "body": "",
        "isBase64Encoded": false,
    });
    assert_eq!(event, wanted);
    wait(|| *reader.probes.lock().unwrap() == [("lambda", false, ProbeResult::Answered(201))]);
    assert_eq!(status_of(&balancer, GET), "200");
    wait(|| *reader.requests.lock().unwrap() == [(200, None, false)]);
}

#[test]
fn a_function_that_fails_its_checks_is_unhealthy() {
    let functions = Fake::says(invoked(b"{}".to_vec(), Some(FunctionError::Unhandled)));
    let balancer = serve(&functions);
    balancer.edit_group(|group| {
        group.health.enabled = true;
        group.health.interval = Duration::from_millis(20);
    });
    let state = || balancer.function_health().map(|health| health.state);
    wait(|| state() == Some(HealthState::Unhealthy));
    let reason = balancer.function_health().and_then(|health| health.reason);
    assert_eq!(reason, Some(HealthReason::FailedHealthChecks));
}
