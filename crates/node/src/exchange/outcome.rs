//! What the shell reports of a step.

use crate::reason::Reason;

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// Refused or unreachable: nothing was sent.
    Refused,
    /// Not accepted in time, or not secured in time.
    TimedOut,
    /// Accepted, and the TLS handshake failed.
    Handshake,
    /// This process has no file descriptor or port left: not the target's fault.
    OutOfResources,
}

/// How much of a request went out on the connection that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Not a byte.
    Nothing,
    /// Some or all, and the target says itself that it did nothing with it (RFC 9113 section 8.7).
    Unprocessed,
    /// Some or all.
    Some,
}

/// How a connection to a target died before the answer's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// It came from the pool.
    pub reused: bool,
    /// How much of the request it had taken.
    pub sent: Sent,
    /// The whole request is still at hand and can be sent again.
    pub replayable: bool,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No connection to the target.
    NotConnected(ConnectError),
    /// The connection died before the answer's first byte.
    Died(Death),
    /// The answer's head came, with this status.
    Answered(u16),
    /// Something ended the exchange; the reason says what.
    Failed(Reason),
    /// The wait for a slot is over.
    Released,
    /// The wait for a slot has reached its deadline.
    Late,
}
