//! What operations ask of messages. These are no rows of the state: the log of messages is asked past the writer of the state, and each
//! operation says what its answer is then.

use core::time::Duration;
use forebay_awswire::ApiError;
use forebay_functions::{Invocation, InvokeError, Invoked};
use forebay_queues::{
    Accepted, Ask, Counts, DeleteRefusal, Deleted, Delivered, Letter, MoveTask, PurgeRefusal, QueueId,
    Receipt, ReceiveRefusal, SendRefusal, VisibilityRefusal,
};
use forebay_units::Wall;
use serde_json::Value;

/// What is asked.
#[derive(Debug)]
pub enum MessageOrder {
    /// Send these.
    Send {
        /// To this queue.
        queue: QueueId,
        /// Each with its content.
        letters: Vec<Letter<Vec<u8>>>,
    },
    /// Receive.
    Receive {
        /// From this queue.
        queue: QueueId,
        /// How many, for how long.
        ask: Ask,
        /// How long to wait if there is nothing.
        wait: Duration,
        /// The instance that is to have them: when it has ended, what it has not deleted is visible again.
        holder: Option<String>,
    },
    /// Wait for so long, for nothing: whoever asks is to have no messages any more. As `Receive` without any.
    Idle {
        /// How long.
        wait: Duration,
    },
    /// Delete by these receipts.
    Delete {
        /// From this queue.
        queue: QueueId,
        /// Each of a receive.
        receipts: Vec<Receipt>,
    },
    /// Hide these for so long from now on.
    Hide {
        /// Of this queue.
        queue: QueueId,
        /// Each of a receive.
        receipts: Vec<(Receipt, Duration)>,
    },
    /// Delete all.
    Purge {
        /// Of this queue.
        queue: QueueId,
    },
    /// Count.
    Count {
        /// In this queue.
        queue: QueueId,
    },
    /// Begin a move task.
    Move {
        /// From this queue.
        from: QueueId,
        /// To that one; without, each message to where it came from.
        to: Option<QueueId>,
        /// Messages a second.
        rate: Option<u32>,
    },
    /// Stop a move task.
    CancelMove {
        /// From this queue.
        from: QueueId,
        /// The one that was started then.
        started: Wall,
    },
    /// Tell of the move tasks.
    Moves {
        /// From this queue.
        from: QueueId,
    },
}

/// Why a message is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// There are as many messages as there may be, or bytes.
    #[error("there is no room for more messages")]
    Full,
    /// By the queue's rules.
    #[error(transparent)]
    Refused(SendRefusal),
}

/// What came of it.
#[derive(Debug)]
pub enum MessageOutcome {
    /// Of `Send`: in the order of the letters.
    Sent(Vec<Result<Accepted, NotSent>>),
    /// Of `Receive`.
    Received(Result<Vec<Delivered<Vec<u8>>>, ReceiveRefusal>),
    /// Of `Delete`: in the order of the receipts.
    Deleted(Vec<Result<Deleted, DeleteRefusal>>),
    /// Of `Hide`: in the order of the receipts.
    Hidden(Vec<Result<(), VisibilityRefusal>>),
    /// Of `Purge`: how many there were.
    Purged(Result<usize, PurgeRefusal>),
    /// Of `Count`.
    Counted(Counts),
    /// Of `Move`: when it was started; none if one runs already.
    MoveStarted(Option<Wall>),
    /// Of `CancelMove`: how many it has moved; none if it does not run.
    MoveCancelled(Option<u64>),
    /// Of `Moves`: the latest first.
    Moves(Vec<MoveTask>),
}

impl MessageOutcome {
    /// Of something else than was asked: our bug.
    pub(crate) fn unexpected(&self) -> ApiError {
        ApiError::receiver(
            500,
            "InternalFailure",
            "The request processing has failed because of an unknown error.",
        )
    }
}

/// Why nothing came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// There is no such queue any more.
    #[error("there is no such queue")]
    NoQueue,
    /// The disk did not take it, or does not give it back; nothing of it counts.
    #[error("the messages could not be written or read")]
    Storage,
    /// Too much waits.
    #[error("too many calls wait for the messages")]
    Busy,
    /// We stop.
    #[error("the service is stopping")]
    Stopping,
    /// No message is kept here.
    #[error("no message is kept here")]
    Nowhere,
}

type Answer = Box<dyn FnOnce(MessageOutcome) -> Result<Value, ApiError> + Send>;
type InvokeAnswer = Box<dyn FnOnce(Result<Invoked, InvokeError>) -> Result<Value, ApiError> + Send>;

/// What an operation asks past the writer.
pub enum Asked {
    /// Nothing: its answer is known.
    Answered(Value),
    /// This; and what its answer is then.
    Order(MessageOrder, Answer),
    /// That a function is invoked; and what its answer is then.
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
