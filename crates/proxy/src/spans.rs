//! A request's place in its trace: read from its head, written into the target's head, reported to the worker's log when
//! the request is over. Off unless spans are exported.

use crate::buffers::RequestBuffers;
use crate::connection::ClientConnection;
use crate::fields::{Field, is};
use crate::request::Incoming;
use crate::request_log::Span;
use crate::worker::Worker;
use forebay_node::TraceParent;
use forebay_node::logging::{LogFacts, SpanFacts};

/// `tracestate` lines that are reported; the target gets all.
const STATE_LINES: usize = 8;

/// Begins the span of the request whose head is in the buffers, if spans are taken.
pub(crate) fn open(
    worker: &Worker,
    connection: &ClientConnection,
    buffers: &mut RequestBuffers,
    incoming: &Incoming,
) {
    if worker.worker_log.sampling.is_some() {
        let head = &buffers.input[buffers.start..buffers.start + incoming.head.length];
        buffers.request_log.span = begin(worker, connection, head, &buffers.fields);
    }
}

/// Begins the span of the request with these header lines. None if spans are not taken, or the client says that the trace
/// is not recorded.
pub(crate) fn begin(
    worker: &Worker,
    connection: &ClientConnection,
    head: &[u8],
    fields: &[Field],
) -> Option<Box<Span>> {
    let sampling = worker.worker_log.sampling?;
    let first = !connection.spoke.replace(true);
    let mut named = fields
        .iter()
        .filter(|field| is(field.name(head), b"traceparent"))
        .map(|field| field.value(head));
    let parent = named
        .next()
        .and_then(TraceParent::parse)
        .filter(|_| named.next().is_none());
    let mut state = worker.state.borrow_mut();
    let context = sampling.begin(parent, || state.draw())?;
    Some(Box::new(Span {
        context,
        accepted: first.then_some(connection.accepted),
        connecting: None,
        answering: None,
    }))
}

/// Whether a header line of the client is dropped because `span` continues its trace. A `tracestate` is valid only with a
/// well-formed `traceparent` (W3C Trace Context, section 4.3).
pub(crate) fn replaces(span: Option<&Span>, name: &[u8]) -> bool {
    match span {
        None => false,
        Some(span) => is(name, b"traceparent") || (span.context.parent.is_none() && is(name, b"tracestate")),
    }
}

/// Reports the span to the worker's log.
pub(crate) fn tell(worker: &Worker, span: &Span, facts: &LogFacts<'_>, head: &[u8], fields: &[Field]) {
    let mut state: [&[u8]; STATE_LINES] = [&[]; STATE_LINES];
    let mut lines = 0;
    if span.context.parent.is_some() {
        let values = fields
            .iter()
            .filter(|field| is(field.name(head), b"tracestate"))
            .map(|field| field.value(head));
        for (place, value) in state.iter_mut().zip(values) {
            *place = value;
            lines += 1;
        }
    }
    let ids = core::array::from_fn(|_| worker.state.borrow_mut().draw().max(1));
    worker.worker_log.write(|log_writer| {
        log_writer.span(
            facts,
            &SpanFacts {
                context: span.context,
                ids,
                state: &state[..lines],
                accepted: span.accepted,
                connecting: span.connecting,
                answering: span.answering,
            },
        );
    });
}
