//! An event that a function is to get later, as it waits in the function's own queue.

use crate::api::arns::account_of;
use crate::api::context::Request;
use crate::messages::Asked;
use crate::operate::find;
use crate::ports::Ports;
use crate::state::State;
use forebay_awswire::{ApiError, Service};
use forebay_units::Rng;
use forebay_units::Wall;
use serde_json::{Value, json};

/// An event that waits. It is deleted in the moment in which its function is about to get it, so that no kill can have it happen twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// How often the function failed it.
    pub attempt: u32,
    /// When it was first sent.
    pub sent: Wall,
    /// What led to it, for traces.
    pub trace: Option<String>,
    /// The schedule that sent it, for people.
    pub sender: Option<String>,
    /// The event.
    pub payload: Vec<u8>,
}

impl Event {
    /// As it is kept: a line about it, and the event.
    pub fn bytes(&self) -> Vec<u8> {
        let head = json!({
            "attempt": self.attempt,
            "sent": self.sent.seconds(),
            "trace": self.trace,
            "sender": self.sender,
        });
        let mut bytes = head.to_string().into_bytes();
        bytes.push(b'\n');
        bytes.extend(&self.payload);
        bytes
    }

    /// From what is kept; none if that is something else.
    pub fn read(bytes: &[u8]) -> Option<Event> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (head, payload) = bytes.split_at(end);
        let head: Value = serde_json::from_slice(head).ok()?;
        Some(Event {
            attempt: u32::try_from(head["attempt"].as_u64()?).ok()?,
            sent: Wall::from_seconds(head["sent"].as_i64()?),
            trace: head["trace"].as_str().map(str::to_owned),
            sender: head["sender"].as_str().map(str::to_owned),
            payload: payload.get(1..)?.to_vec(),
        })
    }
}

/// What is asked so that an event that failed for good goes to a dead-letter queue.
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
    };
    let mut rng = state.drawn(&format!("dead letter {} {}", event.sent.0, now.0));
    let rng: &mut Rng = &mut rng;
    operation.ask(state, &request, ports.observations, rng)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_as_it_was_written() {
        let event = Event {
            attempt: 2,
            sent: Wall::from_seconds(7),
            trace: Some("Root=1".to_owned()),
            sender: None,
            payload: b"{\"a\":\n1}".to_vec(),
        };
        assert_eq!(Event::read(&event.bytes()), Some(event));
        assert_eq!(Event::read(b"nothing"), None);
        assert_eq!(Event::read(b"{}\n"), None);
    }
}
