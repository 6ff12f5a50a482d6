//! Heads of answers, as HTTP/2 has them.

use crate::answer::{Kept, Relayed};
use crate::cookies::Extra;
use crate::framing::Framing;
use crate::worker::Worker;
use forebay_model::ListenerSettings;
use forebay_node::{Answer, Reason};
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, SERVER,
};
use http::{Response, StatusCode};

fn with(status: u16) -> Response<()> {
    let mut response = Response::new(());
    // Statuses are from 100 to 999, checked where they come from.
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    response
}

fn set(headers: &mut HeaderMap, settings: &ListenerSettings) {
    for (name, value) in &settings.response_headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
}

/// Adds lines of our own.
pub(crate) fn add_extras(headers: &mut HeaderMap, extras: &[Extra]) {
    for (name, value) in extras {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
}

/// Bytes of a head as HTTP/1.1 would write it, without a reason phrase: that is how logs count heads of requests too. What
/// goes over the wire is packed by what went before it on other streams.
pub(crate) fn head_bytes<B>(head: &Response<B>) -> u64 {
    let lines: usize = head
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    ("HTTP/1.1 200 \r\n\r\n".len() + lines) as u64
}

/// Whether a target's head is larger than it may be, as HTTP/1.1 would write it: the bound is the same for both.
pub(crate) fn is_too_long<B>(head: &Response<B>) -> bool {
    head_bytes(head) > forebay_model::limits::RESPONSE_HEAD_BYTES as u64
}

/// A target's head, less what is of its own connection.
pub(crate) fn relayed_head(answer: &Relayed<'_>) -> Response<()> {
    let bytes = answer.bytes;
    let mut response = with(answer.head.status);
    let headers = response.headers_mut();
    let kept = Kept::of(answer);
    for field in answer.fields.iter().filter(|field| kept.keeps(field)) {
        let name = HeaderName::from_bytes(field.name(bytes));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(field.value(bytes))) {
            headers.append(name, value);
        }
    }
    set(headers, answer.settings);
    add_extras(headers, answer.extras);
    if let Framing::Length(length) = answer.framing {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

/// Whether an answer made here goes out as gRPC has it: without a body, all in its head. Only what says that all is well may be
/// something else, by a rule's own wish.
pub(crate) fn is_trailers_only(answer: &Answer, grpc: bool) -> bool {
    grpc && answer.status >= 300
}

/// The head of an answer made here. `grpc`: its client looks for gRPC's own status.
pub(crate) fn own_head(
    worker: &Worker,
    answer: &Answer,
    settings: &ListenerSettings,
    grpc: bool,
) -> Response<()> {
    let mut response = with(answer.status);
    let headers = response.headers_mut();
    if settings.server_header && !answer.bare {
        headers.insert(SERVER, HeaderValue::from_static("awselb/2.0"));
    }
    let mut date = Vec::with_capacity(32);
    worker.write_date(&mut date);
    if let Ok(date) = HeaderValue::from_bytes(&date) {
        headers.insert(DATE, date);
    }
    if is_trailers_only(answer, grpc) {
        let (code, message) = grpc_status(answer.status);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static(code));
        let said = said(answer).and_then(|said| HeaderValue::try_from(said).ok());
        headers.insert("grpc-message", said.unwrap_or(HeaderValue::from_static(message)));
    } else if let Some((kind, body)) = &answer.content {
        if let Ok(kind) = HeaderValue::try_from(kind) {
            headers.insert(CONTENT_TYPE, kind);
        }
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    if let Some(Ok(location)) = answer.location.as_deref().map(HeaderValue::try_from) {
        headers.insert(LOCATION, location);
    }
    if let Some(seconds) = answer.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(word) = answer.reason.work_refused() {
        headers.insert("x-forebay-work-refused", HeaderValue::from_static(word));
    }
    set(headers, settings);
    response
}

/// What a fixed response has to say, as far as a header holds it: percent-encoded, as gRPC has it.
fn said(answer: &Answer) -> Option<String> {
    const BYTES: usize = 1024;
    let (_, body) = answer
        .content
        .as_ref()
        .filter(|_| answer.reason == Reason::FixedResponse)?;
    let said = body.iter().take(BYTES).map(|&byte| match byte {
        b' '..=b'~' if byte != b'%' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    Some(said.collect()).filter(|said: &String| !said.is_empty())
}

/// What gRPC calls an answer that no target gave. 14 `unavailable` was seen on ALB with 502; the others are the mapping
/// of HTTP statuses that gRPC publishes.
fn grpc_status(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("13", "internal"),
        401 => ("16", "unauthenticated"),
        403 => ("7", "permission denied"),
        404 => ("12", "unimplemented"),
        429 | 502..=504 => ("14", "unavailable"),
        _ => ("2", "unknown"),
    }
}
