//! What changes a queue, as values: whoever keeps them can make the queue again.

use crate::message::{Held, MessageId, Receipt, Sequence};
use crate::settings::QueueId;
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Why a message is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// Whoever received it deleted it.
    Deleted,
    /// Its retention is over.
    Expired,
    /// It was received too often, and is in the dead-letter queue.
    DeadLetter,
    /// A move task took it to another queue.
    Moved,
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent<B> {
    /// Its place in the queue's order.
    pub sequence: Sequence,
    /// Its id.
    pub id: MessageId,
    /// When it was sent; its retention counts from then.
    pub sent: Wall,
    /// Whether it is hidden.
    pub held: Held,
    /// Until when it is.
    pub due: Wall,
    /// How often it was received.
    pub receives: u32,
    /// When it was first received.
    pub first_received: Wall,
    /// When it was last received.
    pub received: Wall,
    /// Its message group.
    pub group: Option<Arc<str>>,
    /// What a message sent again would bear; remembered for five minutes.
    pub deduplication: Option<Arc<str>>,
    /// In a dead-letter queue: where it comes from.
    pub origin: Option<QueueId>,
    /// What the sender gave.
    pub body: B,
}

/// One change of a queue. Visibility that ends and delays that end are none: they follow from the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change<B> {
    /// A message is there, just like this; if it was there before, it is like this now.
    Sent(Sent<B>),
    /// A message was received.
    Received {
        /// The message, and how often it has been received now.
        receipt: Receipt,
        /// When.
        at: Wall,
        /// Until when it is hidden.
        until: Wall,
        /// The receive's attempt id (FIFO).
        attempt: Option<Arc<str>>,
    },
    /// The visibility of a message in flight ends at another time.
    Hidden {
        /// The message.
        sequence: Sequence,
        /// Until when it is hidden now.
        until: Wall,
    },
    /// A message is gone.
    Gone {
        /// The message.
        sequence: Sequence,
        /// Why.
        why: Why,
    },
    /// All messages are gone.
    Purged {
        /// When.
        at: Wall,
    },
}

impl<B> Change<B> {
    /// The same with another body.
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
