//! REST-JSON: the operation that a method and a path name, and its input and answer in path, query, headers and body.

use crate::model::{Kind, Model, Shape, ShapeId};
use crate::query::epoch_seconds;
use crate::route::Place;
use crate::{ApiError, HttpRequest, Protocol, Service, json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// The operation of a service with this method and path.
pub(crate) fn operation(model: &Model, request: &HttpRequest<'_>) -> Option<String> {
    let routes = model.routes.iter();
    let routes = routes.filter(|route| route.fits(request.method, request.path, request.query));
    let route = routes.max_by_key(|route| route.is_told_by_query())?;
    Some(route.operation.clone())
}

/// The REST-JSON service that has an operation with this method and path.
pub(crate) fn service(request: &HttpRequest<'_>) -> Option<Service> {
    Service::ALL.into_iter().find(|service| {
        service.protocols().contains(&Protocol::RestJson) && operation(Model::of(*service), request).is_some()
    })
}

/// Whether method and path are those of an operation, so that the request needs no other sign of being an API call.
pub fn is_routed(request: &HttpRequest<'_>) -> bool {
    service(request).is_some()
}

/// The operation's input.
pub(crate) fn input(
    model: &Model,
    operation: &str,
    shape: ShapeId,
    request: &HttpRequest<'_>,
) -> Result<Value, ApiError> {
    let Kind::Structure(members) = &model.shape(shape).kind else {
        return Ok(Value::Object(Map::new()));
    };
    let route = model.routes.iter().find(|route| route.operation == operation);
    let in_path = route.and_then(|route| route.members(request.method, request.path));
    let in_path = in_path.unwrap_or_default();
    let has_payload = members.iter().any(|member| member.place == Place::Payload);
    let mut object = if has_payload {
        Map::new()
    } else {
        match json::input(model, shape, request.body)? {
            Value::Object(object) => object,
            _ => Map::new(),
        }
    };
    for member in members {
        let called = member.input.as_str();
        let texts: Vec<String> = match member.place {
            Place::Body | Place::Status => continue,
            Place::Payload => {
                if !request.body.is_empty() {
                    object.insert(member.name.clone(), Value::String(STANDARD.encode(request.body)));
                }
                continue;
            }
            Place::Path => {
                let found = in_path.iter().find(|(name, _)| *name == called);
                found.map(|(_, text)| text.clone()).into_iter().collect()
            }
            Place::Query => form_urlencoded::parse(request.query.as_bytes())
                .filter(|(name, _)| name == called)
                .map(|(_, text)| text.into_owned())
                .collect(),
            Place::Header => {
                let found = request.headers.get(called).and_then(|value| value.to_str().ok());
                found.map(str::to_owned).into_iter().collect()
            }
        };
        // A member with another place is not read from the body.
        object.remove(&member.name);
        if !texts.is_empty() {
            object.insert(
                member.name.clone(),
                value(model, model.shape(member.shape), called, texts)?,
            );
        }
    }
    Ok(Value::Object(object))
}

/// The value of `texts`: a list of items, or a single value.
fn value(model: &Model, shape: &Shape, called: &str, texts: Vec<String>) -> Result<Value, ApiError> {
    if let Kind::List { item, .. } = &shape.kind {
        let item = model.shape(*item);
        let items = texts
            .into_iter()
            .map(|text| value(model, item, called, vec![text]));
        return items.collect();
    }
    let text = texts.into_iter().next().unwrap_or_default();
    let read = match &shape.kind {
        Kind::Integer => text.parse::<i64>().ok().map(Value::from),
        Kind::Boolean => text.parse::<bool>().ok().map(Value::from),
        Kind::Timestamp => epoch_seconds(&text),
        Kind::Float => text.parse::<f64>().ok().map(Value::from),
        _ => return Ok(Value::String(text)),
    };
    read.ok_or_else(|| {
        let given: String = text.chars().take(256).collect();
        ApiError::serialization(format!(
            "'{given}' in {called} can not be converted to {}",
            shape.kind.expected()
        ))
    })
}

/// The parts of an answer.
pub(crate) struct Parts {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// Distributes the members of an operation's answer to their places. `document` is the answer with only the members of
/// its shape.
pub(crate) fn output(model: &'static Model, operation: &str, value: &Value, document: &Value) -> Parts {
    let shapes = model.operation(operation);
    let mut parts = Parts {
        status: shapes.map_or(200, |shapes| shapes.status),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let Some(shape) = shapes.and_then(|shapes| shapes.output) else {
        return parts;
    };
    let Kind::Structure(members) = &model.shape(shape).kind else {
        return parts;
    };
    let mut document = document.as_object().cloned().unwrap_or_default();
    let mut payload = None;
    for member in members {
        let given = value.get(&member.name).filter(|given| !given.is_null());
        match (member.place, given) {
            (Place::Status, Some(given)) => {
                let status = given.as_u64().and_then(|status| u16::try_from(status).ok());
                parts.status = status.unwrap_or(parts.status);
            }
            (Place::Header, Some(given)) => {
                let text = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
                parts.headers.push((member.output.as_str(), text));
            }
            (Place::Payload, given) => {
                let packed = given.and_then(Value::as_str).unwrap_or_default();
                payload = Some(STANDARD.decode(packed).unwrap_or_default());
            }
            _ => {}
        }
        if member.place != Place::Body {
            document.remove(&member.output);
        }
    }
    parts.body = match payload {
        Some(payload) => payload,
        // AWS sends no body with this status.
        None if parts.status == 204 => Vec::new(),
        None => Value::Object(document).to_string().into_bytes(),
    };
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{encode, open};
    use http::HeaderMap;
    use serde_json::json;

    fn asked(
        method: &str,
        target: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Result<(String, Value), ApiError> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let request = HttpRequest {
            method,
            path,
            query,
            headers: &headers,
            body: body.as_bytes(),
        };
        let call = open(&request).map_err(|refusal| {
            assert_eq!(refusal.protocol, Protocol::RestJson);
            refusal.error
        })?;
        assert_eq!(call.protocol, Protocol::RestJson);
        let input = call.input(&request)?;
        Ok((call.operation, input))
    }

    #[test]
    fn path_query_headers_and_body_make_the_input() {
        let (operation, input) =
            asked("DELETE", "/schedules/a%2Db?groupName=g&clientToken=t", &[], "").unwrap();
        assert_eq!(operation, "DeleteSchedule");
        assert_eq!(
            input,
            json!({"Name": "a-b", "GroupName": "g", "ClientToken": "t"})
        );
        let arn = "arn%3Aaws%3Ascheduler%3Alocal-1%3A123456789012%3Aschedule-group%2Fg";
        let (operation, input) =
            asked("DELETE", &format!("/tags/{arn}?TagKeys=a&TagKeys=b+c"), &[], "").unwrap();
        assert_eq!(operation, "UntagResource");
        assert_eq!(
            input,
            json!({"ResourceArn": "arn:aws:scheduler:local-1:123456789012:schedule-group/g", "TagKeys": ["a", "b c"]})
        );
        let body = r#"{"ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": {"Mode": "OFF"}, "Name": "other",
            "Target": {"Arn": "arn:x", "RoleArn": "arn:aws:iam::123456789012:role/r"}}"#;
        let (operation, input) = asked("PUT", "/schedules/n/", &[], body).unwrap();
        assert_eq!(
            (operation.as_str(), &input["Name"]),
            ("UpdateSchedule", &json!("n"))
        );
        let (_, input) = asked("GET", "/schedules?MaxResults=7", &[], "").unwrap();
        assert_eq!(input, json!({"MaxResults": 7}));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let error = asked("GET", "/schedules?MaxResults=many", &[], "").unwrap_err();
        assert_eq!(error.code, "SerializationException");
        let error = asked("PUT", "/schedules/n", &[], "{").unwrap_err();
        assert_eq!(error.code, "SerializationException");
        let error = asked("PUT", "/schedules/n", &[], "{}").unwrap_err();
        assert_eq!(error.code, "ValidationException");
        let signed = [(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=A/20150830/local-1/scheduler/aws4_request, SignedHeaders=host, Signature=00",
        )];
        let lambda = [(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=A/20150830/local-1/lambda/aws4_request, SignedHeaders=host, Signature=00",
        )];
        for (target, operation) in [
            ("/2018-10-31/layers", "ListLayers"),
            (
                "/2018-10-31/layers?find=LayerVersion&Arn=x",
                "GetLayerVersionByArn",
            ),
        ] {
            let error = asked("GET", target, &lambda, "").unwrap_err();
            assert!(error.message.contains(operation), "{error}");
        }
        let error = asked("GET", "/nowhere", &signed, "").unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.status),
            ("UnknownOperationException", 404)
        );
    }

    #[test]
    fn an_invocation_has_its_event_in_the_body_and_its_answer_too() {
        let path = "/2015-03-31/functions/f/invocations";
        let (operation, input) = asked("POST", path, &[("x-amz-invocation-type", "DryRun")], "[1]").unwrap();
        assert_eq!(operation, "Invoke");
        assert_eq!(
            input,
            json!({"FunctionName": "f", "InvocationType": "DryRun", "Payload": STANDARD.encode("[1]")})
        );
        let answer =
            json!({"StatusCode": 200, "FunctionError": "Unhandled", "Payload": STANDARD.encode("{}")});
        let call = Some((Service::Lambda, "Invoke"));
        let answer = encode(Protocol::RestJson, call, "id", Ok(&answer));
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"{}".as_slice()));
        assert!(
            answer
                .headers
                .contains(&("x-amz-function-error", "Unhandled".to_owned()))
        );
    }

    #[test]
    fn answers_and_errors_are_json() {
        let call = Some((Service::Scheduler, "GetScheduleGroup"));
        let answer = encode(
            Protocol::RestJson,
            call,
            "id",
            Ok(&json!({"Name": "g", "Other": 1})),
        );
        assert_eq!(answer.body, br#"{"Name":"g"}"#);
        let error = ApiError::sender("ResourceNotFoundException", "gone").with_status(404);
        let answer = encode(Protocol::RestJson, call, "id", Err(&error));
        assert_eq!(answer.status, 404);
        assert_eq!(answer.body, br#"{"Message":"gone","Type":"User"}"#);
        let told = ("x-amzn-errortype", "ResourceNotFoundException".to_owned());
        assert!(answer.headers.contains(&told));
    }
}
