//! A caller for tests: holds a state and calls operations on it.

use crate::{NothingSeen, Outcome, Request, State, operate};
use forebay_awswire::{ApiError, Service};
use forebay_units::{Stream, Wall};
use serde_json::{Value, json};

pub(crate) const REGION: &str = "local-1";

pub(crate) struct Caller {
    pub(crate) state: State,
    pub(crate) now: Wall,
    draws: Stream,
}

impl Caller {
    pub(crate) fn new() -> Caller {
        let state = State::new(REGION, "127.64.0.0/10".parse().unwrap());
        Caller {
            state,
            now: Wall::from_seconds(1_700_000_000),
            draws: Stream::named(1, "ids"),
        }
    }

    /// Calls an operation; what it changes is kept, and can be read back from its rows.
    pub(crate) fn call(&mut self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let request = Request {
            service: Service::Elbv2,
            operation,
            region: REGION,
            account: "123456789012",
            input,
            now: self.now,
            caller: "AKID",
        };
        let Outcome { answer, next } = operate(&self.state, &request, &NothingSeen, &mut self.draws)?;
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
        Ok(answer)
    }

    pub(crate) fn ok(&mut self, operation: &str, input: Value) -> Value {
        self.call(operation, input)
            .unwrap_or_else(|error| panic!("{operation}: {error}"))
    }

    /// Code and message of an operation that must fail, and must leave the state as it was.
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

    /// A certificate that listeners can use.
    pub(crate) fn certificate(&mut self) -> String {
        format!("arn:aws:acm:{REGION}:123456789012:certificate/12345678-1234-1234-1234-123456789012")
    }

    pub(crate) fn rule(&mut self, listener: &str, priority: u32, path: &str) -> String {
        let input = json!({"ListenerArn": listener, "Priority": priority,
            "Conditions": [{"Field": "path-pattern", "Values": [path]}],
            "Actions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]});
        text(&self.ok("CreateRule", input)["Rules"][0]["RuleArn"])
    }
}

pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}
