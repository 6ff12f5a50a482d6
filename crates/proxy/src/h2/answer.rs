//! The heads of answers in HTTP/2.

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
    // Statuses are between 100 and 999; that was checked where they were made.
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

/// Adds header lines of our own.
pub(crate) fn add_extras(headers: &mut HeaderMap, extras: &[Extra]) {
    for (name, value) in extras {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
}

/// Bytes of a head as HTTP/1.1 would write it, without a reason phrase; logs count the heads of requests in the same way.
/// The bytes on the wire depend on HPACK state, that is on other streams.
pub(crate) fn head_bytes<B>(head: &Response<B>) -> u64 {
    let lines: usize = head
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    ("HTTP/1.1 200 \r\n\r\n".len() + lines) as u64
}

/// Whether a target's head, as HTTP/1.1 would write it, exceeds the limit that both protocols share.
pub(crate) fn is_too_long<B>(head: &Response<B>) -> bool {
    head_bytes(head) > forebay_model::limits::RESPONSE_HEAD_BYTES as u64
}

/// A target's head without the headers of its own connection.
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

/// Whether an answer made here is sent in gRPC's trailers-only form, without a body. Only a success may take another form,
/// when a rule asks for it.
pub(crate) fn is_trailers_only(answer: &Answer, grpc: bool) -> bool {
    grpc && answer.status >= 300
}

/// The head of an answer made here. `grpc`: its client expects a gRPC status.
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

/// The text of a fixed response, as much as fits a header: percent-encoded, as gRPC requires.
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

/// The gRPC status of an answer that no target gave. ALB was seen to send 14 `unavailable` with 502; the others follow
/// gRPC's published mapping of HTTP statuses.
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
