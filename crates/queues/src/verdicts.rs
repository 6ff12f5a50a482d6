//! A queue's answers, with their reasons.

use crate::message::{Delivered, Departed, MessageId, Sequence};
use crate::settings::QueueId;
use core::time::Duration;

/// An accepted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its id; for a duplicate, the first message's.
    pub id: MessageId,
    /// Its sequence number; for a duplicate, the first message's.
    pub sequence: Sequence,
    /// Whether it had been sent within the deduplication interval, and so was not added again.
    pub duplicate: bool,
}

/// Why a message is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendRefusal {
    /// A FIFO queue's messages need a group.
    #[error("the message has no MessageGroupId")]
    NoGroup,
    /// A FIFO queue's messages need a deduplication id, given or computed from their content.
    #[error("the message has no MessageDeduplicationId, and the queue has no ContentBasedDeduplication")]
    NoDeduplication,
    /// A standard queue does not deduplicate.
    #[error("a standard queue takes no MessageDeduplicationId")]
    Deduplication,
    /// In a FIFO queue only the queue may delay messages.
    #[error("a FIFO queue takes no DelaySeconds with a message")]
    DelayOfMessage,
    /// The delay exceeds 15 minutes.
    #[error("DelaySeconds must be from 0 to 900")]
    Delay,
}

/// Why a receive returns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// No message is visible.
    NothingVisible,
    /// Messages are visible, but their groups all have some in flight, or begin with a delayed one.
    GroupsInFlight,
    /// The maximum number of messages is in flight.
    InFlightMax,
    /// The messages that could have been delivered were moved to the dead-letter queue.
    DeadLetters,
}

/// The result of a receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken<B> {
    /// Messages, in order.
    pub messages: Vec<Delivered<B>>,
    /// Messages that were received too often. They are no longer in this queue and must be put into that one.
    pub dead: Vec<(QueueId, Departed<B>)>,
    /// Why there are no messages.
    pub empty: Option<Empty>,
}

/// Why a receive fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveRefusal {
    /// SQS's `OverLimit`: a standard queue has the maximum number of messages in flight.
    #[error("too many messages are in flight")]
    OverLimit,
    /// The visibility timeout exceeds 12 hours.
    #[error("VisibilityTimeout must be from 0 to 43200 seconds")]
    Visibility,
}

/// The result of a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The message is deleted, this long after its last receive: its processing time.
    Now(Duration),
    /// It had been deleted before.
    Before,
    /// It is deleted, by the receipt of an earlier receive.
    Late,
}

/// Why a message is not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteRefusal {
    /// The message of a FIFO queue is visible again, or was received again.
    #[error("the receipt handle has expired")]
    Expired,
}

/// Why a visibility timeout is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VisibilityRefusal {
    /// It exceeds 12 hours.
    #[error("VisibilityTimeout must be from 0 to 43200 seconds")]
    Visibility,
    /// The message was deleted, or has expired.
    #[error("the message does not exist, or is not available for a change of its visibility timeout")]
    Gone,
    /// The message is visible, or delayed.
    #[error("the message is not in flight")]
    NotInFlight,
    /// The message was received again since (FIFO).
    #[error("the receipt handle has expired")]
    Stale,
    /// The message would be hidden for more than 12 hours since its receive.
    #[error("the message may be hidden for {} more seconds", left.as_secs())]
    TooLong {
        /// How long it could be hidden from now on.
        left: Duration,
    },
}

/// Why a queue is not purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PurgeRefusal {
    /// The last purge was less than a minute ago.
    #[error("the queue was purged within the last 60 seconds")]
    InProgress,
}
