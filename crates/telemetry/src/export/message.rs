//! One post to a receiver, and the encoding of snapshots.

use crate::metrics::MetricsSnapshot;
use bytes::Bytes;

/// The body of a post, and what it holds.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) body: Bytes,
    /// How many samples it holds.
    pub(super) samples: usize,
}

/// An encoding of snapshots for one kind of receiver.
pub(super) trait Encode: Send {
    /// Encodes a snapshot, taken at `at_ms` after the epoch, as messages to be sent in this order.
    fn messages(&mut self, snapshot: &MetricsSnapshot, at_ms: u64) -> Vec<Message>;

    /// How many samples of a message the receiver rejected although it accepted the post.
    fn rejected(&self, answer: Bytes) -> usize;
}
