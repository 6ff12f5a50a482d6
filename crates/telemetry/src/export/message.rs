//! What goes to a receiver in one post.

use crate::metrics::MetricsSnapshot;
use bytes::Bytes;

/// The body of a post.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) body: Bytes,
    /// Samples in it.
    pub(super) samples: usize,
}

/// A receiver's way to be told.
pub(super) trait Encode: Send {
    /// A snapshot, taken so many milliseconds after the epoch, as messages to be sent in this order.
    fn messages(&mut self, snapshot: &MetricsSnapshot, at_ms: u64) -> Vec<Message>;

    /// How many samples the receiver did not want of a message that it took.
    fn rejected(&self, answer: Bytes) -> usize;
}
