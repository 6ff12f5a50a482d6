//! Writes an operation's answer or error in the caller's protocol.

use crate::model::{Kind, Model, ShapeId};
use crate::protocol::RPC_V2_CBOR;
use crate::{ApiError, Blame, Protocol, Service, cbor, rest};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt::Write as _;

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers to set; `content-length` is the transport's.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Writes `result` for a call of `operation` in `protocol`. Without a service (the envelope could not be opened) only
/// errors make sense. Members that the output shape does not have are left out; a value of the wrong type is written as
/// it is.
pub fn encode(
    protocol: Protocol,
    call: Option<(Service, &str)>,
    request_id: &str,
    result: Result<&Value, &ApiError>,
) -> Answer {
    let mut own_headers = Vec::new();
    let (status, body) = match (result, call) {
        (Ok(value), Some((service, operation))) if protocol == Protocol::RestJson => {
            let parts = rest_answer(service, operation, value);
            own_headers = parts.headers;
            (parts.status, parts.body)
        }
        (Ok(value), Some((service, operation))) => {
            (200, success(protocol, service, operation, request_id, value))
        }
        (Ok(_), None) => (200, Vec::new()),
        (Err(error), call) => (error.status, failure(protocol, call, request_id, error)),
    };
    let mut headers = vec![
        ("content-type", protocol.content_type().to_owned()),
        ("x-amzn-requestid", request_id.to_owned()),
    ];
    headers.append(&mut own_headers);
    if protocol == Protocol::Cbor {
        headers.push(("smithy-protocol", RPC_V2_CBOR.to_owned()));
        // RPC v2: an answer without a body has no content type.
        headers.retain(|(name, _)| *name != "content-type" || !body.is_empty());
    }
    if let Err(error) = result {
        if protocol.is_json() || protocol == Protocol::RestJson {
            headers.push(("x-amzn-errortype", error_type(call, error).into_owned()));
        }
        if !protocol.is_form() && call.is_some_and(|(service, _)| Model::of(service).query_compatible) {
            let text = format!("{};{}", error.code, blame(error));
            headers.push(("x-amzn-query-error", text));
        }
    }
    Answer {
        status,
        headers,
        body,
    }
}

/// The places where `value` has something that the operation's output shape lacks, which would be left out or written as
/// it is. For tests of operations.
pub fn left_out(service: Service, operation: &str, value: &Value) -> Vec<String> {
    let model = Model::of(service);
    let mut found = Vec::new();
    match model.operation(operation).and_then(|shapes| shapes.output) {
        Some(shape) => misfits(model, shape, value, operation, &mut found),
        None if value.as_object().is_none_or(|members| !members.is_empty()) && !value.is_null() => {
            found.push(operation.to_owned());
        }
        None => {}
    }
    found
}

fn misfits(model: &Model, shape: ShapeId, value: &Value, path: &str, found: &mut Vec<String>) {
    match (&model.shape(shape).kind, value) {
        (_, Value::Null)
        | (Kind::Text | Kind::Blob, Value::String(_))
        | (Kind::Integer | Kind::Float | Kind::Timestamp, Value::Number(_))
        | (Kind::Boolean, Value::Bool(_)) => {}
        (Kind::Structure(members), Value::Object(given)) => {
            for (name, below) in given {
                let path = format!("{path}.{name}");
                match members.iter().find(|member| member.name == *name) {
                    Some(member) => misfits(model, member.shape, below, &path, found),
                    None => found.push(path),
                }
            }
        }
        (Kind::List { item, .. }, Value::Array(items)) => {
            for below in items {
                misfits(model, *item, below, path, found);
            }
        }
        (Kind::Map { value: item, .. }, Value::Object(given)) => {
            for (name, below) in given {
                misfits(model, *item, below, &format!("{path}.{name}"), found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

/// An answer with members in headers and status as well as in the body.
fn rest_answer(service: Service, operation: &str, value: &Value) -> rest::Parts {
    let model = Model::of(service);
    let output = model.operation(operation).and_then(|shapes| shapes.output);
    let document = output.map_or(Value::Null, |shape| json(model, shape, value));
    rest::output(model, operation, value, &document)
}

fn success(
    protocol: Protocol,
    service: Service,
    operation: &str,
    request_id: &str,
    value: &Value,
) -> Vec<u8> {
    let model = Model::of(service);
    let shapes = model.operation(operation);
    let output = shapes.and_then(|shapes| shapes.output);
    match (protocol, output) {
        (Protocol::Query | Protocol::Ec2, _) => {}
        // AWS answers an operation that has no output with an empty body.
        (_, None) => return Vec::new(),
        (Protocol::Json10 | Protocol::Json11 | Protocol::RestJson, Some(shape)) => {
            return json(model, shape, value).to_string().into_bytes();
        }
        (Protocol::Cbor, Some(shape)) => return cbor::output(model, shape, value),
    }
    let mut xml = Xml::new();
    xml.open_with_namespace(&format!("{operation}Response"), &model.xmlns);
    if protocol == Protocol::Ec2 {
        xml.leaf("requestId", request_id);
        match output {
            Some(shape) => xml.members(model, shape, value),
            None => xml.leaf("return", "true"),
        }
    } else {
        if let Some(shape) = output {
            let wrapper = shapes.and_then(|shapes| shapes.wrapper.clone());
            let wrapper = wrapper.unwrap_or_else(|| format!("{operation}Result"));
            xml.open(&wrapper);
            xml.members(model, shape, value);
            xml.close(&wrapper);
        }
        xml.open("ResponseMetadata");
        xml.leaf("RequestId", request_id);
        xml.close("ResponseMetadata");
    }
    xml.close(&format!("{operation}Response"));
    xml.text.into_bytes()
}

/// The type of an error in JSON and CBOR: the shape's name, in services whose codes are Query's; otherwise the code.
fn error_type<'a>(call: Option<(Service, &str)>, error: &'a ApiError) -> Cow<'a, str> {
    let shape = call.and_then(|(service, operation)| {
        let model = Model::of(service);
        let shape = model.error_shape(operation, &error.code)?;
        model
            .query_compatible
            .then(|| Cow::Owned(format!("{}{shape}", model.error_namespace)))
    });
    shape.unwrap_or(Cow::Borrowed(&error.code))
}

fn blame(error: &ApiError) -> &'static str {
    match error.blame {
        Blame::Sender => "Sender",
        Blame::Receiver => "Receiver",
    }
}

fn failure(protocol: Protocol, call: Option<(Service, &str)>, request_id: &str, error: &ApiError) -> Vec<u8> {
    let mut xml = Xml::new();
    match protocol {
        Protocol::Json10 | Protocol::Json11 => {
            let body = serde_json::json!({"__type": error_type(call, error), "message": error.message});
            return body.to_string().into_bytes();
        }
        Protocol::RestJson => {
            let whose = match error.blame {
                Blame::Sender => "User",
                Blame::Receiver => "Service",
            };
            let body = serde_json::json!({"Message": error.message, "Type": whose});
            return body.to_string().into_bytes();
        }
        Protocol::Cbor => return cbor::error(&error_type(call, error), &error.message),
        Protocol::Ec2 => {
            for element in ["Response", "Errors", "Error"] {
                xml.open(element);
            }
            xml.leaf("Code", &error.code);
            xml.leaf("Message", &error.message);
            xml.close("Error");
            xml.close("Errors");
            xml.leaf("RequestID", request_id);
            xml.close("Response");
        }
        Protocol::Query => {
            let namespace = call.map_or("", |(service, _)| Model::of(service).xmlns.as_str());
            xml.open_with_namespace("ErrorResponse", namespace);
            xml.open("Error");
            xml.leaf("Type", blame(error));
            xml.leaf("Code", &error.code);
            xml.leaf("Message", &error.message);
            xml.close("Error");
            xml.leaf("RequestId", request_id);
            xml.close("ErrorResponse");
        }
    }
    xml.text.into_bytes()
}

/// The value with only the members that its shape has.
fn json(model: &Model, shape: ShapeId, value: &Value) -> Value {
    match (&model.shape(shape).kind, value) {
        (Kind::Structure(members), Value::Object(given)) => {
            let mut object = Map::new();
            for member in members {
                if let Some(below) = given.get(&member.name).filter(|below| !below.is_null()) {
                    object.insert(member.output.clone(), json(model, member.shape, below));
                }
            }
            Value::Object(object)
        }
        (Kind::List { item, .. }, Value::Array(items)) => {
            items.iter().map(|below| json(model, *item, below)).collect()
        }
        (Kind::Map { value: item, .. }, Value::Object(given)) => given
            .iter()
            .map(|(key, below)| (key.clone(), json(model, *item, below)))
            .collect(),
        _ => value.clone(),
    }
}

struct Xml {
    text: String,
}

impl Xml {
    fn new() -> Xml {
        Xml {
            text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(),
        }
    }

    fn open(&mut self, element: &str) {
        let _ = write!(self.text, "<{element}>");
    }

    fn open_with_namespace(&mut self, element: &str, namespace: &str) {
        if namespace.is_empty() {
            self.open(element);
        } else {
            let _ = write!(self.text, "<{element} xmlns=\"{namespace}\">");
        }
    }

    fn close(&mut self, element: &str) {
        let _ = write!(self.text, "</{element}>");
    }

    fn leaf(&mut self, element: &str, text: &str) {
        self.open(element);
        escape(text, &mut self.text);
        self.close(element);
    }

    /// The members of a structure, without an enclosing element.
    fn members(&mut self, model: &Model, shape: ShapeId, value: &Value) {
        if let (Kind::Structure(members), Value::Object(given)) = (&model.shape(shape).kind, value) {
            for member in members {
                if let Some(below) = given.get(&member.name).filter(|below| !below.is_null()) {
                    let called = model.element(member.shape, &member.output);
                    self.element(model, member.shape, called, below);
                }
            }
        }
    }

    fn element(&mut self, model: &Model, shape: ShapeId, element: &str, value: &Value) {
        match (&model.shape(shape).kind, value) {
            (Kind::Structure(_), Value::Object(_)) => {
                self.open(element);
                self.members(model, shape, value);
                self.close(element);
            }
            (
                Kind::List {
                    item, repeated: true, ..
                },
                Value::Array(items),
            ) => {
                for below in items {
                    self.element(model, *item, element, below);
                }
            }
            (Kind::List { item, name, .. }, Value::Array(items)) => {
                self.open(element);
                for below in items {
                    self.element(model, *item, name, below);
                }
                self.close(element);
            }
            (
                Kind::Map {
                    key,
                    value: item,
                    entry,
                    key_name,
                    value_name,
                },
                Value::Object(given),
            ) => {
                let around = entry.is_none();
                let entry = entry.as_deref().unwrap_or("entry");
                if around {
                    self.open(element);
                }
                for (name, below) in given {
                    self.open(entry);
                    self.element(model, *key, key_name, &Value::String(name.clone()));
                    self.element(model, *item, value_name, below);
                    self.close(entry);
                }
                if around {
                    self.close(element);
                }
            }
            (Kind::Timestamp, Value::Number(seconds)) => {
                self.leaf(element, &timestamp(seconds.as_f64().unwrap_or_default()));
            }
            (_, Value::String(text)) => self.leaf(element, text),
            (_, other) => self.leaf(element, &other.to_string()),
        }
    }
}

/// Seconds since 1970 as `2024-01-02T03:04:05.678Z`, the form that all XML services of AWS use.
pub fn timestamp(seconds: f64) -> String {
    let millis = (seconds * 1e3).round();
    match jiff::Timestamp::from_millisecond(millis as i64) {
        Ok(at) => format!("{at:.3}"),
        Err(_) => "1970-01-01T00:00:00.000Z".to_owned(),
    }
}

/// Escapes `text` for element content. Characters that XML 1.0 cannot represent become the replacement character.
fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A plain carriage return would be read as a line feed.
            '\r' => out.push_str("&#xD;"),
            '\t' | '\n' => out.push(letter),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
}
