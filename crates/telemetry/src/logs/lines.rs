//! The lines themselves, exactly in the formats of ALB's access, connection and health-check logs.

use super::text::{Stamp, escaped, ip, padded, seconds, socket};
use core::net::SocketAddr;
use forebay_model::Priority;
use forebay_node::logging::{ConnectionFacts, ConnectionId, LogFacts, ProbeFacts, RequestLine};
use forebay_node::{ProbeResult, Record, Taken, TransformError};
use forebay_units::digits::{decimal, hexadecimal};

/// Most bytes of a User-Agent in a line (user guide for Application Load Balancers, "Access logs").
const AGENT_BYTES: usize = 8 * 1024;

fn connection_id(out: &mut Vec<u8>, id: ConnectionId) {
    out.extend_from_slice(b"TID_");
    hexadecimal(out, id.0[0], 16);
    hexadecimal(out, id.0[1], 16);
}

/// A host without its port.
fn without_port(host: &[u8]) -> &[u8] {
    let bracket = host.iter().rposition(|&byte| byte == b']').unwrap_or(0);
    match host.iter().rposition(|&byte| byte == b':') {
        Some(colon) if colon > bracket || bracket == 0 => &host[..colon],
        _ => host,
    }
}

fn request_line(out: &mut Vec<u8>, facts: &LogFacts<'_>) {
    let unread = RequestLine {
        method: b"-",
        host: facts.balancer.blueprint.dns_name.as_bytes(),
        target: b"-",
        version: "-",
    };
    let line = facts.line.unwrap_or(unread);
    escaped(out, line.method);
    out.push(b' ');
    out.extend_from_slice(facts.kind.scheme().as_bytes());
    out.extend_from_slice(b"://");
    escaped(out, without_port(line.host));
    out.push(b':');
    decimal(out, u64::from(facts.port));
    escaped(out, line.target);
    out.push(b' ');
    out.extend_from_slice(line.version.as_bytes());
}

/// Fields 6 to 8. All three are -1 when no target answered.
fn times(out: &mut Vec<u8>, facts: &LogFacts<'_>) {
    let record = facts.record;
    match (record.sent, record.answered) {
        (Some(sent), Some(answered)) => {
            seconds(out, sent.since(record.begun));
            out.push(b' ');
            seconds(out, answered.since(sent));
            out.push(b' ');
            let responded = facts.responded.unwrap_or(answered);
            seconds(out, responded.since(answered));
        }
        _ => out.extend_from_slice(b"-1 -1 -1"),
    }
}

fn quoted(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.extend_from_slice(b" \"");
    match bytes {
        Some(bytes) if !bytes.is_empty() => escaped(out, bytes),
        _ => out.push(b'-'),
    }
    out.push(b'"');
}

fn target_status(out: &mut Vec<u8>, facts: &LogFacts<'_>) {
    match facts.record.target_status {
        Some(status) => padded::<3>(out, u64::from(status)),
        None => out.push(b'-'),
    }
}

/// An address; `-` for a function, which has none.
fn address(out: &mut Vec<u8>, address: Option<SocketAddr>) {
    match address {
        Some(address) => socket(out, address),
        None => out.push(b'-'),
    }
}

fn target_address(out: &mut Vec<u8>, facts: &LogFacts<'_>) {
    let target = facts.record.target.as_ref();
    address(out, target.and_then(|target| target.address));
}

/// Field 23: the actions of the matching rule, in order.
fn actions(out: &mut Vec<u8>, facts: &LogFacts<'_>) {
    let record = facts.record;
    let rewrote = record.rewritten.is_some() || matches!(record.transform, Some(Err(_)));
    let action = record.action.map(|action| match action {
        Taken::Forward => "forward",
        Taken::Redirect => "redirect",
        Taken::Fixed => "fixed-response",
    });
    out.extend_from_slice(match (rewrote, action) {
        (true, Some(_)) => b"rewrite,",
        (true, None) => b"rewrite",
        (false, None) => b"-",
        (false, Some(_)) => b"",
    });
    out.extend_from_slice(action.unwrap_or_default().as_bytes());
}

/// Fields 31 to 33: what transforms changed, and their result.
fn transforms(out: &mut Vec<u8>, facts: &LogFacts<'_>) {
    let record = facts.record;
    let (host, url) = match record.rewritten.as_deref() {
        Some(rewritten) => (rewritten.host.as_deref(), rewritten.url.as_deref()),
        None => (None, None),
    };
    let (old_host, old_url) = match &facts.line {
        Some(line) => (without_port(line.host), line.target),
        None => (&[][..], &[][..]),
    };
    quoted(out, host.filter(|&host| host != old_host));
    quoted(out, url.filter(|&url| url != old_url));
    let status = match record.transform {
        Some(Err(TransformError::InvalidHost)) => Some("TransformInvalidHost"),
        Some(Err(TransformError::InvalidPath)) => Some("TransformInvalidPath"),
        Some(Err(TransformError::BufferTooSmall)) => Some("TransformBufferTooSmall"),
        Some(Err(TransformError::CompileTooBig)) => Some("TransformCompileTooBig"),
        Some(Err(TransformError::RegexSyntax)) => Some("TransformRegexSyntaxError"),
        _ if record.rewritten.is_some() => Some("TransformSuccess"),
        _ => None,
    };
    quoted(out, status.map(str::as_bytes));
}

/// Fields 1 to 12; returns where the target's address is among them.
fn figures(
    out: &mut Vec<u8>,
    stamp: &mut Stamp,
    name: &str,
    facts: &LogFacts<'_>,
) -> core::ops::Range<usize> {
    out.extend_from_slice(facts.kind.word().as_bytes());
    out.push(b' ');
    stamp.micros(out, facts.wall);
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.push(b' ');
    socket(out, facts.client);
    out.push(b' ');
    let target = out.len();
    target_address(out, facts);
    let target = target..out.len();
    out.push(b' ');
    times(out, facts);
    out.push(b' ');
    padded::<3>(out, u64::from(facts.status));
    out.push(b' ');
    target_status(out, facts);
    out.push(b' ');
    decimal(out, facts.received);
    out.push(b' ');
    decimal(out, facts.sent);
    target
}

/// Appends a line of the access log (33 fields).
pub(super) fn access(out: &mut Vec<u8>, stamp: &mut Stamp, name: &str, facts: &LogFacts<'_>) {
    let record = facts.record;
    let target = figures(out, stamp, name, facts);
    out.extend_from_slice(b" \"");
    request_line(out, facts);
    out.push(b'"');
    quoted(
        out,
        facts.agent.map(|agent| &agent[..agent.len().min(AGENT_BYTES)]),
    );
    let (cipher, protocol) = facts.tls.map_or(("-", "-"), |tls| (tls.cipher, tls.protocol));
    for field in [cipher, protocol, facts.group.unwrap_or("-")] {
        out.push(b' ');
        out.extend_from_slice(field.as_bytes());
    }
    quoted(out, facts.trace);
    quoted(out, facts.tls.and_then(|tls| tls.server_name).map(str::as_bytes));
    quoted(out, facts.tls.map(|tls| tls.certificate.as_bytes()));
    out.push(b' ');
    match record.priority {
        _ if record.rule_error => out.extend_from_slice(b"-1"),
        Some(Priority::Default) => out.push(b'0'),
        Some(Priority::At(priority)) => decimal(out, u64::from(priority)),
        None => out.push(b'-'),
    }
    out.push(b' ');
    stamp.millis(out, facts.created);
    out.extend_from_slice(b" \"");
    actions(out, facts);
    out.push(b'"');
    quoted(out, facts.location);
    quoted(out, error_reason(record).map(str::as_bytes));
    out.extend_from_slice(b" \"");
    out.extend_from_within(target);
    out.extend_from_slice(b"\" \"");
    // ALB's example of a function that answered has its status in field 10, but none here.
    if is_of_function(record) {
        out.push(b'-');
    } else {
        target_status(out, facts);
    }
    out.push(b'"');
    quoted(
        out,
        facts
            .classified
            .map(|classified| classified.tier.word().as_bytes()),
    );
    quoted(
        out,
        facts.classified.map(|classified| classified.reason.as_bytes()),
    );
    out.push(b' ');
    connection_id(out, facts.connection);
    transforms(out, facts);
    if facts.balancer.settings().log_extensions {
        extensions(out, record);
    }
    out.push(b'\n');
}

fn is_of_function(record: &Record) -> bool {
    record.target.as_ref().is_some_and(|target| target.is_function())
}

/// Field 25. ALB has reasons for failures of authentication and WAF, which do not exist here, and of functions.
fn error_reason(record: &Record) -> Option<&'static str> {
    Some(record.reason?.lambda_error()?.code)
}

/// Fields that ALB does not have: seconds of waiting for a slot, and why the answer is not the target's.
fn extensions(out: &mut Vec<u8>, record: &Record) {
    out.push(b' ');
    match record.waited {
        Some(waited) => seconds(out, waited),
        None => out.push(b'-'),
    }
    quoted(out, record.reason.map(|reason| reason.word().as_bytes()));
}

/// Appends a line of the connection log (13 fields). Fields 8 to 10 describe client certificates, which are never
/// requested.
pub(super) fn connection(out: &mut Vec<u8>, stamp: &mut Stamp, facts: &ConnectionFacts<'_>) {
    stamp.micros(out, facts.wall);
    out.push(b' ');
    ip(out, facts.client.ip());
    out.push(b' ');
    decimal(out, u64::from(facts.client.port()));
    out.push(b' ');
    decimal(out, u64::from(facts.port));
    match &facts.tls {
        Some(tls) => {
            out.push(b' ');
            out.extend_from_slice(tls.protocol.as_bytes());
            out.push(b' ');
            out.extend_from_slice(tls.cipher.as_bytes());
            out.push(b' ');
            seconds(out, tls.handshake);
        }
        None => out.extend_from_slice(b" - - -"),
    }
    out.extend_from_slice(b" \"-\" - - ");
    match (&facts.tls, facts.failed) {
        (_, Some(code)) => {
            out.extend_from_slice(b"Failed:");
            out.extend_from_slice(code.as_bytes());
        }
        (Some(_), None) => out.extend_from_slice(b"Success"),
        (None, None) => out.push(b'-'),
    }
    out.push(b' ');
    connection_id(out, facts.connection);
    out.push(b' ');
    out.extend_from_slice(facts.tls.map_or("-", |tls| tls.group).as_bytes());
    out.push(b'\n');
}

/// Appends a line of the health-check log (8 fields).
pub(super) fn probe(out: &mut Vec<u8>, stamp: &mut Stamp, facts: &ProbeFacts<'_>) {
    out.extend_from_slice(facts.kind.as_bytes());
    out.push(b' ');
    stamp.micros(out, facts.wall);
    out.push(b' ');
    decimal(out, facts.latency.as_secs());
    out.push(b'.');
    padded::<9>(out, u64::from(facts.latency.subsec_nanos()));
    out.push(b' ');
    address(out, facts.address);
    out.push(b' ');
    out.extend_from_slice(facts.watch.group.as_bytes());
    let grpc = facts.kind == "grpc";
    let (status, reason) = match facts.result {
        ProbeResult::Answered(status) if facts.watch.matcher.accepts(status) => (Some(status), None),
        ProbeResult::Answered(status) if grpc => (Some(status), Some("GRPCUnexpectedStatus")),
        ProbeResult::Answered(status) if status >= 500 => (Some(status), Some("TargetError")),
        ProbeResult::Answered(status) => (Some(status), Some("ResponseCodeMismatch")),
        ProbeResult::TimedOut => (None, Some("TimedOut")),
        ProbeResult::Failed if facts.kind == "lambda" => (None, Some("TargetError")),
        ProbeResult::Failed => (None, Some("ConnectionReset")),
    };
    out.extend_from_slice(if reason.is_none() { b" PASS " } else { b" FAIL " });
    match status {
        Some(status) => decimal(out, u64::from(status)),
        None => out.push(b'-'),
    }
    out.push(b' ');
    out.extend_from_slice(reason.unwrap_or("-").as_bytes());
    out.push(b'\n');
}
