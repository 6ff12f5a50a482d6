//! Stage eight: what is written of a request when it has ended, and of a connection once it stands.

use crate::authority::absolute;
use crate::buffers::Desk;
use crate::connection::Visit;
use crate::fields::{Field, is};
use crate::names::Known;
use crate::note::Note;
use crate::outgoing::write_trace_id;
use crate::session::{RequestContext, Session};
use crate::spans;
use crate::tls::TlsFacts;
use crate::worker::Worker;
use forebay_node::journal::{ConnectionFacts, Kind, LogFacts, RequestLine, TlsLog};
use forebay_node::{Answer, ListenerView, Reason, Record};
use forebay_units::Mono;
use std::sync::atomic::Ordering::Relaxed;

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

impl<W> RequestContext<'_, W> {
    /// Settles a request that a target answered or nobody did, and writes what is kept of it.
    pub(crate) fn log(&mut self, now: Mono) {
        let worker = self.session.worker;
        let record = self
            .exchange
            .settle(now, None, self.listener, &mut worker.mind.borrow_mut());
        log(&mut self.session, self.listener, record, Closing::relayed(record));
    }

    /// The same of a request that was answered here.
    pub(crate) fn log_own(&mut self, now: Mono, answer: &Answer) {
        let worker = self.session.worker;
        let own = Some(answer.status);
        let record = self
            .exchange
            .settle(now, own, self.listener, &mut worker.mind.borrow_mut());
        log(&mut self.session, self.listener, record, Closing::of(answer));
    }
}

/// Writes the request's line in the access log, if its load balancer keeps one, and its span, if those are taken. The request's
/// head must still stand in the input at `desk.start`, or have been copied to the note.
pub(crate) fn log<W>(
    session: &mut Session<'_, W>,
    listener: &ListenerView,
    record: &Record,
    closing: Closing<'_>,
) {
    let (worker, visit, desk) = (session.worker, session.visit, &mut *session.desk);
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
