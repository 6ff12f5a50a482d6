//! A message, as its queue keeps it and as others see it.

use crate::settings::QueueId;
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A message's place in the order of its queue; later ones are greater. It is the microsecond at which the message
/// arrived, or the last message's plus one. So it keeps rising even if the queue was empty and its log is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

/// A message's id: a UUID's 128 bits, drawn by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub u128);

/// The prefix of ids that name the purpose of a message and not only the message.
const NAMING: u128 = 0x5ced;

impl MessageId {
    /// An id that the same sender makes the same each time, so that a message sent again in doubt is not there twice.
    /// `drawn` identifies what it is sent for.
    pub const fn naming(drawn: u128) -> MessageId {
        MessageId(NAMING << 112 | drawn >> 16)
    }

    /// Whether it is such an id. One in 65,536 random ids looks like one, which does no harm.
    pub const fn is_naming(self) -> bool {
        self.0 >> 112 == NAMING
    }
}

/// Identifies one receive of a message, and is used to delete it; each receive has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Receipt {
    /// The message.
    pub sequence: Sequence,
    /// The number of the receive.
    pub receive: u32,
}

/// Whether and why a message is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Held {
    /// It is visible.
    No,
    /// Hidden by its delay.
    Delayed,
    /// Hidden because it was received.
    InFlight,
}

/// The group of a message without a group.
pub(crate) const NO_GROUP: u32 = u32::MAX;
/// The time of a receive that never happened: the Unix epoch.
pub(crate) const NEVER: Wall = Wall(0);

/// A message as its queue keeps it: 96 bytes with a 12-byte reference to its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message<B> {
    pub(crate) id: MessageId,
    pub(crate) sent: Wall,
    /// When it stops being held, if it is.
    pub(crate) due: Wall,
    pub(crate) first_received: Wall,
    pub(crate) received: Wall,
    pub(crate) receives: u32,
    /// Index of its group in `Groups`.
    pub(crate) group: u32,
    /// The queue that it came from, in a dead-letter queue.
    pub(crate) origin: Option<QueueId>,
    pub(crate) body: B,
    pub(crate) held: Held,
}

/// A message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered<B> {
    /// Its id.
    pub id: MessageId,
    /// The receipt to delete it by. For FIFO queues, `receipt.sequence` is the message's sequence number.
    pub receipt: Receipt,
    /// When it was sent.
    pub sent: Wall,
    /// When it was first received.
    pub first_received: Wall,
    /// Number of receives, this one included (ApproximateReceiveCount; exact here).
    pub receives: u32,
    /// The end of its visibility timeout.
    pub until: Wall,
    /// Its message group.
    pub group: Option<Arc<str>>,
    /// The queue that it came from, in a dead-letter queue.
    pub origin: Option<QueueId>,
    /// The sender's content.
    pub body: B,
}

impl<B> Delivered<B> {
    /// Replaces the body.
    pub fn with_body<C>(self, body: impl FnOnce(B) -> C) -> Delivered<C> {
        Delivered {
            id: self.id,
            receipt: self.receipt,
            sent: self.sent,
            first_received: self.first_received,
            receives: self.receives,
            until: self.until,
            group: self.group,
            origin: self.origin,
            body: body(self.body),
        }
    }
}

/// A message that has left its queue for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departed<B> {
    /// Its sequence number in the queue that it left.
    pub sequence: Sequence,
    /// Its id.
    pub id: MessageId,
    /// When it was sent.
    pub sent: Wall,
    /// When it was first received.
    pub first_received: Option<Wall>,
    /// Number of receives.
    pub receives: u32,
    /// Its message group.
    pub group: Option<Arc<str>>,
    /// The queue that it came from, if it left a dead-letter queue.
    pub origin: Option<QueueId>,
    /// The sender's content.
    pub body: B,
}
