//! A caller for tests, which holds a state and calls operations on it.
//!
//! In the folder: `messages` (messages in memory).

mod messages;

use crate::elbv2::draining::Drain;
use crate::fleet::{Image, SeenInstance, Shape};
use crate::messages::Asked;
use crate::{
    Datapoint, Datapoints, Left, Observations, Outcome, Ports, PutError, Request, Series, SeriesFilter,
    State, find, operate,
};
use base64::Engine as _;
use forebay_awswire::{ApiError, Service, left_out};
use forebay_functions::{Invocation, InvokeError, Invoked};
use forebay_model::{HealthState, TargetHealth};
use forebay_signals::Summary;
use forebay_units::{Rng, Wall};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

pub(crate) const REGION: &str = "local-1";
/// The id of every call.
pub(crate) const REQUEST_ID: &str = "11111111-2222-4333-8444-555555555555";

pub(crate) struct Caller {
    pub(crate) state: State,
    pub(crate) now: Wall,
    pub(crate) datapoints: Remembered,
    pub(crate) observed: Observed,
    messages: messages::InMemory,
    /// The instance whose credentials the caller uses, if any.
    pub(crate) instance: Option<String>,
    /// Whether the caller has proven its identity.
    pub(crate) is_proven: bool,
    /// What functions answer.
    pub(crate) function: fn(Invocation) -> Result<Invoked, InvokeError>,
    rng: Rng,
}

/// What the launcher and the data plane have seen: nothing, unless a test sets it.
#[derive(Default)]
pub(crate) struct Observed {
    pub(crate) images: Mutex<Vec<Image>>,
    pub(crate) shapes: Mutex<Vec<Shape>>,
    pub(crate) seen: Mutex<BTreeMap<String, SeenInstance>>,
    /// Health of targets, by target id.
    pub(crate) health: Mutex<BTreeMap<String, HealthState>>,
    pub(crate) in_flight: Mutex<BTreeMap<String, u32>>,
    pub(crate) refuses_user_data: Mutex<Option<String>>,
}

impl Observations for Observed {
    fn target_health(&self, _group_arn: &str, id: &str, _port: u16) -> Option<TargetHealth> {
        let state = *self.health.lock().unwrap().get(id)?;
        Some(TargetHealth { state, reason: None })
    }

    fn left_in_flight(&self, drains: &[Drain]) -> Vec<Option<Left>> {
        let counts = self.in_flight.lock().unwrap();
        let left = |drain: &Drain| {
            let in_flight = *counts.get(&drain.id)?;
            Some(Left {
                in_flight,
                is_cut: false,
            })
        };
        drains.iter().map(left).collect()
    }

    fn instance(&self, id: &str) -> Option<SeenInstance> {
        self.seen.lock().unwrap().get(id).cloned()
    }

    fn images(&self) -> Vec<Image> {
        self.images.lock().unwrap().clone()
    }

    fn shapes(&self) -> Vec<Shape> {
        self.shapes.lock().unwrap().clone()
    }

    fn refuses_user_data(&self) -> Option<String> {
        self.refuses_user_data.lock().unwrap().clone()
    }

    fn in_flight(&self, ids: &[&str]) -> Vec<u32> {
        let counts = self.in_flight.lock().unwrap();
        let counts = ids.iter().map(|id| counts.get(*id).copied().unwrap_or(0));
        counts.collect()
    }
}

impl Caller {
    pub(crate) fn new() -> Caller {
        let state = State::new(REGION, "127.64.0.0/10".parse().unwrap());
        Caller {
            state,
            now: Wall::from_seconds(1_700_000_000),
            datapoints: Remembered::default(),
            observed: Observed::default(),
            messages: messages::InMemory::default(),
            instance: None,
            is_proven: true,
            function: |_| Err(InvokeError::NotFound),
            rng: Rng::named(1, "ids"),
        }
    }

    /// Calls an operation. Its change is kept, after a round trip through the state's rows.
    pub(crate) fn call(&mut self, operation: &str, input: Value) -> Result<Value, ApiError> {
        self.call_of(Service::Elbv2, operation, input)
    }

    /// Like `call`, for any service.
    pub(crate) fn call_of(
        &mut self,
        service: Service,
        operation: &str,
        input: Value,
    ) -> Result<Value, ApiError> {
        let request = Request {
            service,
            operation,
            region: REGION,
            account: "123456789012",
            input,
            now: self.now,
            caller: "AKID",
            endpoint: "http://forebay.test",
            instance: self.instance.as_deref(),
            is_proven: self.is_proven,
            request_id: REQUEST_ID,
        };
        let ports = Ports {
            observations: &self.observed,
            datapoints: &self.datapoints,
        };
        let operation = find(service, operation).filter(|operation| operation.asks_messages());
        let outcome = match operation {
            Some(asks) => asks
                .ask(&self.state, &request, &self.observed, &mut self.rng)
                .and_then(|asked| match asked {
                    Asked::Answered(answer) => Ok(answer),
                    Asked::Order(order, answer) => {
                        let asked = self.messages.ask(&self.state, self.now, order);
                        answer(asked?)
                    }
                    Asked::Invoke(invocation, answer) => answer((self.function)(invocation)),
                })
                .map(|answer| Outcome { answer, next: None }),
            None => operate(&self.state, &request, &ports, &mut self.rng),
        };
        let operation = request.operation;
        record(service, operation, outcome.as_ref().err());
        let Outcome { answer, next } = outcome?;
        if let Some(next) = next {
            assert!(
                !State::rows_changed(&self.state, &next).is_empty(),
                "{operation}: a change without rows"
            );
            let rows = next
                .rows()
                .into_iter()
                .map(|row| (row.table, row.key, row.value.unwrap()));
            assert_eq!(State::from_rows(rows).unwrap(), next, "{operation}");
            self.state = next;
        }
        assert_eq!(left_out(service, operation, &answer), Vec::<String>::new());
        Ok(answer)
    }

    /// Creates a function that load balancers may invoke, and returns its ARN.
    pub(crate) fn function_named(&mut self, name: &str) -> String {
        let statement = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}});
        let trust = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        let role = json!({"RoleName": "run", "AssumeRolePolicyDocument": trust});
        // The role may exist already.
        let _ = self.call_of(Service::Iam, "CreateRole", role);
        let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let function = json!({
            "FunctionName": name, "Runtime": "python3.11", "Role": "arn:aws:iam::123456789012:role/run", "Handler": "index.handler",
            "Code": {"Kept": {"Sha256": digest, "Size": 7}},
        });
        let made = self.call_of(Service::Lambda, "CreateFunction", function).unwrap();
        let permission = json!({
            "FunctionName": name, "StatementId": "alb", "Action": "lambda:InvokeFunction",
            "Principal": "elasticloadbalancing.amazonaws.com",
        });
        self.call_of(Service::Lambda, "AddPermission", permission)
            .unwrap();
        text(&made["FunctionArn"])
    }

    /// What an operation of Lambda asks for outside the writer.
    pub(crate) fn ask_of(
        &mut self,
        operation: &crate::OperationSpec,
        input: Value,
        state: &State,
    ) -> Result<Asked, ApiError> {
        let request = Request {
            service: Service::Lambda,
            operation: operation.name(),
            region: REGION,
            account: "123456789012",
            input,
            now: self.now,
            caller: "AKID",
            endpoint: "http://forebay.test",
            instance: None,
            is_proven: self.is_proven,
            request_id: REQUEST_ID,
        };
        operation.ask(state, &request, &self.observed, &mut self.rng)
    }

    /// Receives messages from a queue.
    pub(crate) fn received(
        &mut self,
        queue: forebay_queues::QueueId,
        ask: forebay_queues::Ask,
    ) -> Vec<forebay_queues::Delivered<Vec<u8>>> {
        let order = crate::MessageOrder::Receive {
            queue,
            ask,
            wait: core::time::Duration::ZERO,
            holder: None,
        };
        match self.messages.ask(&self.state, self.now, order).unwrap() {
            crate::MessageOutcome::Received(Ok(messages)) => messages,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn ok(&mut self, operation: &str, input: Value) -> Value {
        self.call(operation, input)
            .unwrap_or_else(|error| panic!("{operation}: {error}"))
    }

    /// Code and message of an operation that must fail, and must leave the state unchanged.
    pub(crate) fn fails(&mut self, operation: &str, input: Value) -> (String, String) {
        let before = self.state.clone();
        let error = self.call(operation, input).expect_err(operation);
        assert_eq!(before, self.state);
        (error.code, error.message)
    }

    pub(crate) fn subnets(&self) -> Vec<String> {
        let region = self.state.region(REGION);
        let mut subnets: Vec<_> = region
            .subnets
            .values()
            .filter(|subnet| subnet.is_default)
            .collect();
        subnets.sort_by_key(|subnet| subnet.zone.clone());
        subnets.into_iter().map(|subnet| subnet.id.clone()).collect()
    }

    pub(crate) fn vpc(&self) -> String {
        self.state.region(REGION).vpcs.keys().next().unwrap().clone()
    }

    pub(crate) fn balancer(&mut self, name: &str) -> String {
        let input = json!({"Name": name, "Subnets": self.subnets()});
        text(&self.ok("CreateLoadBalancer", input)["LoadBalancers"][0]["LoadBalancerArn"])
    }

    pub(crate) fn group(&mut self, name: &str) -> String {
        let input =
            json!({"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": self.vpc(), "TargetType": "ip"});
        text(&self.ok("CreateTargetGroup", input)["TargetGroups"][0]["TargetGroupArn"])
    }

    pub(crate) fn listener(&mut self, balancer: &str, port: u16, group: &str) -> String {
        let input = json!({"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": port,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}]});
        text(&self.ok("CreateListener", input)["Listeners"][0]["ListenerArn"])
    }

    /// Creates a certificate that listeners can use.
    pub(crate) fn certificate(&mut self) -> String {
        let input = certificate_input("example.com");
        let answer = self.call_of(Service::Acm, "ImportCertificate", input);
        text(&answer.unwrap_or_else(|error| panic!("{error}"))["CertificateArn"])
    }

    pub(crate) fn rule(&mut self, listener: &str, priority: u32, path: &str) -> String {
        let input = json!({"ListenerArn": listener, "Priority": priority,
            "Conditions": [{"Field": "path-pattern", "Values": [path]}],
            "Actions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]});
        text(&self.ok("CreateRule", input)["Rules"][0]["RuleArn"])
    }
}

/// Keeps datapoints as they were put.
#[derive(Default)]
pub(crate) struct Remembered(Mutex<Vec<Datapoint>>);

impl Datapoints for Remembered {
    fn put(&self, points: Vec<Datapoint>) -> Result<(), PutError> {
        self.0.lock().unwrap().extend(points);
        Ok(())
    }

    fn read(
        &self,
        series: &Series,
        from: Wall,
        to: Wall,
        period_seconds: u32,
        unit: Option<&str>,
    ) -> Vec<(Wall, Summary)> {
        let mut periods: BTreeMap<Wall, Summary> = BTreeMap::new();
        for point in self.0.lock().unwrap().iter() {
            let resolution = if point.high_resolution { 1 } else { 60 };
            let at = Wall::from_seconds(point.at.seconds().div_euclid(resolution) * resolution);
            let of_unit = unit.is_none_or(|unit| unit == point.unit.as_deref().unwrap_or("None"));
            if point.series == *series && of_unit && at >= from && at < to {
                let step = i64::from(period_seconds) * 1_000_000;
                let begins = Wall(from.0 + (at.0 - from.0).div_euclid(step) * step);
                periods
                    .entry(begins)
                    .and_modify(|summary| summary.merge(&point.summary))
                    .or_insert_with(|| point.summary.clone());
            }
        }
        periods.into_iter().collect()
    }

    fn units(&self, series: &Series) -> Vec<String> {
        let points = self.0.lock().unwrap();
        let units = points.iter().filter(|point| point.series == *series);
        let mut units: Vec<String> = units
            .map(|point| point.unit.clone().unwrap_or_else(|| "None".to_owned()))
            .collect();
        units.sort();
        units.dedup();
        units
    }

    fn list(&self, region: &str, filter: &SeriesFilter) -> Vec<Series> {
        let points = self.0.lock().unwrap();
        let active = |point: &&Datapoint| filter.active_since.is_none_or(|since| point.at >= since);
        let mut found: Vec<Series> = points
            .iter()
            .filter(active)
            .map(|point| point.series.clone())
            .filter(|series| series.region == region && filter.fits(series))
            .collect();
        found.sort();
        found.dedup();
        found
    }

    fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
}

/// If this variable is set, each call is reported on standard error: see `conformance`.
pub(crate) const RECORD: &str = "FOREBAY_TEST_RECORD_CALLS";
/// The prefix of such a line. The service's signing name, the operation, and `ok` or an error's code follow.
pub(crate) const RECORDED: &str = "recorded call: ";

fn record(service: Service, operation: &str, error: Option<&ApiError>) {
    static RECORDS: LazyLock<bool> = LazyLock::new(|| std::env::var_os(RECORD).is_some());
    if *RECORDS {
        let code = error.map_or("ok", |error| &error.code);
        eprintln!("{RECORDED}{} {operation} {code}", service.scope());
    }
}

/// Input of ImportCertificate for a new self-signed certificate.
pub(crate) fn certificate_input(name: &str) -> Value {
    let (certificate, key) = certificate_texts(name);
    let encode = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
    json!({"Certificate": encode(certificate), "PrivateKey": encode(key)})
}

/// A new self-signed certificate and its key, as PEM.
pub(crate) fn certificate_texts(name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is not a string"))
        .to_owned()
}
