//! A message, and what others see of it.

use crate::settings::QueueId;
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A message's place in the order of its queue: later ones are greater. It is the microsecond at which the message came into the
/// queue, or the one after the last message's, so it goes on rising when a queue was empty and its log is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

/// A message's id: a UUID's 128 bits, drawn by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub u128);

/// What ids begin with that name what they are sent for, and not only the message.
const NAMING: u128 = 0x5ced;

impl MessageId {
    /// An id of which the same sender makes the same each time, so that a message is not there twice that is sent again since nobody knows
    /// whether it was. `drawn` says what it is sent for.
    pub const fn naming(drawn: u128) -> MessageId {
        MessageId(NAMING << 112 | drawn >> 16)
    }

    /// Whether it is such an id. One in 65,536 others looks like one, which does no harm.
    pub const fn is_naming(self) -> bool {
        self.0 >> 112 == NAMING
    }
}

/// What a receive gives to delete its message by: each receive another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Receipt {
    /// Of which message.
    pub sequence: Sequence,
    /// Of which of its receives.
    pub receive: u32,
}

/// Why a message is not visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Held {
    /// It is visible.
    No,
    /// Its delay lasts.
    Delayed,
    /// It was received.
    InFlight,
}

/// No group.
pub(crate) const NO_GROUP: u32 = u32::MAX;
/// Never received: the Unix epoch, when there was no queue.
pub(crate) const NEVER: Wall = Wall(0);

/// A message as its queue keeps it: 96 bytes with a body's place of 12.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message<B> {
    pub(crate) id: MessageId,
    pub(crate) sent: Wall,
    /// If it is held: until then.
    pub(crate) due: Wall,
    pub(crate) first_received: Wall,
    pub(crate) received: Wall,
    pub(crate) receives: u32,
    /// Its group's place in `Groups`.
    pub(crate) group: u32,
    /// In a dead-letter queue: where it comes from.
    pub(crate) origin: Option<QueueId>,
    pub(crate) body: B,
    pub(crate) held: Held,
}

/// A message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered<B> {
    /// Its id.
    pub id: MessageId,
    /// What it is deleted by. `receipt.sequence` is a FIFO message's sequence number.
    pub receipt: Receipt,
    /// When it was sent.
    pub sent: Wall,
    /// When it was first received.
    pub first_received: Wall,
    /// How often it was received, this time included (ApproximateReceiveCount; here it is exact).
    pub receives: u32,
    /// Until when it is hidden.
    pub until: Wall,
    /// Its message group.
    pub group: Option<Arc<str>>,
    /// In a dead-letter queue: where it comes from.
    pub origin: Option<QueueId>,
    /// What the sender gave.
    pub body: B,
}

impl<B> Delivered<B> {
    /// The same with another body.
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

/// A message that has left its queue for another one.
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
    /// How often it was received.
    pub receives: u32,
    /// Its message group.
    pub group: Option<Arc<str>>,
    /// Where it came from, if it left a dead-letter queue.
    pub origin: Option<QueueId>,
    /// What the sender gave.
    pub body: B,
}
