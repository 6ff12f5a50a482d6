//! Turns a function's answer into an HTTP answer.

use super::limits::ANSWER_BYTES;
use super::values::Values;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// A function's answer, validated, so that its parts can be written as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status, 200 to 999.
    pub status: u16,
    /// The reason phrase after the code in `statusDescription`, if there is one.
    pub phrase: Option<String>,
    /// Names as the function wrote them, with values. Headers about the connection and the body's length are left out.
    pub headers: Vec<(String, String)>,
    /// The body, decoded.
    pub body: Vec<u8>,
}

/// Why a document is not a valid answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// It is not JSON, has no status, or has a member of the wrong type.
    #[error("the function's answer is malformed")]
    Malformed,
    /// It is larger than 1 MB.
    #[error("the function's answer is larger than 1 MB")]
    TooLarge,
}

/// Headers about a single connection (RFC 9110 section 7.6.1), and the length, which is computed.
const DROPPED: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Parses a function's answer.
pub fn read_answer(payload: &[u8], values: Values) -> Result<Answer, BadAnswer> {
    if payload.len() > ANSWER_BYTES {
        return Err(BadAnswer::TooLarge);
    }
    let Ok(Value::Object(mut answer)) = serde_json::from_slice(payload) else {
        return Err(BadAnswer::Malformed);
    };
    let status = status(answer.get("statusCode").unwrap_or(&Value::Null))?;
    let is_base64 = match answer.get("isBase64Encoded") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(is_base64)) => *is_base64,
        Some(_) => return Err(BadAnswer::Malformed),
    };
    let body = match answer.remove("body") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(body)) if is_base64 => STANDARD.decode(body).map_err(|_| BadAnswer::Malformed)?,
        Some(Value::String(body)) => body.into_bytes(),
        Some(_) => return Err(BadAnswer::Malformed),
    };
    Ok(Answer {
        status,
        phrase: phrase(status, answer.get("statusDescription"))?,
        headers: headers(&mut answer, values)?,
        body,
    })
}

/// A number, or its digits in a string. 1xx is not accepted, because a function cannot switch protocols or send interim
/// answers.
fn status(value: &Value) -> Result<u16, BadAnswer> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| (200..=999).contains(number))
        .ok_or(BadAnswer::Malformed)
}

/// The phrase in a description like `200 OK`. A description that does not begin with the status is ignored.
fn phrase(status: u16, description: Option<&Value>) -> Result<Option<String>, BadAnswer> {
    let description = match description {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(description)) => description,
        Some(_) => return Err(BadAnswer::Malformed),
    };
    let phrase = description
        .strip_prefix(&status.to_string())
        .and_then(|rest| rest.strip_prefix(' '))
        .map(str::trim)
        .filter(|phrase| !phrase.is_empty());
    match phrase {
        Some(phrase) if !is_value(phrase) => Err(BadAnswer::Malformed),
        phrase => Ok(phrase.map(str::to_owned)),
    }
}

/// The headers, from the member that the group's setting requires; ALB ignores the other one.
fn headers(answer: &mut Map<String, Value>, values: Values) -> Result<Vec<(String, String)>, BadAnswer> {
    let member = match values {
        Values::Last => "headers",
        Values::All => "multiValueHeaders",
    };
    let given = match answer.remove(member) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(given)) => given,
        Some(_) => return Err(BadAnswer::Malformed),
    };
    let mut headers = Vec::new();
    for (name, value) in given {
        if !is_name(&name) {
            return Err(BadAnswer::Malformed);
        }
        let all = match (values, value) {
            (Values::Last, value @ Value::String(_)) => vec![value],
            (Values::All, Value::Array(all)) => all,
            _ => return Err(BadAnswer::Malformed),
        };
        let dropped = DROPPED.iter().any(|dropped| name.eq_ignore_ascii_case(dropped));
        for value in all {
            match value {
                Value::String(value) if is_value(&value) => {
                    if !dropped {
                        headers.push((name.clone(), value.trim().to_owned()));
                    }
                }
                _ => return Err(BadAnswer::Malformed),
            }
        }
    }
    Ok(headers)
}

/// Whether this is a token (RFC 9110 section 5.6.2).
fn is_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

/// Whether this contains no control character other than a tab (RFC 9110 section 5.5).
fn is_value(value: &str) -> bool {
    !value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(answer: &Value) -> Result<Answer, BadAnswer> {
        read_answer(answer.to_string().as_bytes(), Values::Last)
    }

    #[test]
    fn only_the_status_must_be_there() {
        let bare = read(&json!({"statusCode": 200})).unwrap();
        assert_eq!(
            bare,
            Answer {
                status: 200,
                phrase: None,
                headers: vec![],
                body: vec![]
            }
        );
        assert_eq!(read(&json!({"statusCode": "404"})).unwrap().status, 404);
        let nulls = json!({"statusCode": 200, "headers": null, "body": null, "isBase64Encoded": null, "statusDescription": null});
        assert_eq!(read(&nulls), Ok(bare));
    }

    #[test]
    fn what_is_not_as_it_should_be_is_refused() {
        for wrong in [
            json!({}),
            json!([]),
            json!("statusCode"),
            json!({"statusCode": null}),
            json!({"statusCode": 101}),
            json!({"statusCode": 1000}),
            json!({"statusCode": 200.5}),
            json!({"statusCode": "+200"}),
            json!({"statusCode": "OK"}),
            json!({"statusCode": 200, "body": {"a": 1}}),
            json!({"statusCode": 200, "body": "a", "isBase64Encoded": "true"}),
            json!({"statusCode": 200, "body": "?", "isBase64Encoded": true}),
            json!({"statusCode": 200, "statusDescription": 200}),
            json!({"statusCode": 200, "statusDescription": "200 O\r\nK"}),
            json!({"statusCode": 200, "headers": []}),
            json!({"statusCode": 200, "headers": {"a": 1}}),
            json!({"statusCode": 200, "headers": {"a": ["b"]}}),
            json!({"statusCode": 200, "headers": {"a": "b\r\nc: d"}}),
            json!({"statusCode": 200, "headers": {"a:": "b"}}),
            json!({"statusCode": 200, "headers": {"": "b"}}),
        ] {
            assert_eq!(read(&wrong), Err(BadAnswer::Malformed), "{wrong}");
        }
        assert_eq!(read_answer(b"{", Values::Last), Err(BadAnswer::Malformed));
        let arrays = json!({"statusCode": 200, "multiValueHeaders": {"a": "b"}}).to_string();
        assert_eq!(
            read_answer(arrays.as_bytes(), Values::All),
            Err(BadAnswer::Malformed)
        );
    }

    #[test]
    fn a_megabyte_is_enough() {
        let of = |bytes: usize| {
            let empty = json!({"statusCode": 200, "body": ""}).to_string().len();
            let answer = json!({"statusCode": 200, "body": "a".repeat(bytes - empty)});
            read(&answer).map(|answer| answer.body.len())
        };
        assert!(of(ANSWER_BYTES).is_ok());
        assert_eq!(of(ANSWER_BYTES + 1), Err(BadAnswer::TooLarge));
    }

    #[test]
    fn headers_of_a_connection_and_the_length_go_nowhere() {
        let answer = json!({"statusCode": 200, "statusDescription": "200 Fine so far", "headers": {
            "Content-Length": "7", "connection": "close", "Transfer-Encoding": "chunked", "Keep-Alive": "x", "A": " b ",
        }});
        let answer = read(&answer).unwrap();
        assert_eq!(answer.headers, [("A".to_owned(), "b".to_owned())]);
        assert_eq!(answer.phrase.as_deref(), Some("Fine so far"));
    }

    #[test]
    fn a_description_of_another_status_is_passed_over() {
        for other in ["404 Not Found", "OK", "200", "200 ", "2000 x"] {
            let answer = json!({"statusCode": 200, "statusDescription": other});
            assert_eq!(read(&answer).unwrap().phrase, None, "{other}");
        }
    }
}
