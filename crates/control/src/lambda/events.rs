//! Events of asynchronous invocations, as they wait in the function's own queue.

use forebay_units::Wall;
use serde_json::{Value, json};

/// An event that waits. It is deleted at the moment at which the function is about to get it, so that no crash makes it
/// happen twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The request id, a UUID: the same in each attempt, in the log and in the dead letter. Empty if an earlier Forebay has stored
    /// the event.
    pub id: String,
    /// How many times the function has failed on it.
    pub attempt: u32,
    /// When it was first sent.
    pub sent: Wall,
    /// The trace context that led to it.
    pub trace: Option<String>,
    /// The ARN of the schedule that sent it, for people.
    pub sender: Option<String>,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Event {
    /// The stored form: a line of metadata, then the payload.
    pub fn bytes(&self) -> Vec<u8> {
        let head = json!({
            "id": self.id,
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

    /// Parses the stored form; `None` if it is malformed.
    pub fn read(bytes: &[u8]) -> Option<Event> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (head, payload) = bytes.split_at(end);
        let head: Value = serde_json::from_slice(head).ok()?;
        Some(Event {
            id: head["id"].as_str().unwrap_or_default().to_owned(),
            attempt: u32::try_from(head["attempt"].as_u64()?).ok()?,
            sent: Wall::from_seconds(head["sent"].as_i64()?),
            trace: head["trace"].as_str().map(str::to_owned),
            sender: head["sender"].as_str().map(str::to_owned),
            payload: payload.get(1..)?.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_as_it_was_written() {
        let event = Event {
            id: "id".to_owned(),
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
