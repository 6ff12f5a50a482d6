//! A request's head as its target will see it: written anew from what was parsed, so that nothing ambiguous is passed on.

use crate::buffers::RequestBuffers;
use crate::connection::ClientConnection;
use crate::fields::{Field, has_word, is, write_lines};
use crate::framing::Framing;
use crate::names::Known;
use crate::request_log::Span;
use crate::session::RequestContext;
use crate::spans;
use crate::wanted::{Wanted, preserves_host};
use crate::worker::Worker;
use forebay_model::XffMode;
use forebay_node::ListenerView;
use forebay_units::Wall;
use forebay_units::digits::{address, decimal, hexadecimal};
use std::cell::Cell;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;

/// Writes the request's head, as its target will see it, into `buffers.out`.
pub(crate) fn write_head<W>(context: &mut RequestContext<'_, W>, wanted: &Wanted) {
    let RequestContext {
        session,
        incoming,
        listener,
        exchange,
        ..
    } = context;
    let (worker, connection, rewritten) = (session.worker, session.connection, exchange.rewritten());
    let RequestBuffers {
        input,
        start,
        fields,
        out,
        request_log,
        ..
    } = &mut *session.buffers;
    let head = &input[*start..*start + incoming.head.length];
    out.clear();
    out.extend_from_slice(incoming.head.method(head));
    out.push(b' ');
    match rewritten.and_then(|rewritten| rewritten.url.as_ref()) {
        Some(url) => out.extend_from_slice(url),
        None => {
            out.extend_from_slice(wanted.path(head));
            if let Some(query) = wanted.query(head) {
                out.push(b'?');
                out.extend_from_slice(query);
            }
        }
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    // An agent adds nothing: its node has added these headers already.
    let own = listener.permit_issuer.is_none();
    if own {
        write_forwarded(out, connection, listener, head, fields);
    }
    let new_host = rewritten.and_then(|rewritten| rewritten.host.as_deref());
    let own_host = new_host.is_some() || !preserves_host(listener, head, fields, incoming);
    if own_host {
        write_host(
            out,
            wanted.host(head, listener),
            wanted.port(head, listener),
            new_host,
            connection.listener_address.port,
        );
    }
    if own {
        out.extend_from_slice(b"X-Amzn-Trace-Id: ");
        let trace = out.len();
        write_trace_id(worker, out, head, fields);
        if worker.worker_log.wants_access(listener.balancer.settings()) {
            request_log.trace.extend_from_slice(&out[trace..]);
        }
        out.extend_from_slice(b"\r\n");
    }
    let span = request_log.span.as_deref();
    if let Some(span) = span {
        out.extend_from_slice(b"traceparent: ");
        span.context.write(out);
        out.extend_from_slice(b"\r\n");
    }
    if write_kept(out, head, fields, listener, own_host, span) {
        count_dropped(worker, connection, listener);
    }
    if incoming.upgrade {
        out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\n");
    }
    write_framing(out, incoming.framing, fields);
    out.extend_from_slice(b"\r\n");
}

/// Writes the headers that say how the client connected.
fn write_forwarded(
    out: &mut Vec<u8>,
    connection: &ClientConnection,
    listener: &ListenerView,
    head: &[u8],
    fields: &[Field],
) {
    let settings = listener.balancer.settings();
    if settings.xff_mode == XffMode::Append {
        write_forwarded_for(out, head, fields, connection.peer, settings.xff_client_port);
    }
    out.extend_from_slice(b"X-Forwarded-Proto: ");
    out.extend_from_slice(connection.protocol().as_bytes());
    out.extend_from_slice(b"\r\nX-Forwarded-Port: ");
    decimal(out, u64::from(connection.listener_address.port));
    out.extend_from_slice(b"\r\n");
    if settings.tls_headers {
        write_tls(out, connection, listener);
    }
}

/// Writes the header that says where the body ends.
fn write_framing(out: &mut Vec<u8>, framing: Framing, fields: &[Field]) {
    match framing {
        Framing::None if has_length(fields) => out.extend_from_slice(b"Content-Length: 0\r\n"),
        Framing::None => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked | Framing::UntilClose => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
    }
}

fn has_length(fields: &[Field]) -> bool {
    fields.iter().any(|field| field.is(Known::ContentLength))
}

fn write_forwarded_for(out: &mut Vec<u8>, head: &[u8], fields: &[Field], peer: SocketAddr, port: bool) {
    out.extend_from_slice(b"X-Forwarded-For: ");
    for field in fields.iter().filter(|field| field.is(Known::ForwardedFor)) {
        if !field.value(head).is_empty() {
            out.extend_from_slice(field.value(head));
            out.extend_from_slice(b", ");
        }
    }
    match peer.ip() {
        IpAddr::V4(peer) if !port => address(out, peer),
        address => {
            let _ = if port {
                write!(out, "{peer}")
            } else {
                write!(out, "{address}")
            };
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes what the client's connection negotiated. The client's own headers of these names are never passed on, see
/// `write_kept`.
fn write_tls(out: &mut Vec<u8>, connection: &ClientConnection, listener: &ListenerView) {
    let Some(tls) = &connection.tls else { return };
    let names = &listener.settings().tls_header_names;
    for (name, value) in names.iter().zip([tls.protocol, tls.cipher]) {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes the Host that a target sees: without a port on a listener at 80 or 443, with the listener's port elsewhere if the
/// client named none.
fn write_host(out: &mut Vec<u8>, host: &[u8], named: Option<&[u8]>, new_host: Option<&[u8]>, port: u16) {
    let host = new_host.unwrap_or(host);
    out.extend_from_slice(b"Host: ");
    out.extend_from_slice(host);
    if !matches!(port, 80 | 443) && memchr::memchr(b':', new_host.unwrap_or_default()).is_none() {
        match named {
            Some(named) if new_host.is_none() => {
                out.push(b':');
                out.extend_from_slice(named);
            }
            _ => {
                out.push(b':');
                decimal(out, u64::from(port));
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// A longer head gets a fresh trace id instead of a longer one (Elastic Load Balancing user guide for Application Load
/// Balancers, "Request tracing").
const TRACED_HEAD_BYTES: usize = 7 * 1024;

/// Appends the request's trace id: a new one, or the client's with our own part added.
pub(crate) fn write_trace_id(worker: &Worker, out: &mut Vec<u8>, head: &[u8], fields: &[Field]) {
    let incoming = fields
        .iter()
        .find(|field| field.is(Known::TraceId))
        .map(|field| field.value(head))
        .filter(|value| !value.is_empty() && head.len() <= TRACED_HEAD_BYTES);
    let draw = || worker.state.borrow_mut().draw();
    let id = TraceId {
        wall: worker.recent_wall(),
        high: draw(),
        low: draw(),
    };
    trace_id(out, incoming, &id);
}

struct TraceId {
    wall: Wall,
    high: u64,
    low: u64,
}

impl TraceId {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"1-");
        hexadecimal(out, self.wall.seconds() as u64, 8);
        out.push(b'-');
        hexadecimal(out, self.high, 16);
        hexadecimal(out, self.low >> 32, 8);
    }
}

fn trace_id(out: &mut Vec<u8>, incoming: Option<&[u8]>, id: &TraceId) {
    let has_root = incoming.is_some_and(|value| {
        value
            .split(|&byte| byte == b';')
            .any(|part| part.trim_ascii().starts_with(b"Root="))
    });
    let Some(incoming) = incoming.filter(|_| has_root) else {
        out.extend_from_slice(b"Root=");
        id.write(out);
        return;
    };
    out.extend_from_slice(b"Self=");
    id.write(out);
    for part in incoming.split(|&byte| byte == b';').map(<[u8]>::trim_ascii) {
        if !part.is_empty() && !part.starts_with(b"Self=") {
            out.push(b';');
            out.extend_from_slice(part);
        }
    }
}

fn count_dropped(worker: &Worker, connection: &ClientConnection, listener: &ListenerView) {
    let zone = connection.listener_address.zone;
    let stats = listener.balancer.stats.of(zone, worker.state.borrow().index);
    stats.dropped_headers.fetch_add(1, Relaxed);
}

/// Writes the header lines that are passed on unchanged. Returns whether one was dropped because of its name.
fn write_kept(
    out: &mut Vec<u8>,
    head: &[u8],
    fields: &[Field],
    listener: &ListenerView,
    own_host: bool,
    span: Option<&Span>,
) -> bool {
    let dropped = Cell::new(false);
    let settings = listener.balancer.settings();
    let connection = || fields.iter().filter(|field| field.is(Known::Connection));
    let named = |name: &[u8]| connection().any(|field| has_word(field.value(head), name));
    // Most requests name only keep-alive or close there, and need no search per header.
    let names_others = connection().any(|field| {
        let value = field.value(head).trim_ascii();
        !value.eq_ignore_ascii_case(b"keep-alive") && !value.eq_ignore_ascii_case(b"close")
    });
    write_lines(out, head, 0, fields, |field| {
        let name = field.name(head);
        match field.known {
            Known::Other | Known::Date | Known::WorkRefused => {
                let odd = || {
                    let mut bytes = name.iter();
                    let odd = bytes.any(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
                    dropped.set(dropped.get() || odd);
                    odd
                };
                let spoofed = || {
                    let names = &listener.settings().tls_header_names;
                    names.iter().any(|own| is(name, own.as_bytes()))
                };
                !(settings.drop_invalid_headers && odd()
                    || names_others && named(name)
                    || settings.tls_headers && spoofed()
                    || spans::replaces(span, name))
            }
            Known::Host => !own_host,
            Known::ForwardedFor => settings.xff_mode == XffMode::Preserve,
            Known::ForwardedPort | Known::ForwardedProto | Known::TraceId => listener.permit_issuer.is_some(),
            // These belong to this connection only (RFC 9110, section 7.6.1), or are written anew.
            Known::Connection
            | Known::ContentLength
            | Known::Expect
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::Te
            | Known::Trailer
            | Known::TransferEncoding
            | Known::Upgrade
            | Known::WorkId => false,
        }
    });
    dropped.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::split_port;

    #[test]
    fn trace_ids_keep_the_root() {
        let id = TraceId {
            wall: Wall::from_seconds(0x5759_e988),
            high: 0xbd86_2e3f_e1be_46a9,
            low: 0x9427_2793 << 32,
        };
        let written = |incoming: Option<&str>| {
            let mut out = Vec::new();
            trace_id(&mut out, incoming.map(str::as_bytes), &id);
            String::from_utf8(out).unwrap()
        };
        let own = "1-5759e988-bd862e3fe1be46a994272793";
        assert_eq!(written(None), format!("Root={own}"));
        assert_eq!(
            written(Some("Root=1-a-b;CalledFrom=app")),
            format!("Self={own};Root=1-a-b;CalledFrom=app")
        );
        assert_eq!(
            written(Some("Self=1-x-y;Root=1-a-b")),
            format!("Self={own};Root=1-a-b")
        );
        assert_eq!(written(Some("CalledFrom=app")), format!("Root={own}"));
    }

    #[test]
    fn hosts_and_ports() {
        let host = |authority: &[u8], new: Option<&[u8]>, port| {
            let mut out = Vec::new();
            let (name, named) = split_port(authority);
            write_host(&mut out, name, named, new, port);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(host(b"a.b:80", None, 80), "Host: a.b\r\n");
        assert_eq!(host(b"a.b", None, 8080), "Host: a.b:8080\r\n");
        assert_eq!(host(b"a.b:99", None, 8080), "Host: a.b:99\r\n");
        assert_eq!(host(b"a.b", Some(b"c.d"), 80), "Host: c.d\r\n");
    }
}
