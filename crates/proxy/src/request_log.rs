//! What is kept about a request until its log line is written.

use crate::head::RequestHead;
use crate::listener_address::Current;
use forebay_node::SpanContext;
use forebay_node::logging::{Classified, Kind};
use forebay_units::Mono;

/// The log entry of one request. Its buffers are reused for the next.
#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    /// The head, once it was parsed.
    pub(crate) head: Option<RequestHead>,
    /// A copy of the head's bytes, made when the body is about to overwrite them.
    kept: Vec<u8>,
    /// The kind of request, if it is not the listener's usual one.
    pub(crate) kind: Option<Kind>,
    /// The classification of its framing.
    pub(crate) classified: Option<Classified>,
    /// It comes from another site's page, see `cookies`.
    pub(crate) crosses_sites: bool,
    /// Both its connections end with it.
    pub(crate) suspect: bool,
    /// The X-Amzn-Trace-Id that its target saw.
    pub(crate) trace: Vec<u8>,
    /// Bytes of its body that came.
    pub(crate) body: u64,
    /// Bytes of the answer that were sent.
    pub(crate) sent: u64,
    /// Offset of the permit in the head for the target, if there is one.
    pub(crate) permit: Option<usize>,
    /// When the answer's first byte was sent, if that was delayed.
    pub(crate) responded: Option<Mono>,
    /// The snapshot by which it was decided: its group may be gone when it ends.
    pub(crate) snapshot: Option<Current>,
    /// Its span, if spans are taken.
    pub(crate) span: Option<Box<Span>>,
}

impl RequestLog {
    /// Empties the entry, and keeps its buffers.
    pub(crate) fn reset(&mut self) {
        let (mut kept, mut trace) = (core::mem::take(&mut self.kept), core::mem::take(&mut self.trace));
        kept.clear();
        trace.clear();
        *self = RequestLog {
            kept,
            trace,
            ..RequestLog::default()
        };
    }

    /// Copies the head.
    pub(crate) fn keep(&mut self, head: &[u8]) {
        self.kept.clear();
        self.kept.extend_from_slice(head);
    }

    /// Whether the head was copied.
    pub(crate) fn is_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// The head's bytes; `input` holds them if no copy was made.
    pub(crate) fn bytes<'a>(&'a self, input: &'a [u8]) -> &'a [u8] {
        if self.kept.is_empty() { input } else { &self.kept }
    }
}

/// A request's span while it is in progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) context: SpanContext,
    /// When its connection was accepted, if it is the first request there.
    pub(crate) accepted: Option<Mono>,
    /// When connecting to its target began.
    pub(crate) connecting: Option<Mono>,
    /// When an answer made here began.
    pub(crate) answering: Option<Mono>,
}
