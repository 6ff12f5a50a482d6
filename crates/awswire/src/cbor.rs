//! Reads and writes CBOR bodies by an operation's shapes, as in Smithy's RPC v2: members by name, blobs as byte strings,
//! timestamps as seconds under tag 1. Inside the crate both are represented as in JSON: base64 and numbers.

use crate::ApiError;
use crate::model::{Kind, Model, ShapeId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ciborium::Value as Cbor;
use ciborium::de::from_reader_with_recursion_limit;
use serde_json::{Map, Number, Value};

/// Maximum nesting of a body, including tags. The deepest input of any operation has ten levels. A one-byte item becomes
/// a value of some 32 bytes, and nothing is allocated for a length before its bytes are there, so the limit on a body's
/// size bounds its memory.
const DEPTH_LIMIT: usize = 64;
/// The tag for seconds since 1970 (RFC 8949, section 3.4.2).
const EPOCH: u64 = 1;
/// Beyond this a float is not reliably a whole number.
const WHOLE_LIMIT: f64 = 9e15;

/// The operation's input; an empty body is an empty structure.
pub(crate) fn input(model: &Model, shape: ShapeId, body: &[u8]) -> Result<Value, ApiError> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let mut rest = body;
    let raw: Cbor = from_reader_with_recursion_limit(&mut rest, DEPTH_LIMIT)
        .map_err(|_| ApiError::serialization("The request body is not valid CBOR."))?;
    if !rest.is_empty() {
        return Err(ApiError::serialization(
            "The request body has bytes behind its end.",
        ));
    }
    read(model, shape, raw)
}

/// The body of an operation's answer, without members that the shape does not have.
pub(crate) fn output(model: &Model, shape: ShapeId, value: &Value) -> Vec<u8> {
    bytes(&write(model, shape, value))
}

/// The body of an error.
pub(crate) fn error(code: &str, message: &str) -> Vec<u8> {
    let text = |text: &str| Cbor::Text(text.to_owned());
    bytes(&Cbor::Map(vec![
        (text("__type"), text(code)),
        (text("message"), text(message)),
    ]))
}

fn bytes(value: &Cbor) -> Vec<u8> {
    let mut body = Vec::new();
    ciborium::into_writer(value, &mut body)
        .unwrap_or_else(|error| unreachable!("a vector takes every value: {error}"));
    body
}

fn read(model: &Model, shape: ShapeId, raw: Cbor) -> Result<Value, ApiError> {
    match (&model.shape(shape).kind, raw) {
        (Kind::Structure(members), Cbor::Map(given)) => {
            let mut object = Map::new();
            for (key, below) in given {
                let name = key.as_text().ok_or_else(|| wrong(&key, "a member's name"))?;
                // Unknown members are ignored, as in JSON.
                if let Some(member) = members.iter().find(|member| member.name == name)
                    && !below.is_null()
                {
                    object.insert(member.name.clone(), read(model, member.shape, below)?);
                }
            }
            Ok(Value::Object(object))
        }
        (Kind::List { item, .. }, Cbor::Array(given)) => {
            given.into_iter().map(|below| read(model, *item, below)).collect()
        }
        (Kind::Map { value: item, .. }, Cbor::Map(given)) => {
            let entries = given.into_iter().map(|(key, below)| match key {
                Cbor::Text(key) => Ok((key, read(model, *item, below)?)),
                key => Err(wrong(&key, "a map's key")),
            });
            Ok(Value::Object(entries.collect::<Result<_, ApiError>>()?))
        }
        (kind, raw) => {
            let expected = kind.expected();
            scalar(kind, &raw).ok_or_else(|| wrong(&raw, expected))
        }
    }
}

/// A single value; `None` if it has another type.
fn scalar(kind: &Kind, raw: &Cbor) -> Option<Value> {
    match (kind, raw) {
        (Kind::Text, Cbor::Text(text)) => Some(Value::from(text.as_str())),
        (Kind::Boolean, Cbor::Bool(truth)) => Some(Value::from(*truth)),
        (Kind::Integer, Cbor::Integer(whole)) => i64::try_from(*whole).ok().map(Value::from),
        // Clients that encode all numbers as floats send 80.0 for 80, as in JSON.
        (Kind::Integer, Cbor::Float(float)) if float.fract() == 0.0 && float.abs() < WHOLE_LIMIT => {
            Some(Value::from(*float as i64))
        }
        (Kind::Float, number) => seconds(number),
        (Kind::Timestamp, Cbor::Tag(EPOCH, number)) => seconds(number).filter(Value::is_number),
        (Kind::Blob, Cbor::Bytes(bytes)) => Some(Value::from(STANDARD.encode(bytes))),
        _ => None,
    }
}

/// A number. One that is not finite becomes text, because JSON cannot represent it.
fn seconds(raw: &Cbor) -> Option<Value> {
    match raw {
        Cbor::Integer(whole) => i64::try_from(*whole).ok().map(Value::from),
        Cbor::Float(float) => Some(match Number::from_f64(*float) {
            Some(number) => Value::Number(number),
            None => Value::from(float.to_string()),
        }),
        _ => None,
    }
}

fn write(model: &Model, shape: ShapeId, value: &Value) -> Cbor {
    match (&model.shape(shape).kind, value) {
        (Kind::Structure(members), Value::Object(given)) => {
            let present = members.iter().filter_map(|member| {
                let below = given.get(&member.name).filter(|below| !below.is_null())?;
                let name = Cbor::Text(member.name.clone());
                Some((name, write(model, member.shape, below)))
            });
            Cbor::Map(present.collect())
        }
        (Kind::List { item, .. }, Value::Array(items)) => {
            Cbor::Array(items.iter().map(|below| write(model, *item, below)).collect())
        }
        (Kind::Map { value: item, .. }, Value::Object(given)) => {
            let entries = given
                .iter()
                .map(|(key, below)| (Cbor::Text(key.clone()), write(model, *item, below)));
            Cbor::Map(entries.collect())
        }
        (Kind::Timestamp, number @ Value::Number(_)) => Cbor::Tag(EPOCH, Box::new(plain(number))),
        (Kind::Float, Value::Number(number)) => Cbor::Float(number.as_f64().unwrap_or_default()),
        (Kind::Blob, Value::String(text)) => match STANDARD.decode(text) {
            Ok(bytes) => Cbor::Bytes(bytes),
            Err(_) => Cbor::Text(text.clone()),
        },
        (_, value) => plain(value),
    }
}

/// The value as it is, without a shape.
fn plain(value: &Value) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(truth) => Cbor::Bool(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Cbor::Integer(whole.into()),
            None => Cbor::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Array(items) => Cbor::Array(items.iter().map(plain).collect()),
        Value::Object(given) => {
            let entries = given
                .iter()
                .map(|(key, below)| (Cbor::Text(key.clone()), plain(below)));
            Cbor::Map(entries.collect())
        }
    }
}

fn wrong(raw: &Cbor, expected: &str) -> ApiError {
    let given = match raw {
        Cbor::Null => "null",
        Cbor::Bool(_) => "a boolean",
        Cbor::Integer(_) => "an integer",
        Cbor::Float(_) => "a float",
        Cbor::Text(_) => "a text string",
        Cbor::Bytes(_) => "a byte string",
        Cbor::Array(_) => "an array",
        Cbor::Map(_) => "a map",
        _ => "a tag",
    };
    ApiError::serialization(format!("{given} can not be converted to {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Service;
    use proptest::prelude::*;
    use serde_json::json;

    fn shape(operation: &str, of: impl Fn(&crate::model::Operation) -> Option<ShapeId>) -> ShapeId {
        of(Model::of(Service::Acm).operation(operation).unwrap()).unwrap()
    }

    /// The size that the bound on a body's memory is computed from.
    #[test]
    fn item_has_the_size_that_is_reckoned_with() {
        assert_eq!(size_of::<Cbor>(), 32);
    }

    #[test]
    fn blobs_are_byte_strings_and_timestamps_have_a_tag() {
        let model = Model::of(Service::Acm);
        let import = shape("ImportCertificate", |operation| operation.input);
        let body = output(
            model,
            import,
            &json!({"Certificate": "aGVsbG8=", "PrivateKey": "AA=="}),
        );
        let raw: Cbor = ciborium::from_reader(&*body).unwrap();
        assert_eq!(
            raw,
            Cbor::Map(vec![
                (Cbor::from("Certificate"), Cbor::Bytes(b"hello".to_vec())),
                (Cbor::from("PrivateKey"), Cbor::Bytes(vec![0])),
            ])
        );
        let describe = shape("DescribeCertificate", |operation| operation.output);
        for (value, number) in [
            (json!(1_700_000_000), Cbor::from(1_700_000_000)),
            (json!(0.25), Cbor::from(0.25)),
        ] {
            let answer = json!({"Certificate": {"CreatedAt": value}});
            let raw: Cbor = ciborium::from_reader(&*output(model, describe, &answer)).unwrap();
            let at = &raw.as_map().unwrap()[0].1.as_map().unwrap()[0].1;
            assert_eq!(*at, Cbor::Tag(1, Box::new(number)));
        }
        // Text in place of either is refused.
        let text = Cbor::Map(vec![(Cbor::from("Certificate"), Cbor::from("aGVsbG8="))]);
        assert_eq!(
            input(model, import, &bytes(&text)).unwrap_err().code,
            "SerializationException"
        );
    }

    /// A value of a shape, with all members or every second one.
    fn value(shape: ShapeId, depth: usize, seed: u64) -> Value {
        let model = Model::of(Service::Acm);
        match &model.shape(shape).kind {
            Kind::Structure(members) => {
                let there = |place: usize| depth < 5 && (seed.is_multiple_of(2) || place.is_multiple_of(2));
                let members = members.iter().enumerate().filter(|(place, _)| there(*place));
                members
                    .map(|(_, member)| (member.name.clone(), value(member.shape, depth + 1, seed / 2)))
                    .collect()
            }
            Kind::List { item, .. } => (0..seed % 3)
                .map(|place| value(*item, depth + 1, seed / 2 + place))
                .collect(),
            Kind::Map { value: item, .. } => {
                let keys = (0..seed % 3).map(|place| format!("{seed}-{place}"));
                keys.map(|key| (key, value(*item, depth + 1, seed / 2))).collect()
            }
            Kind::Text => Value::from(format!("text {seed} \u{1f980}")),
            Kind::Integer => Value::from(seed as i64),
            Kind::Float => Value::from(seed as f64 / 8.0),
            Kind::Boolean => Value::from(seed.is_multiple_of(2)),
            Kind::Blob => Value::from(STANDARD.encode(seed.to_be_bytes())),
            Kind::Timestamp if seed.is_multiple_of(2) => Value::from(seed as u32),
            Kind::Timestamp => Value::from((seed as u32) as f64 + 0.5),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seed in any::<u64>()) {
            let model = Model::of(Service::Acm);
            for name in model.names() {
                let operation = model.operation(name).unwrap();
                for shape in [operation.input, operation.output].into_iter().flatten() {
                    let value = value(shape, 0, seed);
                    prop_assert_eq!(input(model, shape, &output(model, shape, &value)).unwrap(), value);
                }
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let model = Model::of(Service::Acm);
            for name in ["ImportCertificate", "RequestCertificate", "ListCertificates"] {
                let _ = input(model, shape(name, |operation| operation.input), &body);
            }
        }
    }
}
