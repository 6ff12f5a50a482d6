//! The next step of a request.

use crate::answer::Answer;
use crate::reuse::Reuse;
use crate::target::TargetView;
use crate::ticket::Ticket;
use forebay_units::Mono;
use std::sync::Arc;

/// A request as changed by a rule's transforms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The Host header to send.
    pub host: Option<Vec<u8>>,
    /// The path and query to send.
    pub url: Option<Vec<u8>>,
}

/// The caller's next action.
#[derive(Debug)]
pub enum Step {
    /// Send this answer.
    Answer(Box<Answer>),
    /// Send the request to this target and report the outcome.
    Send {
        /// The target.
        target: Arc<TargetView>,
        /// The pooled connections that may be used.
        reuse: Reuse,
    },
    /// Wait until the ticket is ready, then report [`crate::Outcome::Released`]; past the deadline,
    /// [`crate::Outcome::Late`].
    Wait {
        /// Becomes ready when the wait is over.
        ticket: Arc<Ticket>,
        /// The deadline.
        until: Mono,
    },
    /// Pass the target's answer on.
    Relay,
    /// The answer has begun and cannot be completed: close the client's connection, so that the client notices.
    Abort,
}
