//! Log lines as JSON, for log collectors.

use serde_json::{Map, Value, json};
use std::fmt;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

/// The line of an event.
pub(super) fn event(event: &Event<'_>) -> String {
    let mut fields = Fields(Map::new());
    event.record(&mut fields);
    let Fields(mut fields) = fields;
    let message = fields.remove("message").unwrap_or_else(|| Value::from(""));
    line(
        *event.metadata().level(),
        message,
        event.metadata().target(),
        fields,
    )
}

/// The line of a message that is not an event.
pub(super) fn own(level: Level, text: fmt::Arguments<'_>) -> String {
    line(level, Value::from(text.to_string()), "forebay", Map::new())
}

fn line(level: Level, message: Value, target: &str, fields: Map<String, Value>) -> String {
    let mut timestamp = String::new();
    // Writing to a String cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let mut line =
        json!({"timestamp": timestamp, "level": level.as_str(), "message": message, "target": target});
    if !fields.is_empty() {
        line["fields"] = Value::Object(fields);
    }
    format!("{line}\n")
}

/// An event's fields by name.
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message with a quote or a line break in it must stay on one line.
    #[test]
    fn a_line_is_an_object() {
        let text = own(Level::WARN, format_args!("say \"a\"\nand b"));
        assert_eq!(text.matches('\n').count(), 1);
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&read["level"], &read["message"]),
            (&json!("WARN"), &json!("say \"a\"\nand b"))
        );
        assert!(read["timestamp"].as_str().unwrap().ends_with('Z'), "{text}");
    }
}
