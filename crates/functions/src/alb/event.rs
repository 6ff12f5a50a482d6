//! Turns a request into the event that a function gets.

use super::values::Values;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap as _, SerializeStruct as _, Serializer};
use std::collections::BTreeMap;

/// A request for a function.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// ARN of the target group.
    pub target_group_arn: &'a str,
    /// Its method.
    pub method: &'a [u8],
    /// Path and query as they were sent, without decoding.
    pub target: &'a [u8],
    /// Header fields as a target gets them: names in any case, and values.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// The whole body, without transfer coding.
    pub body: &'a [u8],
}

/// The request's head or text is not UTF-8, which JSON requires (ALB's reason `LambdaBadRequest`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request contains bytes that are not UTF-8")]
pub struct NotUtf8;

/// The event for a request.
pub fn event(request: &Request<'_>, values: Values) -> Result<Vec<u8>, NotUtf8> {
    let (path, query) = split(text(request.target)?);
    let mut headers: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, value) in request.headers {
        let name = text(name)?.to_ascii_lowercase();
        headers.entry(name).or_default().push(text(value)?);
    }
    let last = |name: &str| headers.get(name).and_then(|values| values.last()).copied();
    let is_text = request.body.is_empty()
        || last("content-encoding").is_none() && last("content-type").is_some_and(is_text);
    let encoded;
    let body = if is_text {
        text(request.body)?
    } else {
        encoded = STANDARD.encode(request.body);
        &encoded
    };
    Ok(write(&Document {
        target_group_arn: request.target_group_arn,
        method: text(request.method)?,
        path,
        query: Named(values, &parameters(query)),
        headers: Named(values, &headers.into_iter().collect::<Vec<_>>()),
        body,
        is_base64: !is_text,
    }))
}

/// The event of a health check: a GET for this path, with a query if it has one, marked by its User-Agent.
pub fn health_check_event(target_group_arn: &str, path: &str, values: Values) -> Vec<u8> {
    let (path, query) = split(path);
    let headers = [("user-agent".to_owned(), vec!["ELB-HealthChecker/2.0"])];
    write(&Document {
        target_group_arn,
        method: "GET",
        path,
        query: Named(values, &parameters(query)),
        headers: Named(values, &headers),
        body: "",
        is_base64: false,
    })
}

fn text(bytes: &[u8]) -> Result<&str, NotUtf8> {
    core::str::from_utf8(bytes).map_err(|_| NotUtf8)
}

fn split(target: &str) -> (&str, &str) {
    target.split_once('?').unwrap_or((target, ""))
}

/// Whether a body of this type is sent as text: `text/*`, and exactly the JSON, JavaScript and XML types that ALB's
/// guide names.
fn is_text(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    let media = media.to_ascii_lowercase();
    media.starts_with("text/")
        || matches!(
            &*media,
            "application/json" | "application/javascript" | "application/xml"
        )
}

/// A query's parameters, ordered by their first occurrence.
fn parameters(query: &str) -> Vec<(&str, Vec<&str>)> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for piece in query.split('&').filter(|piece| !piece.is_empty()) {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let place = *places.entry(name).or_insert(found.len());
        match found.get_mut(place) {
            Some((_, values)) => values.push(value),
            None => found.push((name, vec![value])),
        }
    }
    found
}

struct Document<'a, Q, H> {
    target_group_arn: &'a str,
    method: &'a str,
    path: &'a str,
    query: Named<'a, Q>,
    headers: Named<'a, H>,
    body: &'a str,
    is_base64: bool,
}

/// Names with their values, as one JSON object.
struct Named<'a, N>(Values, &'a [(N, Vec<&'a str>)]);

impl<N: AsRef<str>> Serialize for Named<'_, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.1.len()))?;
        for (name, values) in self.1 {
            match self.0 {
                Values::Last => map.serialize_entry(name.as_ref(), values.last().unwrap_or(&""))?,
                Values::All => map.serialize_entry(name.as_ref(), values)?,
            }
        }
        map.end()
    }
}

#[derive(serde::Serialize)]
struct Context<'a> {
    elb: Elb<'a>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Elb<'a> {
    target_group_arn: &'a str,
}

impl<Q: AsRef<str>, H: AsRef<str>> Serialize for Document<'_, Q, H> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (query, headers) = match self.query.0 {
            Values::Last => ("queryStringParameters", "headers"),
            Values::All => ("multiValueQueryStringParameters", "multiValueHeaders"),
        };
        let mut event = serializer.serialize_struct("event", 7)?;
        let target_group_arn = self.target_group_arn;
        event.serialize_field(
            "requestContext",
            &Context {
                elb: Elb { target_group_arn },
            },
        )?;
        event.serialize_field("httpMethod", self.method)?;
        event.serialize_field("path", self.path)?;
        event.serialize_field(query, &self.query)?;
        event.serialize_field(headers, &self.headers)?;
        event.serialize_field("body", self.body)?;
        event.serialize_field("isBase64Encoded", &self.is_base64)?;
        event.end()
    }
}

/// Serialises the event. It cannot fail: all keys and values are strings.
fn write<Q: AsRef<str>, H: AsRef<str>>(document: &Document<'_, Q, H>) -> Vec<u8> {
    serde_json::to_vec(document).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn made(headers: &[(&[u8], &[u8])], body: &[u8]) -> Result<Value, NotUtf8> {
        let request = Request {
            target_group_arn: "group",
            method: b"POST",
            target: b"/",
            headers,
            body,
        };
        event(&request, Values::Last).map(|event| serde_json::from_slice(&event).unwrap())
    }

    #[test]
    fn bodies_of_text_go_as_they_are() {
        let body_of = |kind: &str| {
            let event = made(&[(b"Content-Type", kind.as_bytes())], b"{\"a\": 1}").unwrap();
            (event["body"].clone(), event["isBase64Encoded"].clone())
        };
        for kind in [
            "text/plain",
            "Text/HTML; charset=utf-8",
            "application/json",
            "application/javascript ;x",
            "application/xml",
        ] {
            assert_eq!(body_of(kind), (json!("{\"a\": 1}"), json!(false)), "{kind}");
        }
        for kind in [
            "application/octet-stream",
            "application/vnd.api+json",
            "image/png",
            "",
        ] {
            assert_eq!(body_of(kind), (json!("eyJhIjogMX0="), json!(true)), "{kind}");
        }
    }

    #[test]
    fn what_is_packed_is_no_text() {
        let headers: [(&[u8], &[u8]); 2] = [(b"content-type", b"text/plain"), (b"Content-Encoding", b"gzip")];
        let event = made(&headers, b"\x1f\x8b").unwrap();
        assert_eq!(
            (&event["body"], &event["isBase64Encoded"]),
            (&json!("H4s="), &json!(true))
        );
    }

    #[test]
    fn bytes_that_are_no_characters_make_no_event() {
        assert_eq!(made(&[(b"content-type", b"text/plain")], b"\xff"), Err(NotUtf8));
        assert_eq!(made(&[(b"x", b"\xe4")], b""), Err(NotUtf8));
        assert!(made(&[(b"x", "\u{e4}".as_bytes())], b"\xff").is_ok());
    }

    #[test]
    fn parameters_are_in_order_and_not_decoded() {
        let event = health_check_event("group", "/a%20b?b=%31&a=2&b=3&c&=d&&e==f?", Values::All);
        let text = String::from_utf8(event).unwrap();
        let wanted = r#""path":"/a%20b","multiValueQueryStringParameters":{"b":["%31","3"],"a":["2"],"c":[""],"":["d"],"e":["=f?"]}"#;
        assert!(text.contains(wanted), "{text}");
    }
}
