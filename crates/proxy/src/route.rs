//! Room four: what the request asks for, which rule it meets, and the head its target will see.

use crate::accept::Visit;
use crate::buffers::{Desk, Field};
use crate::forward;
use crate::framing::Framing;
use crate::head::has_word;
use crate::read::{Incoming, Next};
use crate::secure::Wire;
use crate::settle;
use crate::sweep::Slot;
use crate::worker::Worker;
use forebay_model::{Protocol, XffMode, limits};
use forebay_node::{Answer, Exchange, Facts, Headers, ListenerView, Reason, Request, Rewritten, Step};
use forebay_units::Wall;
use std::io::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;

/// A request's header lines, as rules ask for them.
struct Lines<'a> {
    fields: &'a [Field],
    head: &'a [u8],
}

impl Headers for Lines<'_> {
    fn any(&self, name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.fields
            .iter()
            .filter(|field| field.name(self.head).eq_ignore_ascii_case(name.as_bytes()))
            .any(|field| visit(field.value(self.head)))
    }
}

/// Where a request wants to go, as slices of its head.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    /// Host, with its port if it has one.
    authority: &'a [u8],
    path: &'a [u8],
    query: Option<&'a [u8]>,
}

/// Serves one request whose head is complete.
pub(crate) async fn request<W: Wire>(
    worker: &Rc<Worker>,
    client: &mut W,
    visit: &Visit,
    slot: &Slot,
    desk: &mut Desk,
    incoming: &Incoming,
) -> Next {
    let picture = worker.picture();
    let Some(listener) = picture.listener(visit.place.listener) else {
        return Next::Close;
    };
    let now = worker.now();
    let old = now.since(visit.accepted) >= listener.balancer.settings.client_keep_alive;
    let keep = incoming.keep && !old && !worker.leaving.get();
    let begun = {
        let head = &desk.input[desk.start..desk.start + incoming.head.length];
        begin(
            worker,
            visit,
            listener,
            &picture,
            head,
            &desk.fields,
            incoming,
            now,
        )
    };
    let (mut exchange, step) = match begun {
        Ok(begun) => begun,
        Err(reason) => return settle::refuse(worker, client, visit, slot, desk, reason).await,
    };
    match step {
        Step::Send { .. } => {
            write_head(
                worker,
                visit,
                listener,
                desk,
                incoming,
                exchange.rewritten.take().as_deref(),
            );
            forward::forward(
                worker, client, slot, desk, incoming, listener, exchange, step, keep,
            )
            .await
        }
        Step::Answer(answer) => {
            own_answer(
                worker, client, slot, desk, incoming, listener, exchange, &answer, keep,
            )
            .await
        }
        Step::Relay | Step::Abort => Next::Close,
    }
}

/// Sends an answer made here instead of forwarding, and skips the request's body if it is at hand.
#[expect(clippy::too_many_arguments, reason = "a room's things, all used once")]
pub(crate) async fn own_answer<W: Wire>(
    worker: &Rc<Worker>,
    client: &mut W,
    slot: &Slot,
    desk: &mut Desk,
    incoming: &Incoming,
    listener: &ListenerView,
    exchange: Exchange,
    answer: &Answer,
    keep: bool,
) -> Next {
    let at_hand = body_at_hand(desk, incoming);
    let keep = keep && at_hand.is_some();
    slot.watch(None);
    slot.arm(worker.recent() + listener.balancer.settings.idle_timeout, false);
    let sent = settle::send(
        worker,
        client,
        slot,
        desk,
        answer,
        &listener.settings,
        keep,
        incoming.to_head,
    )
    .await;
    settle::log(&exchange.settle(worker.now(), Some(answer.status), listener, &worker.mind.borrow()));
    match at_hand {
        Some(length) if keep && sent => {
            desk.start += incoming.head.length + length;
            Next::Idle
        }
        _ => {
            settle::linger(worker, client, slot, desk).await;
            Next::Close
        }
    }
}

/// The body's length, if all of it was read already and needs no decoding to skip.
fn body_at_hand(desk: &Desk, incoming: &Incoming) -> Option<usize> {
    match incoming.framing {
        Framing::None => Some(0),
        Framing::Length(length) => {
            let length = usize::try_from(length).ok()?;
            (desk.unread().len().saturating_sub(incoming.head.length) >= length).then_some(length)
        }
        Framing::Chunked | Framing::UntilClose => None,
    }
}

#[expect(clippy::too_many_arguments, reason = "a room's things, all used once")]
fn begin(
    worker: &Worker,
    visit: &Visit,
    listener: &ListenerView,
    picture: &forebay_node::Picture,
    head: &[u8],
    fields: &[Field],
    incoming: &Incoming,
    now: forebay_units::Mono,
) -> Result<(Exchange, Step), Reason> {
    let wanted = wanted(head, fields, incoming, listener)?;
    if forwarded_addresses(head, fields) > limits::FORWARDED_ADDRESSES {
        return Err(Reason::TooManyForwarded);
    }
    let host = split_port(wanted.authority).0;
    if !preserves_host(listener, head, fields, incoming)
        && !host
            .iter()
            .all(|&byte| byte > b' ' && byte != 0x7f && byte != b'/' && byte != b'@')
    {
        return Err(Reason::Malformed);
    }
    let request = Request {
        facts: Facts {
            method: incoming.head.method(head),
            host,
            path: wanted.path,
            query: wanted.query.unwrap_or_default(),
            source: visit.peer.ip(),
            headers: &Lines { fields, head },
        },
        protocol: if listener.protocol == Protocol::Https {
            "https"
        } else {
            "http"
        },
        zone: visit.place.zone,
    };
    Ok(Exchange::begin(
        now,
        &request,
        listener,
        picture,
        &mut worker.mind.borrow_mut(),
    ))
}

/// Host, path and query: from an absolute target if there is one, else from Host (RFC 9112 section 3.2).
fn wanted<'a>(
    head: &'a [u8],
    fields: &'a [Field],
    incoming: &Incoming,
    listener: &'a ListenerView,
) -> Result<Wanted<'a>, Reason> {
    let target = incoming.head.target(head);
    let mut hosts = fields
        .iter()
        .filter(|field| is(field.name(head), b"host"))
        .map(|field| field.value(head));
    let host = hosts.next();
    if hosts.next().is_some() && !listener.balancer.settings.preserve_host {
        return Err(Reason::Malformed);
    }
    let (authority, rest) = match target {
        [b'/', ..] => (None, target),
        b"*" if incoming.head.method(head) == b"OPTIONS" => (None, target),
        _ => {
            let (authority, rest) = absolute(target).ok_or(Reason::Malformed)?;
            (Some(authority), rest)
        }
    };
    let authority = match (authority, host) {
        // HTTP/1.1 must name its host, even beside an absolute target (RFC 9112 section 3.2).
        (_, None) if !incoming.head.http_10 => return Err(Reason::Malformed),
        (Some(authority), _) => authority,
        (None, Some(host)) if !host.is_empty() => host,
        (None, _) => listener.balancer.dns_name.as_bytes(),
    };
    // A fragment never belongs into a request; what follows it would be cut off by some targets.
    let rest = if rest.is_empty() { b"/" } else { rest };
    if memchr::memchr(b'#', rest).is_some() {
        return Err(Reason::Malformed);
    }
    let cut = memchr::memchr(b'?', rest);
    let (path, query) = cut.map_or((rest, None), |cut| (&rest[..cut], Some(&rest[cut + 1..])));
    Ok(Wanted {
        authority,
        path: if path.is_empty() { b"/" } else { path },
        query,
    })
}

/// Whether the client's Host goes on untouched: the attribute says so, there is one, and no absolute target names
/// another (that replaces it: RFC 9112 section 3.2.2; else a target could be told another host than rules saw).
fn preserves_host(listener: &ListenerView, head: &[u8], fields: &[Field], incoming: &Incoming) -> bool {
    listener.balancer.settings.preserve_host
        && matches!(incoming.head.target(head).first(), Some(b'/' | b'*'))
        && fields.iter().any(|field| is(field.name(head), b"host"))
}

/// Authority and the rest of `http://authority/rest`.
fn absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let lower = |prefix: &[u8]| {
        target
            .get(..prefix.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    };
    let after = if lower(b"http://") {
        &target[7..]
    } else if lower(b"https://") {
        &target[8..]
    } else {
        return None;
    };
    let end = after
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(after.len());
    let (authority, rest) = after.split_at(end);
    (!authority.is_empty() && !authority.contains(&b'@')).then_some((authority, rest))
}

/// Host without its port, and the port's text.
fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let bracket = memchr::memrchr(b']', authority).unwrap_or(0);
    match memchr::memrchr(b':', authority) {
        Some(colon) if colon > bracket || bracket == 0 => {
            (&authority[..colon], Some(&authority[colon + 1..]))
        }
        _ => (authority, None),
    }
}

fn is(name: &[u8], lower: &[u8]) -> bool {
    name.len() == lower.len() && name.eq_ignore_ascii_case(lower)
}

fn forwarded_addresses(head: &[u8], fields: &[Field]) -> usize {
    let values = fields
        .iter()
        .filter(|field| is(field.name(head), b"x-forwarded-for"))
        .map(|field| field.value(head));
    values
        .map(|value| value.iter().filter(|&&byte| byte == b',').count() + 1)
        .sum()
}

/// Which headers of the client do not go on as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// As it is.
    Keep,
    /// Of this connection only (RFC 9110 section 7.6.1), or written anew.
    Drop,
    Connection,
    Host,
    ForwardedFor,
    TraceId,
}

fn kind(name: &[u8]) -> Kind {
    let drop = |lower: &[u8]| {
        if name.eq_ignore_ascii_case(lower) {
            Kind::Drop
        } else {
            Kind::Keep
        }
    };
    let either = |lower: &[u8], kind| {
        if name.eq_ignore_ascii_case(lower) {
            kind
        } else {
            Kind::Keep
        }
    };
    match name.len() {
        2 => drop(b"te"),
        4 => either(b"host", Kind::Host),
        6 => drop(b"expect"),
        7 if name.eq_ignore_ascii_case(b"upgrade") => Kind::Drop,
        7 => drop(b"trailer"),
        10 if name.eq_ignore_ascii_case(b"connection") => Kind::Connection,
        10 => drop(b"keep-alive"),
        14 => drop(b"content-length"),
        15 if name.eq_ignore_ascii_case(b"x-forwarded-for") => Kind::ForwardedFor,
        15 => either(b"x-amzn-trace-id", Kind::TraceId),
        16 if name.eq_ignore_ascii_case(b"proxy-connection") => Kind::Drop,
        16 => drop(b"x-forwarded-port"),
        17 if name.eq_ignore_ascii_case(b"x-forwarded-proto") => Kind::Drop,
        17 => drop(b"transfer-encoding"),
        _ => Kind::Keep,
    }
}

/// Writes the request's head, as its target will see it, into `desk.out`.
fn write_head(
    worker: &Worker,
    visit: &Visit,
    listener: &ListenerView,
    desk: &mut Desk,
    incoming: &Incoming,
    rewritten: Option<&Rewritten>,
) {
    let Desk {
        input,
        start,
        fields,
        out,
        ..
    } = desk;
    let head = &input[*start..*start + incoming.head.length];
    let settings = &listener.balancer.settings;
    out.clear();
    out.extend_from_slice(incoming.head.method(head));
    out.push(b' ');
    let Ok(wanted) = wanted(head, fields, incoming, listener) else {
        return;
    };
    match rewritten.and_then(|rewritten| rewritten.url.as_ref()) {
        Some(url) => out.extend_from_slice(url),
        None => {
            out.extend_from_slice(wanted.path);
            if let Some(query) = wanted.query {
                out.push(b'?');
                out.extend_from_slice(query);
            }
        }
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if settings.xff_mode == XffMode::Append {
        write_forwarded_for(out, head, fields, visit.peer, settings.xff_client_port);
    }
    let proto = if listener.protocol == Protocol::Https {
        "https"
    } else {
        "http"
    };
    let _ = write!(
        out,
        "X-Forwarded-Proto: {proto}\r\nX-Forwarded-Port: {}\r\n",
        visit.place.port
    );
    let new_host = rewritten.and_then(|rewritten| rewritten.host.as_deref());
    let own_host = new_host.is_some() || !preserves_host(listener, head, fields, incoming);
    if own_host {
        write_host(out, wanted.authority, new_host, visit.place.port);
    }
    write_trace_id(worker, out, head, fields);
    write_kept(out, head, fields, listener, own_host);
    match incoming.framing {
        Framing::None if has_length(head, fields) => out.extend_from_slice(b"Content-Length: 0\r\n"),
        Framing::None | Framing::UntilClose => {}
        Framing::Length(length) => {
            let _ = write!(out, "Content-Length: {length}\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

fn has_length(head: &[u8], fields: &[Field]) -> bool {
    fields.iter().any(|field| is(field.name(head), b"content-length"))
}

fn write_forwarded_for(out: &mut Vec<u8>, head: &[u8], fields: &[Field], peer: SocketAddr, port: bool) {
    out.extend_from_slice(b"X-Forwarded-For: ");
    for field in fields
        .iter()
        .filter(|field| kind(field.name(head)) == Kind::ForwardedFor)
    {
        if !field.value(head).is_empty() {
            out.extend_from_slice(field.value(head));
            out.extend_from_slice(b", ");
        }
    }
    let _ = if port {
        write!(out, "{peer}\r\n")
    } else {
        write!(out, "{}\r\n", peer.ip())
    };
}

/// The Host a target sees: no port on a listener at 80 or 443, the listener's port elsewhere if the client named none.
fn write_host(out: &mut Vec<u8>, authority: &[u8], new_host: Option<&[u8]>, port: u16) {
    let (host, named) = split_port(authority);
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
                let _ = write!(out, ":{port}");
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Heads longer than this carry a fresh trace id instead of a grown one (ALB's request tracing page).
const TRACED_HEAD_BYTES: usize = 7 * 1024;

fn write_trace_id(worker: &Worker, out: &mut Vec<u8>, head: &[u8], fields: &[Field]) {
    let incoming = fields
        .iter()
        .find(|field| kind(field.name(head)) == Kind::TraceId)
        .map(|field| field.value(head))
        .filter(|value| !value.is_empty() && head.len() <= TRACED_HEAD_BYTES);
    out.extend_from_slice(b"X-Amzn-Trace-Id: ");
    let draw = || worker.mind.borrow_mut().draw();
    let id = TraceId {
        wall: worker.recent_wall(),
        high: draw(),
        low: draw(),
    };
    trace_id(out, incoming, &id);
    out.extend_from_slice(b"\r\n");
}

struct TraceId {
    wall: Wall,
    high: u64,
    low: u64,
}

impl TraceId {
    fn write(&self, out: &mut Vec<u8>) {
        let _ = write!(
            out,
            "1-{:08x}-{:016x}{:08x}",
            self.wall.seconds() & 0xffff_ffff,
            self.high,
            self.low >> 32
        );
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

/// Header lines that go on as they are.
fn write_kept(out: &mut Vec<u8>, head: &[u8], fields: &[Field], listener: &ListenerView, own_host: bool) {
    let settings = &listener.balancer.settings;
    let named = |name: &[u8]| {
        fields
            .iter()
            .filter(|field| kind(field.name(head)) == Kind::Connection)
            .any(|field| has_word(field.value(head), name))
    };
    // Most requests name nothing but keep-alive or close there, and need no search per header.
    let names_others = fields
        .iter()
        .filter(|field| kind(field.name(head)) == Kind::Connection)
        .any(|field| {
            let value = field.value(head).trim_ascii();
            !value.eq_ignore_ascii_case(b"keep-alive") && !value.eq_ignore_ascii_case(b"close")
        });
    for field in fields {
        let name = field.name(head);
        let keep = match kind(name) {
            Kind::Keep => {
                let odd = || {
                    name.iter()
                        .any(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-')
                };
                !(settings.drop_invalid_headers && odd() || names_others && named(name))
            }
            Kind::Host => !own_host,
            Kind::ForwardedFor => settings.xff_mode == XffMode::Preserve,
            Kind::Drop | Kind::Connection | Kind::TraceId => false,
        };
        if keep {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(field.value(head));
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(split_port(b"a.b:80"), (&b"a.b"[..], Some(&b"80"[..])));
        assert_eq!(split_port(b"[::1]:80"), (&b"[::1]"[..], Some(&b"80"[..])));
        assert_eq!(split_port(b"[::1]"), (&b"[::1]"[..], None));
        let host = |authority: &[u8], new: Option<&[u8]>, port| {
            let mut out = Vec::new();
            write_host(&mut out, authority, new, port);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(host(b"a.b:80", None, 80), "Host: a.b\r\n");
        assert_eq!(host(b"a.b", None, 8080), "Host: a.b:8080\r\n");
        assert_eq!(host(b"a.b:99", None, 8080), "Host: a.b:99\r\n");
        assert_eq!(host(b"a.b", Some(b"c.d"), 80), "Host: c.d\r\n");
        assert_eq!(absolute(b"http://a.b:1/x?y"), Some((&b"a.b:1"[..], &b"/x?y"[..])));
        assert_eq!(absolute(b"http://u@a.b/"), None);
        assert_eq!(absolute(b"ftp://a/"), None);
    }
}
