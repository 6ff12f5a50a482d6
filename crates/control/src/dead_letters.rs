//! Sends events that a function could not process to its dead-letter queue.

use crate::api::arns::account_of;
use crate::api::context::Request;
use crate::lambda::Event;
use crate::messages::Asked;
use crate::operate::find;
use crate::ports::Ports;
use crate::state::State;
use forebay_awswire::{ApiError, Service};
use forebay_units::{Rng, Wall};
use serde_json::{Value, json};

/// The SendMessage that puts a failed event into the dead-letter queue `queue`.
pub fn dead_letter(
    state: &State,
    region: &str,
    queue: &str,
    event: &Event,
    why: &str,
    ports: &Ports<'_>,
    now: Wall,
) -> Result<Asked, ApiError> {
    let text = |text: &str| json!({"DataType": "String", "StringValue": text});
    let why: String = why.chars().take(1024).collect();
    let account = account_of(queue);
    let input = json!({
        "QueueUrl": format!("/{account}/{}", queue.rsplit(':').next().unwrap_or_default()),
        "MessageBody": String::from_utf8_lossy(&event.payload),
        "MessageAttributes": {
            "RequestID": text(if event.id.is_empty() { "-" } else { &event.id }),
            "ErrorCode": {"DataType": "Number", "StringValue": "200"},
            "ErrorMessage": text(if why.is_empty() { "-" } else { &why }),
        },
    });
    let Some(operation) = find(Service::Sqs, "SendMessage") else {
        return Ok(Asked::answered(Value::Null));
    };
    let request = Request {
        service: Service::Sqs,
        operation: operation.name(),
        region,
        account,
        input,
        now,
        caller: "forebay-lambda",
        endpoint: "",
        instance: None,
        is_proven: false,
        request_id: "",
    };
    let mut rng = state.drawn(&format!("dead letter {} {}", event.sent.0, now.0));
    let rng: &mut Rng = &mut rng;
    operation.ask(state, &request, ports.observations, rng)
}
