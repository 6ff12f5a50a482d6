//! Room seven: answers made here, connections kept or closed, what happened counted.

use crate::accept::Visit;
use crate::authority::absolute;
use crate::buffers::{Desk, Field};
use crate::h2;
use crate::linger::{LINGER, Owes, linger};
use crate::names::Known;
use crate::note::Note;
use crate::outgoing::write_trace_id;
use crate::pump::poll_write_pair;
use crate::read::Next;
use crate::route::is;
use crate::secure::Wire;
use crate::spans;
use crate::sweep::Slot;
use crate::tls::TlsFacts;
use crate::worker::Worker;
use forebay_model::ListenerSettings;
use forebay_node::journal::{ConnectionFacts, Kind, LogFacts, RequestLine, TlsLog};
use forebay_node::{Answer, Exchange, ListenerView, Reason, Record};
use std::future::poll_fn;
use std::io::Write as _;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, ready};
use tokio::io::ReadBuf;

/// Bytes that a client may send which is turned away without a desk.
const TURNED_AWAY_BYTES: usize = 4 * 1024 * 1024;

/// Refuses a request whose head could not be taken, and closes.
pub(crate) async fn refuse<W: Wire>(
    worker: &Rc<Worker>,
    client: &mut W,
    visit: &Visit,
    slot: &Slot,
    desk: &mut Desk,
    reason: Reason,
) -> Next {
    let picture = worker.picture();
    let Some(listener) = visit.listener(&picture) else {
        return Next::Close;
    };
    let now = worker.now();
    let mut record = Exchange::refused(now, reason, listener, &worker.mind.borrow());
    if worker.ledger.sampling.is_some() {
        refused_span(worker, visit, desk);
    }
    slot.arm(now + listener.balancer.settings.idle_timeout, false);
    let answer = Answer::page(reason);
    let method = desk.note.head.map(|head| head.method(&desk.input[desk.start..]));
    let to_head = method == Some(b"HEAD");
    let _ = send(
        worker,
        client,
        slot,
        desk,
        &answer,
        &listener.settings,
        false,
        to_head,
    )
    .await;
    record.ended = worker.now();
    log(worker, visit, listener, desk, &record, Closing::of(&answer));
    // Where the body of a head ends that was not understood, or whether there is one, is not known.
    let owes = Owes::of(
        if reason == Reason::ClientSilent {
            0
        } else {
            u64::MAX
        },
        listener.balancer.settings.idle_timeout,
    );
    Box::pin(linger(worker, client, slot, desk, owes)).await;
    Next::Close
}

/// The span of a request that was refused, perhaps before its head was understood.
fn refused_span(worker: &Worker, visit: &Visit, desk: &mut Desk) {
    if desk.note.span.is_none() {
        let length = desk.note.head.map_or(0, |head| head.length);
        let head = &desk.input[desk.start..desk.start + length];
        // Without a head the lines are none, or those of a head that is not whole.
        let fields = if length > 0 { &desk.fields[..] } else { &[] };
        desk.note.span = spans::begin(worker, visit, head, fields);
    }
    if let Some(span) = &mut desk.note.span {
        span.answering = Some(worker.recent());
    }
}

/// Counts a request that is refused without a desk, and so without a line.
pub(crate) fn count_turned_away(worker: &Worker, visit: &Visit) {
    let picture = worker.picture();
    if let Some(listener) = visit.listener(&picture) {
        let _ = Exchange::refused(
            worker.now(),
            Reason::MemoryCeiling,
            listener,
            &worker.mind.borrow(),
        );
    }
}

/// Tells a client that all memory is held, without taking any for it, and closes.
pub(crate) async fn turn_away<W: Wire>(worker: &Worker, client: &mut W, visit: &Visit, slot: &Slot) {
    let picture = worker.picture();
    let Some(listener) = visit.listener(&picture) else {
        return;
    };
    count_turned_away(worker, visit);
    let answer = page(worker, Reason::MemoryCeiling, &listener.settings);
    slot.arm(worker.now() + LINGER, false);
    let (mut written, mut read) = (0, 0);
    let ended = slot.until(poll_fn(|cx| {
        let _ = ready!(poll_write_pair(cx, client, &answer, &[], &mut written));
        let _ = ready!(Pin::new(&mut *client).poll_shutdown(cx));
        // Read as `linger` does, but into what no request keeps.
        let mut rest = [0; 2048];
        loop {
            let mut room = ReadBuf::new(&mut rest);
            match ready!(Pin::new(&mut *client).poll_read(cx, &mut room)) {
                Ok(()) if !room.filled().is_empty() && read < TURNED_AWAY_BYTES => {
                    read += room.filled().len()
                }
                _ => return Poll::Ready(()),
            }
        }
    }));
    let _ = ended.await;
}

/// The whole of an answer to whom is not listened.
pub(crate) fn page(worker: &Worker, reason: Reason, settings: &ListenerSettings) -> Vec<u8> {
    let answer = Answer::page(reason);
    let mut out = Vec::new();
    write_answer(worker, &mut out, &answer, settings, false);
    out.extend_from_slice(answer.content.as_ref().map_or(&[], |content| &content.1));
    out
}

/// Sends an answer made here. `keep`: the connection stays open; `to_head`: the request was HEAD.
#[expect(clippy::too_many_arguments, reason = "a room's things, all used once")]
pub(crate) async fn send<W: Wire>(
    worker: &Worker,
    client: &mut W,
    slot: &Slot,
    desk: &mut Desk,
    answer: &Answer,
    settings: &ListenerSettings,
    keep: bool,
    to_head: bool,
) -> bool {
    let grpc = W::FRAMED && desk.note.kind == Some(Kind::Grpcs);
    let bodiless = to_head || h2::is_trailers_only(answer, grpc);
    let body = answer
        .content
        .as_ref()
        .filter(|_| !bodiless)
        .map(|content| &content.1[..]);
    if W::FRAMED {
        desk.out.clear();
        let head = h2::own_head(worker, answer, settings, grpc);
        desk.note.sent += h2::head_bytes(&head);
        if client.send_head(head, body.is_none_or(<[u8]>::is_empty)).is_err() {
            return false;
        }
    } else {
        write_answer(worker, &mut desk.out, answer, settings, keep);
    }
    desk.out.extend_from_slice(body.unwrap_or_default());
    let mut written = 0;
    let sent = slot
        .until(poll_fn(|cx| {
            poll_write_pair(cx, client, &desk.out, &[], &mut written)
        }))
        .await;
    desk.note.sent += written as u64;
    matches!(sent, Ok(Ok(()))) && client.finish().is_ok()
}

fn write_answer(
    worker: &Worker,
    out: &mut Vec<u8>,
    answer: &Answer,
    settings: &ListenerSettings,
    keep: bool,
) {
    out.clear();
    let _ = write!(out, "HTTP/1.1 {} {}\r\n", answer.status, answer.phrase());
    if settings.server_header && !answer.bare {
        out.extend_from_slice(b"Server: awselb/2.0\r\n");
    }
    out.extend_from_slice(b"Date: ");
    worker.write_date(out);
    out.extend_from_slice(b"\r\n");
    if let Some((kind, _)) = &answer.content {
        let _ = write!(out, "Content-Type: {kind}\r\n");
    }
    let length = answer.content.as_ref().map_or(0, |content| content.1.len());
    if answer.status != 204 {
        let _ = write!(out, "Content-Length: {length}\r\n");
    }
    out.extend_from_slice(if keep {
        b"Connection: keep-alive\r\n"
    } else {
        b"Connection: close\r\n"
    });
    if let Some(seconds) = answer.retry_after {
        let _ = write!(out, "Retry-After: {seconds}\r\n");
    }
    if let Some(location) = &answer.location {
        let _ = write!(out, "Location: {location}\r\n");
    }
    if let Some(word) = answer.reason.work_refused() {
        let _ = write!(out, "X-Forebay-Work-Refused: {word}\r\n");
    }
    for (name, value) in &settings.response_headers {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// How a request ended, besides its record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closing<'a> {
    /// The status the client got, or would have got.
    pub(crate) status: u16,
    /// Where it was redirected to.
    pub(crate) location: Option<&'a str>,
}

impl<'a> Closing<'a> {
    /// An answer made here.
    pub(crate) fn of(answer: &'a Answer) -> Closing<'a> {
        Closing {
            status: answer.status,
            location: answer.location.as_deref(),
        }
    }

    /// A target's answer; or none, if something came between.
    pub(crate) fn relayed(record: &Record) -> Closing<'static> {
        let status = record
            .target_status
            .or_else(|| record.reason.map(Reason::status))
            .unwrap_or(460);
        Closing {
            status,
            location: None,
        }
    }
}

/// Writes the request's line in the access log, if its load balancer keeps one, and its span, if those are taken. The request's head must still stand in
/// the input at `desk.start`, or have been copied to the note.
pub(crate) fn log(
    worker: &Worker,
    visit: &Visit,
    listener: &ListenerView,
    desk: &mut Desk,
    record: &Record,
    closing: Closing<'_>,
) {
    if let Some(reason) = record.reason {
        let target = record.target.as_ref().map(|target| target.address);
        tracing::debug!(
            reason = reason.word(),
            ?target,
            retries = record.retries,
            "request ended by the balancer"
        );
    }
    if record.waited.is_some() {
        let picture = desk.note.picture.clone().unwrap_or_else(|| worker.picture());
        let group = record.group.and_then(|group| picture.group(group));
        if let Some(gate) = group.and_then(|group| group.gate.as_ref()) {
            let head = desk.note.head.map_or(0, |head| head.length as u64);
            gate.channels
                .bytes
                .fetch_add(head + desk.note.body + desk.note.sent, Relaxed);
        }
    }
    if worker.ledger.wants_access(&listener.balancer.settings) || desk.note.span.is_some() {
        write_line(worker, visit, listener, desk, record, closing);
    }
}

fn write_line(
    worker: &Worker,
    visit: &Visit,
    listener: &ListenerView,
    desk: &mut Desk,
    record: &Record,
    closing: Closing<'_>,
) {
    let Desk {
        input,
        start,
        fields,
        note,
        ..
    } = desk;
    let input = &input[*start..];
    let wants_line = worker.ledger.wants_access(&listener.balancer.settings);
    let lacks_id = wants_line && note.trace.is_empty() && record.priority.is_some();
    if let (true, Some(head)) = (lacks_id, note.head) {
        // An answer made here: no target saw an id, but the line has one.
        let mut trace = core::mem::take(&mut note.trace);
        write_trace_id(worker, &mut trace, &note.bytes(input)[..head.length], fields);
        note.trace = trace;
    }
    let (line, agent) = asked(note, input, fields, listener);
    let picture = note.picture.clone().unwrap_or_else(|| worker.picture());
    let group = record.group.and_then(|group| picture.group(group));
    let facts = LogFacts {
        kind: note.kind.unwrap_or(if visit.place.secure {
            Kind::Https
        } else {
            Kind::Http
        }),
        balancer: &listener.balancer,
        nodes: &listener.nodes,
        zone: visit.place.zone,
        port: visit.place.port,
        client: visit.peer,
        connection: visit.id,
        wall: worker.wall_at(record.ended),
        created: worker.wall_at(record.begun),
        record,
        responded: note.responded,
        status: closing.status,
        received: note.head.map_or(0, |head| head.length as u64) + note.body,
        sent: note.sent,
        line,
        agent,
        trace: (!note.trace.is_empty()).then_some(&note.trace),
        tls: visit.tls.as_deref().map(tls_log),
        group: group.map(|group| group.arn.as_str()),
        location: closing.location.map(str::as_bytes),
        classified: note.classified,
    };
    if wants_line {
        worker.ledger.write(|pen| pen.request(&facts));
    }
    if let Some(span) = note.span.as_deref().filter(|span| span.context.is_sampled()) {
        spans::tell(worker, span, &facts, note.bytes(input), fields);
    }
}

/// What the request asked for, and its User-Agent.
fn asked<'a>(
    note: &'a Note,
    input: &'a [u8],
    fields: &[Field],
    listener: &'a ListenerView,
) -> (Option<RequestLine<'a>>, Option<&'a [u8]>) {
    let mut agent = None;
    let line = note.head.map(|head| {
        let bytes = note.bytes(input);
        let mut host = None;
        for field in fields {
            if host.is_none() && field.is(Known::Host) {
                host = Some(field.value(bytes));
            } else if is(field.name(bytes), b"user-agent") {
                agent = Some(field.value(bytes));
            }
        }
        let sent = head.target(bytes);
        let (authority, target) = absolute(sent).unwrap_or((host.unwrap_or_default(), sent));
        RequestLine {
            method: head.method(bytes),
            host: if authority.is_empty() {
                listener.balancer.dns_name.as_bytes()
            } else {
                authority
            },
            target: if target.is_empty() { b"/" } else { target },
            version: match note.kind {
                Some(Kind::H2 | Kind::Grpcs) => "HTTP/2.0",
                _ if head.http_10 => "HTTP/1.0",
                _ => "HTTP/1.1",
            },
        }
    });
    (line, agent)
}

fn tls_log(facts: &TlsFacts) -> TlsLog<'_> {
    TlsLog {
        protocol: facts.protocol,
        cipher: facts.cipher,
        server_name: facts.sni.as_deref(),
        certificate: match &facts.certificate {
            Some(arn) => arn,
            None if facts.resumed => "session-reused",
            None => "-",
        },
        group: facts.group.unwrap_or("-"),
        handshake: facts.took,
    }
}

/// Writes the connection's line in the connection log, if its load balancer keeps one: once it can carry requests, or
/// can't. `failed`: why TLS failed, in ALB's words.
pub(crate) fn log_connection(worker: &Worker, visit: &Visit, failed: Option<&'static str>) {
    let picture = worker.picture();
    let Some(listener) = picture.listener(visit.place.listener) else {
        return;
    };
    if !worker.ledger.wants_connection(&listener.balancer.settings) {
        return;
    }
    worker.ledger.write(|pen| {
        pen.connection(&ConnectionFacts {
            balancer: &listener.balancer,
            nodes: &listener.nodes,
            zone: visit.place.zone,
            port: visit.place.port,
            client: visit.peer,
            connection: visit.id,
            wall: worker.wall_at(worker.recent()),
            tls: visit.tls.as_deref().map(tls_log),
            failed,
        });
    });
}
