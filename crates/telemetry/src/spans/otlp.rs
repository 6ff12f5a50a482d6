//! A finished request as spans (OpenTelemetry's semantic conventions for HTTP, stable).

use crate::otlp::{number, text};
use forebay_node::logging::{Kind, LogFacts, RequestLine, SpanFacts};
use forebay_node::{Reason, Record};
use forebay_units::Mono;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

/// Clients' texts are cut after this many bytes, so that a batch stays small whatever they send.
const TEXT_BYTES: usize = 1024;
/// Bytes of a `tracestate` in a span: the least that must be passed on (W3C Trace Context, section 3.3.1.5).
const STATE_BYTES: usize = 512;
/// Flags of a span beyond the trace's own (OTLP): whether the parent is remote is known, and it is remote.
const KNOWS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
/// Methods that are recorded by name (RFC 9110 and PATCH); any other could be arbitrary text.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

fn short(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES)]).into_owned()
}

/// When the stages of a request began and ended.
struct Course<'a> {
    facts: &'a LogFacts<'a>,
    span: &'a SpanFacts<'a>,
    /// When the request began: with its connection, if it is the first on it.
    begun: Mono,
}

impl Course<'_> {
    /// Nanoseconds since the Unix epoch. All times are computed back from the end, so that a clock that is set in between
    /// does
    /// not tear the stages apart.
    fn nanos(&self, at: Mono) -> u64 {
        let ended = u64::try_from(self.facts.wall.0)
            .unwrap_or(0)
            .saturating_mul(1_000);
        let before = self.facts.record.ended.since(at.max(self.begun)).as_nanos();
        ended.saturating_sub(u64::try_from(before).unwrap_or(u64::MAX))
    }

    fn stage(&self, name: &str, id: u64, from: Mono, to: Mono) -> Span {
        let context = &self.span.context;
        Span {
            trace_id: context.trace.to_be_bytes().to_vec(),
            span_id: id.to_be_bytes().to_vec(),
            parent_span_id: context.span.to_be_bytes().to_vec(),
            trace_state: self.state(),
            flags: u32::from(context.flags) | KNOWS_REMOTE,
            name: name.to_owned(),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: self.nanos(from),
            end_time_unix_nano: self.nanos(to.max(from)),
            ..Span::default()
        }
    }

    /// The first members of the client's `tracestate`. It is cut because each span of the request holds a copy while it
    /// waits.
    fn state(&self) -> String {
        let mut state = String::new();
        let lines = self.span.state.iter().map(|line| String::from_utf8_lossy(line));
        for line in lines {
            for member in line.split(',') {
                if state.len() + 1 + member.len() > STATE_BYTES {
                    return state;
                }
                if !state.is_empty() {
                    state.push(',');
                }
                state.push_str(member);
            }
        }
        state
    }
}

fn failed(span: &mut Span, error: &str) {
    span.attributes.push(text("error.type", error));
    span.status = Some(Status {
        code: StatusCode::Error.into(),
        ..Status::default()
    });
}

/// Appends the request's span and those of the stages that it passed.
pub(super) fn request(out: &mut Vec<Span>, facts: &LogFacts<'_>, span: &SpanFacts<'_>) {
    let record = facts.record;
    let course = Course {
        facts,
        span,
        begun: span.accepted.unwrap_or(record.begun),
    };
    out.push(server(&course));
    if let Some(accepted) = span.accepted {
        out.push(course.stage("accept", span.ids[0], accepted, record.begun));
    }
    // When an answer made here began, the target's part was over.
    let over = record.answered.or(span.answering).unwrap_or(record.ended);
    if let Some(sent) = record.sent {
        let refused = record
            .reason
            .filter(|_| record.answered.is_none())
            .filter(is_of_connecting);
        if let Some(reason) = refused {
            let mut connect = course.stage("connect", span.ids[1], sent, over);
            connect.attributes = target(record);
            failed(&mut connect, reason.word());
            out.push(connect);
        } else {
            if let Some(connecting) = span.connecting {
                let mut connect = course.stage("connect", span.ids[1], connecting, sent);
                connect.attributes = target(record);
                out.push(connect);
            }
            out.push(at_target(&course, sent, over));
        }
    }
    if let Some(from) = span.answering.or(record.answered) {
        out.push(course.stage("send", span.ids[2], from, record.ended));
    }
}

/// Reasons that mean that no connection to the target was made.
fn is_of_connecting(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::Refused | Reason::ConnectTimeout | Reason::TargetHandshake | Reason::OutOfResources
    )
}

/// The span of the request as this server sees it.
fn server(course: &Course<'_>) -> Span {
    let (facts, context, record) = (course.facts, &course.span.context, course.facts.record);
    let (method, original) = method(facts.line.as_ref());
    let mut span = course.stage(method.unwrap_or("HTTP"), context.span, course.begun, record.ended);
    span.parent_span_id = context
        .parent
        .map_or_else(Vec::new, |parent| parent.to_be_bytes().to_vec());
    span.flags |= if context.parent.is_some() { IS_REMOTE } else { 0 };
    span.kind = SpanKind::Server.into();
    let attributes = &mut span.attributes;
    attributes.push(text("http.request.method", method.unwrap_or("_OTHER")));
    if let Some(original) = original {
        attributes.push(text("http.request.method_original", original));
    }
    attributes.push(text("url.scheme", facts.kind.scheme()));
    if let Some(line) = &facts.line {
        // The query is left out, because it may hold secrets.
        let path = line.target.split(|&byte| byte == b'?').next().unwrap_or_default();
        attributes.push(text("url.path", short(path)));
        attributes.push(text("server.address", host(line.host)));
        attributes.push(text("network.protocol.version", version(facts.kind, line)));
    }
    attributes.push(number("server.port", facts.port));
    attributes.push(text("client.address", facts.client.ip().to_string()));
    attributes.push(text("network.peer.address", facts.client.ip().to_string()));
    attributes.push(number("network.peer.port", facts.client.port()));
    attributes.push(number("http.response.status_code", facts.status));
    if let Some(agent) = facts.agent {
        attributes.push(text("user_agent.original", short(agent)));
    }
    if let Some(tls) = &facts.tls {
        attributes.push(text(
            "tls.protocol.version",
            tls.protocol.trim_start_matches("TLSv"),
        ));
        attributes.push(text("tls.cipher", tls.cipher));
    }
    attributes.push(text("forebay.load_balancer", facts.balancer.name()));
    if let Some(group) = facts.group {
        attributes.push(text("forebay.target_group", group));
    }
    if let Some(target) = &record.target {
        // A function has no address; its ARN serves as its name.
        let address = target.address.map(|address| address.to_string());
        let target = address.unwrap_or_else(|| target.name.clone());
        attributes.push(text("forebay.target", target));
    }
    if let Some(reason) = record.reason {
        attributes.push(text("forebay.reason", reason.word()));
    }
    // An answer that broke off is an error as well, whatever its head said.
    let broke_off = record.answered.is_some() && record.reason.is_some();
    if facts.status >= 500 || broke_off {
        let status = facts.status.to_string();
        failed(&mut span, record.reason.map_or(&status, |reason| reason.word()));
    }
    span
}

/// The span of the request's time at its target, where it continues as the target's own span.
fn at_target(course: &Course<'_>, sent: Mono, over: Mono) -> Span {
    let (facts, record) = (course.facts, course.facts.record);
    let mut span = course.stage("target", course.span.context.target, sent, over);
    span.kind = SpanKind::Client.into();
    span.attributes = target(record);
    let method = method(facts.line.as_ref()).0.unwrap_or("_OTHER");
    span.attributes.push(text("http.request.method", method));
    if record.retries > 0 {
        let retries = i64::from(record.retries);
        span.attributes.push(number("http.request.resend_count", retries));
    }
    match (record.target_status, record.reason) {
        (Some(status), _) => {
            span.attributes.push(number("http.response.status_code", status));
            if status >= 400 {
                failed(&mut span, &status.to_string());
            }
        }
        (None, Some(reason)) => failed(&mut span, reason.word()),
        (None, None) => {}
    }
    span
}

fn target(record: &Record) -> Vec<KeyValue> {
    let target = record.target.as_ref();
    let Some(target) = target.and_then(|target| target.address) else {
        return Vec::new();
    };
    let address = target.ip().to_string();
    vec![
        text("server.address", address.clone()),
        number("server.port", target.port()),
        text("network.peer.address", address),
        number("network.peer.port", target.port()),
    ]
}

/// The method if it is a known one, else the text in its place.
fn method(line: Option<&RequestLine<'_>>) -> (Option<&'static str>, Option<String>) {
    let Some(line) = line else {
        return (None, None);
    };
    let known = METHODS.into_iter().find(|known| known.as_bytes() == line.method);
    (known, known.is_none().then(|| short(line.method)))
}

fn version(kind: Kind, line: &RequestLine<'_>) -> &'static str {
    match (kind, line.version) {
        (Kind::H2 | Kind::Grpcs, _) => "2",
        (_, "HTTP/1.0") => "1.0",
        _ => "1.1",
    }
}

/// A host without its port, and without the brackets of an IPv6 address.
fn host(authority: &[u8]) -> String {
    let text = short(authority);
    if let Some((address, _)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.to_owned();
    }
    match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (authority, is) in [
            ("a.b", "a.b"),
            ("a.b:80", "a.b"),
            ("[::1]:80", "::1"),
            ("[::1]", "::1"),
            ("a:b", "a:b"),
        ] {
            assert_eq!(host(authority.as_bytes()), is);
        }
    }
}
