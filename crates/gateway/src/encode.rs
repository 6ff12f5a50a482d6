//! The encode stage: turns results into HTTP responses.

use bytes::Bytes;
use forebay_awswire::{Answer, ApiError, Protocol, Service};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;

/// The response to a call.
pub(crate) fn response(
    protocol: Protocol,
    call: Option<(Service, &str)>,
    request_id: &str,
    result: Result<&Value, &ApiError>,
) -> Response<Full<Bytes>> {
    if let (Some((service, operation)), Ok(value)) = (call, result) {
        // Catches in tests what the model's output shape has no place for, which would be left out silently.
        debug_assert_eq!(
            forebay_awswire::left_out(service, operation, value),
            Vec::<String>::new()
        );
    }
    let Answer {
        status,
        headers,
        body,
    } = forebay_awswire::encode(protocol, call, request_id, result);
    let mut response = plain(
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        body,
    );
    for (name, value) in headers {
        // Codes and ids are plain ASCII; a header that is not is left out instead of failing the answer.
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A text response outside of the AWS protocols.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = plain(status, text.as_bytes().to_vec());
    let content = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, content);
    response
}

/// A JSON response outside of the AWS protocols.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = plain(status, value.to_string().into_bytes());
    let content = HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, content);
    response
}

fn plain(status: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
