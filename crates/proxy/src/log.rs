//! Stage eight: writes the log line and the span of a request that has ended, and the log line of a connection.

use crate::authority::absolute;
use crate::buffers::RequestBuffers;
use crate::connection::ClientConnection;
use crate::fields::{Field, is};
use crate::names::Known;
use crate::outgoing::write_trace_id;
use crate::request_log::RequestLog;
use crate::session::{RequestContext, Session};
use crate::spans;
use crate::tls::TlsFacts;
use crate::worker::Worker;
use forebay_node::logging::{ConnectionFacts, Kind, LogFacts, RequestLine, TlsLog};
use forebay_node::{Answer, ListenerView, Reason, Record};
use forebay_units::Mono;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// How a request ended, besides its record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closing<'a> {
    /// The status that the client got, or would have got.
    pub(crate) status: u16,
    /// The URL that it was redirected to.
    pub(crate) location: Option<&'a str>,
}

impl<'a> Closing<'a> {
    /// For an answer made here.
    pub(crate) fn of(answer: &'a Answer) -> Closing<'a> {
        Closing {
            status: answer.status,
            location: answer.location.as_deref(),
        }
    }

    /// For a target's answer; without a status if there was none.
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
    /// Settles and logs a request that a target answered, or nobody.
    pub(crate) fn log(&mut self, now: Mono) {
        let worker = self.session.worker;
        let record = self
            .exchange
            .settle(now, None, self.listener, &mut worker.state.borrow_mut());
        log(&mut self.session, self.listener, record, Closing::relayed(record));
    }

    /// Settles and logs a request that was answered here.
    pub(crate) fn log_own(&mut self, now: Mono, answer: &Answer) {
        let worker = self.session.worker;
        let own = Some(answer.status);
        let record = self
            .exchange
            .settle(now, own, self.listener, &mut worker.state.borrow_mut());
        log(&mut self.session, self.listener, record, Closing::of(answer));
    }
}

/// Writes the request's line in the access log, if its load balancer keeps one, and its span, if spans are taken. The
/// request's head must still be in the input at `buffers.start`, or have been copied to the request log.
pub(crate) fn log<W>(
    session: &mut Session<'_, W>,
    listener: &ListenerView,
    record: &Record,
    closing: Closing<'_>,
) {
    let (worker, connection, buffers) = (session.worker, session.connection, &mut *session.buffers);
    if let Some(reason) = record.reason {
        let target = record.target.as_ref().map(|target| (&target.name, target.port));
        tracing::debug!(
            reason = reason.word(),
            ?target,
            retries = record.retries,
            "request ended by the load balancer"
        );
    }
    let received = buffers.request_log.head.map_or(0, |head| head.length as u64) + buffers.request_log.body;
    let to_function = record.target.as_ref().is_some_and(|target| target.is_function());
    let bytes = (received, buffers.request_log.sent);
    count_bytes(worker, connection, listener, bytes, to_function);
    if record.waited.is_some() {
        let snapshot = buffers
            .request_log
            .snapshot
            .clone()
            .unwrap_or_else(|| worker.snapshot());
        let group = record.group.and_then(|group| snapshot.group(group));
        if let Some(gate) = group.and_then(|group| group.gate.as_ref()) {
            let bytes = &gate.channels.bytes;
            bytes.fetch_add(received + buffers.request_log.sent, Relaxed);
        }
    }
    if worker.worker_log.wants_access(listener.balancer.settings()) || buffers.request_log.span.is_some() {
        write_line(worker, connection, listener, buffers, received, record, closing);
    }
}

/// Counts the bytes that the access log would report as received and sent, whether or not there is a log.
fn count_bytes(
    worker: &Worker,
    connection: &ClientConnection,
    listener: &ListenerView,
    (received, sent): (u64, u64),
    to_function: bool,
) {
    let zone = connection.listener_address.zone;
    let stats = listener.balancer.stats.of(zone, worker.state.borrow().index);
    // Only this worker writes its counters: no atomic addition is needed.
    let add = |counter: &AtomicU64, more| counter.store(counter.load(Relaxed) + more, Relaxed);
    add(&stats.received_bytes, received);
    add(&stats.sent_bytes, sent);
    if to_function {
        add(&stats.lambda_bytes, received + sent);
    }
    if connection.peer.is_ipv6() {
        add(&stats.ipv6_requests, 1);
        add(&stats.ipv6_bytes, received + sent);
    }
}

fn write_line(
    worker: &Worker,
    connection: &ClientConnection,
    listener: &ListenerView,
    buffers: &mut RequestBuffers,
    received: u64,
    record: &Record,
    closing: Closing<'_>,
) {
    let RequestBuffers {
        input,
        start,
        fields,
        request_log,
        ..
    } = buffers;
    let input = &input[*start..];
    let wants_line = worker.worker_log.wants_access(listener.balancer.settings());
    let lacks_id = wants_line && request_log.trace.is_empty() && record.priority.is_some();
    if let (true, Some(head)) = (lacks_id, request_log.head) {
        // An answer made here: no target saw a trace id, but the log line has one.
        let mut trace = core::mem::take(&mut request_log.trace);
        write_trace_id(
            worker,
            &mut trace,
            &request_log.bytes(input)[..head.length],
            fields,
        );
        request_log.trace = trace;
    }
    let (line, agent) = asked(request_log, input, fields, listener);
    let snapshot = request_log.snapshot.clone().unwrap_or_else(|| worker.snapshot());
    let group = record.group.and_then(|group| snapshot.group(group));
    let facts = LogFacts {
        kind: request_log.kind.unwrap_or(if connection.listener_address.secure {
            Kind::Https
        } else {
            Kind::Http
        }),
        balancer: &listener.balancer,
        nodes: &listener.nodes,
        zone: connection.listener_address.zone,
        port: connection.listener_address.port,
        client: connection.peer,
        connection: connection.id,
        wall: worker.wall_at(record.ended),
        created: worker.wall_at(record.begun),
        record,
        responded: request_log.responded,
        status: closing.status,
        received,
        sent: request_log.sent,
        line,
        agent,
        trace: (!request_log.trace.is_empty()).then_some(&request_log.trace),
        tls: connection.tls.as_deref().map(tls_log),
        group: group.map(|group| group.blueprint.arn.as_str()),
        location: closing.location.map(str::as_bytes),
        classified: request_log.classified,
    };
    if wants_line {
        worker.worker_log.write(|log_writer| log_writer.request(&facts));
    }
    if let Some(span) = request_log
        .span
        .as_deref()
        .filter(|span| span.context.is_sampled())
    {
        spans::tell(worker, span, &facts, request_log.bytes(input), fields);
    }
}

/// The URL that the request asked for, and its User-Agent.
fn asked<'a>(
    request_log: &'a RequestLog,
    input: &'a [u8],
    fields: &[Field],
    listener: &'a ListenerView,
) -> (Option<RequestLine<'a>>, Option<&'a [u8]>) {
    let mut agent = None;
    let line = request_log.head.map(|head| {
        let bytes = request_log.bytes(input);
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
                listener.balancer.blueprint.dns_name.as_bytes()
            } else {
                authority
            },
            target: if target.is_empty() { b"/" } else { target },
            version: match request_log.kind {
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

/// Writes the connection's line in the connection log, if its load balancer keeps one: when it can carry requests, or has
/// failed. `failed`: why TLS failed, in ALB's words.
pub(crate) fn log_connection(worker: &Worker, connection: &ClientConnection, failed: Option<&'static str>) {
    let snapshot = worker.snapshot();
    let Some(listener) = snapshot.listener(connection.listener_address.listener) else {
        return;
    };
    if !worker.worker_log.wants_connection(listener.balancer.settings()) {
        return;
    }
    worker.worker_log.write(|log_writer| {
        log_writer.connection(&ConnectionFacts {
            balancer: &listener.balancer,
            nodes: &listener.nodes,
            zone: connection.listener_address.zone,
            port: connection.listener_address.port,
            client: connection.peer,
            connection: connection.id,
            wall: worker.wall_at(worker.recent()),
            tls: connection.tls.as_deref().map(tls_log),
            failed,
        });
    });
}
