//! The outcomes that the caller reports of a step.

use crate::reason::Reason;

/// Why no connection was established.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// Refused or unreachable; nothing was sent.
    Refused,
    /// Not accepted in time, or the TLS handshake took too long.
    TimedOut,
    /// Accepted, but the TLS handshake failed.
    Handshake,
    /// This process has no file descriptor or port left; not the target's fault.
    OutOfResources,
}

/// How much of a request went out on the connection that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Nothing.
    Nothing,
    /// Some or all, and the target says that it did not process it (RFC 9113 section 8.7).
    Unprocessed,
    /// Some or all.
    Some,
}

/// How a connection to a target died before the answer's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// The connection came from the pool.
    pub reused: bool,
    /// How much of the request had been sent.
    pub sent: Sent,
    /// The whole request is still buffered and can be sent again.
    pub replayable: bool,
}

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No connection to the target was established.
    NotConnected(ConnectError),
    /// The connection died before the answer's first byte.
    Died(Death),
    /// The answer's head came, with this status.
    Answered(u16),
    /// The exchange ended for this reason.
    Failed(Reason),
    /// The wait for a slot is over.
    Released,
    /// The wait for a slot has reached its deadline.
    Late,
}
