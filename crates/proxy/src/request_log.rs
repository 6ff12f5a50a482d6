//! What is kept of a request until its line is written.

use crate::head::RequestHead;
use crate::listener_address::Current;
use forebay_node::SpanContext;
use forebay_node::logging::{Classified, Kind};
use forebay_units::Mono;

/// What will be logged of one request. Its buffers are used again by the next.
#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    /// Its head, once it was understood.
    pub(crate) head: Option<RequestHead>,
    /// A copy of the head's bytes, made when its body is to pass through the buffer that holds them.
    kept: Vec<u8>,
    /// How it came, if not as its listener says.
    pub(crate) kind: Option<Kind>,
    /// How its framing was judged.
    pub(crate) classified: Option<Classified>,
    /// It comes from another site's page, see `cookies`.
    pub(crate) crosses_sites: bool,
    /// Both its connections end with it.
    pub(crate) suspect: bool,
    /// The X-Amzn-Trace-Id that its target saw.
    pub(crate) trace: Vec<u8>,
    /// Bytes of its body that came.
    pub(crate) body: u64,
    /// Bytes of the answer that went out.
    pub(crate) sent: u64,
    /// Where in the head for the target its permit stands, if it has one.
    pub(crate) permit: Option<usize>,
    /// When the answer's first byte went out, if that took its time.
    pub(crate) responded: Option<Mono>,
    /// What it was decided by: its group may be gone when it ends.
    pub(crate) snapshot: Option<Current>,
    /// Its span, if those are taken.
    pub(crate) span: Option<Box<Span>>,
}

impl RequestLog {
    /// Begins anew.
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

    /// The head's bytes; `input` is where they stand if no copy was made.
    pub(crate) fn bytes<'a>(&'a self, input: &'a [u8]) -> &'a [u8] {
        if self.kept.is_empty() { input } else { &self.kept }
    }
}

/// What is known of a request's span while it is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) context: SpanContext,
    /// When its connection was accepted, if it is the first there.
    pub(crate) accepted: Option<Mono>,
    /// When the connection to its target was begun.
    pub(crate) connecting: Option<Mono>,
    /// When an answer made here began.
    pub(crate) answering: Option<Mono>,
}
