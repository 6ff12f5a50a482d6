//! CloudWatch's operations and alarms: `data`, `alarms`, `evaluation`, `dialects`, `dashboards`, `insight_rules`,
//! `widget`.

mod alarms;
mod dashboards;
mod data;
mod dialects;
mod evaluation;
mod insight_rules;
mod widget;

use crate::testing::Caller;
use core::time::Duration;
use forebay_awswire::{ApiError, Service};
use serde_json::{Value, json};

impl Caller {
    pub(super) fn cloudwatch(&mut self, operation: &str, input: Value) -> Result<Value, ApiError> {
        self.call_of(Service::CloudWatch, operation, input)
    }

    pub(super) fn watch(&mut self, operation: &str, input: Value) -> Value {
        self.cloudwatch(operation, input)
            .unwrap_or_else(|error| panic!("{operation}: {error}"))
    }

    pub(super) fn refused(&mut self, operation: &str, input: Value) -> (String, String) {
        let error = self.cloudwatch(operation, input).expect_err(operation);
        (error.code, error.message)
    }

    /// Puts a value for the minute before the current one.
    pub(super) fn put(&mut self, name: &str, value: f64) {
        let at = self.seconds() - 60;
        let datum = json!({"MetricName": name, "Value": value, "Timestamp": at});
        self.watch(
            "PutMetricData",
            json!({"Namespace": "App", "MetricData": [datum]}),
        );
    }

    pub(super) fn seconds(&self) -> i64 {
        self.now.seconds()
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }
}

/// A caller at the beginning of a minute.
fn caller() -> Caller {
    let mut caller = Caller::new();
    caller.now = forebay_units::Wall::from_seconds(1_700_000_040);
    caller
}

fn stat(id: &str, name: &str, stat: &str) -> Value {
    json!({"Id": id, "MetricStat": {"Metric": {"Namespace": "App", "MetricName": name}, "Period": 60, "Stat": stat}})
}
