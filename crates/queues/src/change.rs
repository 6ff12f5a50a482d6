//! The changes of a queue as values, from which the queue can be rebuilt.

use crate::message::{Held, MessageId, Receipt, Sequence};
use crate::settings::QueueId;
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Why a message is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// Its receiver deleted it.
    Deleted,
    /// Its retention is over.
    Expired,
    /// It was received too often and moved to the dead-letter queue.
    DeadLetter,
    /// A move task moved it to another queue.
    Moved,
}

/// A complete message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent<B> {
    /// Its place in the queue's order.
    pub sequence: Sequence,
    /// Its id.
    pub id: MessageId,
    /// When it was sent; its retention counts from here.
    pub sent: Wall,
    /// Whether and why it is hidden.
    pub held: Held,
    /// When that ends.
    pub due: Wall,
    /// Number of receives.
    pub receives: u32,
    /// When it was first received.
    pub first_received: Wall,
    /// When it was last received.
    pub received: Wall,
    /// Its message group.
    pub group: Option<Arc<str>>,
    /// Its deduplication id, remembered for the deduplication interval.
    pub deduplication: Option<Arc<str>>,
    /// The queue that it came from, in a dead-letter queue.
    pub origin: Option<QueueId>,
    /// The sender's content.
    pub body: B,
}

/// One change of a queue. The end of a delay or of a visibility timeout is not a change, because it follows from the
/// time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change<B> {
    /// A message exists exactly like this, whether or not it existed before.
    Sent(Sent<B>),
    /// A message was received.
    Received {
        /// The message, and its number of receives so far.
        receipt: Receipt,
        /// When it was received.
        at: Wall,
        /// When its visibility timeout ends.
        until: Wall,
        /// The receive's attempt id (FIFO).
        attempt: Option<Arc<str>>,
    },
    /// The visibility timeout of a message in flight ends at another time.
    Hidden {
        /// The message.
        sequence: Sequence,
        /// When it ends now.
        until: Wall,
    },
    /// A message is gone.
    Gone {
        /// The message.
        sequence: Sequence,
        /// The reason.
        why: Why,
    },
    /// All messages were deleted.
    Purged {
        /// When they were.
        at: Wall,
    },
}

impl<B> Change<B> {
    /// Replaces the body.
    pub fn with_body<C>(self, body: impl FnOnce(B) -> C) -> Change<C> {
        match self {
            Change::Sent(sent) => Change::Sent(Sent {
                body: body(sent.body),
                sequence: sent.sequence,
                id: sent.id,
                sent: sent.sent,
                held: sent.held,
                due: sent.due,
                receives: sent.receives,
                first_received: sent.first_received,
                received: sent.received,
                group: sent.group,
                deduplication: sent.deduplication,
                origin: sent.origin,
            }),
            Change::Received {
                receipt,
                at,
                until,
                attempt,
            } => Change::Received {
                receipt,
                at,
                until,
                attempt,
            },
            Change::Hidden { sequence, until } => Change::Hidden { sequence, until },
            Change::Gone { sequence, why } => Change::Gone { sequence, why },
            Change::Purged { at } => Change::Purged { at },
        }
    }
}
