//! What operations ask of the message log and of functions. Messages are not rows of the state: such calls bypass the
//! state's writer, and each operation supplies the closure that makes its answer from the outcome.

use core::time::Duration;
use forebay_awswire::ApiError;
use forebay_functions::{Invocation, InvokeError, Invoked};
use forebay_queues::{
    Accepted, Ask, Counts, DeleteRefusal, Deleted, Delivered, Letter, MoveTask, PurgeRefusal, QueueId,
    Receipt, ReceiveRefusal, SendRefusal, VisibilityRefusal,
};
use forebay_units::Wall;
use serde_json::Value;

/// What is asked of the message log.
#[derive(Debug)]
pub enum MessageOrder {
    /// Send messages.
    Send {
        /// The queue that gets them.
        queue: QueueId,
        /// The messages with their bodies.
        letters: Vec<Letter<Vec<u8>>>,
    },
    /// Receive messages.
    Receive {
        /// The queue they come from.
        queue: QueueId,
        /// How many messages, and their visibility timeout.
        ask: Ask,
        /// How long to wait if there are none.
        wait: Duration,
        /// The instance that receives them. When it has ended, messages that it has not deleted become visible again.
        holder: Option<String>,
    },
    /// Wait and receive nothing. For a caller that must not get messages any more, this looks like a `Receive` from an
    /// empty queue.
    Idle {
        /// How long to wait.
        wait: Duration,
    },
    /// Delete messages.
    Delete {
        /// Their queue.
        queue: QueueId,
        /// Their receipts.
        receipts: Vec<Receipt>,
    },
    /// Change how long messages stay invisible.
    Hide {
        /// Their queue.
        queue: QueueId,
        /// Their receipts, each with the new visibility timeout, which begins now.
        receipts: Vec<(Receipt, Duration)>,
    },
    /// Delete all messages.
    Purge {
        /// The queue.
        queue: QueueId,
    },
    /// Count the messages.
    Count {
        /// The queue.
        queue: QueueId,
    },
    /// Start a move task.
    Move {
        /// The queue that messages are moved from.
        from: QueueId,
        /// The queue that they are moved to; if `None`, each goes back to where it came from.
        to: Option<QueueId>,
        /// The most messages per second.
        rate: Option<u32>,
    },
    /// Cancel a move task.
    CancelMove {
        /// The queue that messages are moved from.
        from: QueueId,
        /// When the task was started; identifies it.
        started: Wall,
    },
    /// List move tasks.
    Moves {
        /// The queue that messages are moved from.
        from: QueueId,
    },
}

/// Why a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The limit on messages or on their bytes is reached.
    #[error("there is no room for more messages")]
    Full,
    /// The queue's rules forbid it.
    #[error(transparent)]
    Refused(SendRefusal),
}

/// The outcome of a [`MessageOrder`].
#[derive(Debug)]
pub enum MessageOutcome {
    /// The outcome of `Send`, in the order of the messages.
    Sent(Vec<Result<Accepted, NotSent>>),
    /// The outcome of `Receive`.
    Received(Result<Vec<Delivered<Vec<u8>>>, ReceiveRefusal>),
    /// The outcome of `Delete`, in the order of the receipts.
    Deleted(Vec<Result<Deleted, DeleteRefusal>>),
    /// The outcome of `Hide`, in the order of the receipts.
    Hidden(Vec<Result<(), VisibilityRefusal>>),
    /// The outcome of `Purge`: how many messages there were.
    Purged(Result<usize, PurgeRefusal>),
    /// The outcome of `Count`.
    Counted(Counts),
    /// The outcome of `Move`: when the task was started; `None` if one is already running.
    MoveStarted(Option<Wall>),
    /// The outcome of `CancelMove`: how many messages were moved; `None` if the task is not running.
    MoveCancelled(Option<u64>),
    /// The outcome of `Moves`, the latest task first.
    Moves(Vec<MoveTask>),
}

impl MessageOutcome {
    /// The error for an outcome of another kind than the order's, which would be a bug.
    pub(crate) fn unexpected(&self) -> ApiError {
        ApiError::receiver(
            500,
            "InternalFailure",
            "The request processing has failed because of an unknown error.",
        )
    }
}

/// Why an order was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The queue does not exist any more.
    #[error("there is no such queue")]
    NoQueue,
    /// The disk failed. Nothing of the order has taken effect.
    #[error("the messages could not be written or read")]
    Storage,
    /// Too many orders are waiting.
    #[error("too many calls wait for the messages")]
    Busy,
    /// Forebay is shutting down.
    #[error("the service is stopping")]
    Stopping,
    /// This process keeps no messages.
    #[error("messages are not available here")]
    Nowhere,
}

type Answer = Box<dyn FnOnce(MessageOutcome) -> Result<Value, ApiError> + Send>;
type InvokeAnswer = Box<dyn FnOnce(Result<Invoked, InvokeError>) -> Result<Value, ApiError> + Send>;

/// What an operation that bypasses the writer asks for.
pub enum Asked {
    /// Nothing: this is the answer.
    Answered(Value),
    /// An order to the message log, and the closure that makes the answer.
    Order(MessageOrder, Answer),
    /// An invocation of a function, and the closure that makes the answer.
    Invoke(Invocation, InvokeAnswer),
}

impl Asked {
    pub(crate) fn answered(answer: Value) -> Asked {
        Asked::Answered(answer)
    }

    pub(crate) fn order(
        order: MessageOrder,
        answer: impl FnOnce(MessageOutcome) -> Result<Value, ApiError> + Send + 'static,
    ) -> Asked {
        Asked::Order(order, Box::new(answer))
    }

    pub(crate) fn invoke(
        invocation: Invocation,
        answer: impl FnOnce(Result<Invoked, InvokeError>) -> Result<Value, ApiError> + Send + 'static,
    ) -> Asked {
        Asked::Invoke(invocation, Box::new(answer))
    }
}
