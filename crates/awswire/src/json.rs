//! Reads a JSON body by an operation's input shape.

use crate::ApiError;
use crate::model::{Kind, Model, ShapeId};
use crate::query::epoch_seconds;
use base64::Engine as _;
use serde_json::{Map, Value};

/// Texts for numbers that JSON does not have.
const NOT_FINITE: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// The operation's input from a JSON 1.1 body; an empty body is an empty object.
pub(crate) fn input(model: &Model, shape: ShapeId, body: &[u8]) -> Result<Value, ApiError> {
    let raw: Value = if body.iter().all(u8::is_ascii_whitespace) {
        Value::Object(Map::new())
    } else {
        serde_json::from_slice(body)
            .map_err(|_| ApiError::serialization("The request body is not valid JSON."))?
    };
    value(model, shape, raw, Names::OfTheWire)
}

/// The operation's input from a document whose members have the names used by AWS's SDKs. Unknown members are refused.
pub(crate) fn named_input(model: &Model, shape: ShapeId, document: Value) -> Result<Value, ApiError> {
    value(model, shape, document, Names::Own)
}

/// Which names members have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// The protocol's names.
    OfTheWire,
    /// The model's own names.
    Own,
}

fn value(model: &Model, shape: ShapeId, raw: Value, names: Names) -> Result<Value, ApiError> {
    match (&model.shape(shape).kind, raw) {
        (Kind::Structure(members), Value::Object(mut given)) => {
            let mut object = Map::new();
            for member in members {
                let called = if names == Names::Own {
                    &member.name
                } else {
                    &member.input
                };
                match given.remove(called) {
                    None | Some(Value::Null) => {}
                    Some(below) => {
                        object.insert(member.name.clone(), value(model, member.shape, below, names)?);
                    }
                }
            }
            if let Some(unknown) = given.keys().next().filter(|_| names == Names::Own) {
                let unknown: String = unknown.chars().take(128).collect();
                return Err(ApiError::serialization(format!(
                    "The field '{unknown}' is not supported"
                )));
            }
            Ok(Value::Object(object))
        }
        (Kind::List { item, .. }, Value::Array(given)) => given
            .into_iter()
            .map(|below| value(model, *item, below, names))
            .collect(),
        (Kind::Map { value: item, .. }, Value::Object(given)) => {
            let entries = given
                .into_iter()
                .map(|(key, below)| Ok((key, value(model, *item, below, names)?)));
            Ok(Value::Object(entries.collect::<Result<_, ApiError>>()?))
        }
        (Kind::Text, text @ Value::String(_)) | (Kind::Boolean, text @ Value::Bool(_)) => Ok(text),
        (Kind::Integer, Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Ok(Value::from(whole)),
            // JSON has only one kind of number: 80.0 is 80.
            (None, Some(float)) if float.fract() == 0.0 && float.abs() < 9e15 => {
                Ok(Value::from(float as i64))
            }
            _ => Err(ApiError::serialization(
                "NUMBER_VALUE can not be converted to an Integer",
            )),
        },
        (Kind::Float | Kind::Timestamp, number @ Value::Number(_)) => Ok(number),
        // JSON cannot represent these numbers, so clients send their names; operations then refuse them.
        (Kind::Float, Value::String(text)) if NOT_FINITE.contains(&text.as_str()) => Ok(Value::String(text)),
        (Kind::Timestamp, Value::String(text)) => epoch_seconds(&text)
            .ok_or_else(|| ApiError::serialization("STRING_VALUE can not be converted to a Timestamp")),
        // A document for people to write, such as a schedule's input, has the text itself.
        (Kind::Blob, Value::String(text)) if names == Names::Own => Ok(Value::String(
            base64::engine::general_purpose::STANDARD.encode(text),
        )),
        (Kind::Blob, Value::String(text)) => match base64::engine::general_purpose::STANDARD.decode(&text) {
            Ok(_) => Ok(Value::String(text)),
            Err(_) => Err(ApiError::serialization(
                "STRING_VALUE can not be converted to Blob: it is not base64",
            )),
        },
        (kind, raw) => Err(ApiError::serialization(format!(
            "{} can not be converted to {}",
            token(&raw),
            kind.expected()
        ))),
    }
}

fn token(raw: &Value) -> &'static str {
    match raw {
        Value::Null => "NULL_VALUE",
        Value::Bool(true) => "TRUE_VALUE",
        Value::Bool(false) => "FALSE_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::String(_) => "STRING_VALUE",
        Value::Array(_) => "START_ARRAY",
        Value::Object(_) => "START_OBJECT",
    }
}
