//! What a queue answers, with the reason.

use crate::message::{Delivered, Departed, MessageId, Sequence};
use crate::settings::QueueId;
use core::time::Duration;

/// A message was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its id; of one that had been sent already, the first one's.
    pub id: MessageId,
    /// Its sequence number; of one that had been sent already, the first one's.
    pub sequence: Sequence,
    /// It had been sent within the last five minutes, and is not there twice.
    pub duplicate: bool,
}

/// Why a message is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendRefusal {
    /// A FIFO queue's messages need a group.
    #[error("the message has no MessageGroupId")]
    NoGroup,
    /// They need a deduplication id, theirs or their content's hash.
    #[error("the message has no MessageDeduplicationId, and the queue has no ContentBasedDeduplication")]
    NoDeduplication,
    /// A standard queue does not deduplicate.
    #[error("a standard queue takes no MessageDeduplicationId")]
    Deduplication,
    /// Only the queue may delay messages of a FIFO queue.
    #[error("a FIFO queue takes no DelaySeconds with a message")]
    DelayOfMessage,
    /// More than 15 minutes.
    #[error("DelaySeconds must be from 0 to 900")]
    Delay,
}

/// Why a receive gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// No message is visible.
    NothingVisible,
    /// Messages are visible, and their groups all have some in flight, or begin with a delayed one.
    GroupsInFlight,
    /// So many messages are in flight that there may be no more.
    InFlightMax,
    /// What could have been given went to the dead-letter queue.
    DeadLetters,
}

/// What a receive gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken<B> {
    /// Messages, in order.
    pub messages: Vec<Delivered<B>>,
    /// Messages that were received too often: they are no longer in this queue, and belong into that one.
    pub dead: Vec<(QueueId, Departed<B>)>,
    /// If there are no messages: why.
    pub empty: Option<Empty>,
}

/// Why a receive fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveRefusal {
    /// SQS's `OverLimit`: a standard queue has as many messages in flight as it may.
    #[error("too many messages are in flight")]
    OverLimit,
    /// More than 12 hours.
    #[error("VisibilityTimeout must be from 0 to 43200 seconds")]
    Visibility,
}

/// What a delete did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The message is gone, so long after its last receive: as long as it took to be worked on.
    Now(Duration),
    /// It was gone already.
    Before,
    /// The same by the receipt of an earlier receive.
    Late,
}

/// Why a message is not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteRefusal {
    /// A FIFO queue's message is visible again, or was received again.
    #[error("the receipt handle has expired")]
    Expired,
}

/// Why a visibility is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VisibilityRefusal {
    /// More than 12 hours.
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
    /// It would be hidden for more than 12 hours since its receive.
    #[error("the message may be hidden for {} more seconds", left.as_secs())]
    TooLong {
        /// The most it could be hidden from now on.
        left: Duration,
    },
}

/// Why a queue is not purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PurgeRefusal {
    /// It was within the last minute.
    #[error("the queue was purged within the last 60 seconds")]
    InProgress,
}
