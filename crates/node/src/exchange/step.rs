//! What is to be done with a request next.

use crate::answer::Answer;
use crate::reuse::Reuse;
use crate::target::TargetView;
use crate::ticket::Ticket;
use forebay_units::Mono;
use std::sync::Arc;

/// What a rule's transforms made of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The Host to send.
    pub host: Option<Vec<u8>>,
    /// The path and query to send.
    pub url: Option<Vec<u8>>,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Send this answer.
    Answer(Box<Answer>),
    /// Send the request to this target and report the outcome.
    Send {
        /// To whom.
        target: Arc<TargetView>,
        /// Over which connections.
        reuse: Reuse,
    },
    /// Wait until the ticket is ready, then report [`crate::Outcome::Released`]; past the deadline, [`crate::Outcome::Late`].
    Wait {
        /// Tells when the wait is over.
        ticket: Arc<Ticket>,
        /// The deadline.
        until: Mono,
    },
    /// Pass the target's answer on.
    Relay,
    /// The answer has begun and can't be completed: close the client's connection, so that it sees the cut.
    Abort,
}
