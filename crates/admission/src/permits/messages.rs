//! The messages of a permit issuer, and its counters.

use super::work_id::WorkId;

/// One node's channel, from its welcome to its end. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session(pub u64);

/// Why a request may not start. The application has seen nothing of it, so it may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The id was never granted by this incarnation, was used or given back, or ended with its session.
    Unknown,
    /// The permit was recalled, neither used nor given back in time, and so revoked.
    Revoked,
    /// The limit was lowered meanwhile, and at least as many requests are in flight.
    AboveLimit,
}

/// A message to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Grants permits to the session.
    Grant {
        /// The receiving session.
        session: Session,
        /// The permits, at least one.
        ids: Vec<WorkId>,
    },
    /// Asks the session to give back as many unused permits as it can, at once. It must answer even if it has none.
    Recall {
        /// The receiving session.
        session: Session,
        /// Number of permits. 0 asks for a sign of life only.
        count: u32,
    },
    /// States how many requests may be in flight at this target: at the session's start and after each change.
    Limit {
        /// The receiving session.
        session: Session,
        /// 0 to 1,000; 0 while the agent drains.
        limit: u32,
    },
}

/// Counters since the start, and the present state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Requests that may be in flight at once.
    pub limit: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// Permits that are out.
    pub outstanding: u32,
    /// Nodes that have a channel.
    pub sessions: u32,
    /// Requests that wait for a permit at all nodes, as last reported.
    pub waiting: u64,
    /// Permits granted, ever.
    pub granted: u64,
    /// Permits used, ever.
    pub used: u64,
    /// Permits given back, ever.
    pub returned: u64,
    /// Permits revoked, ever.
    pub revoked: u64,
    /// Requests refused because their id was revoked, ever.
    pub refused_revoked: u64,
    /// Requests refused because their id is unknown or no longer valid, ever.
    pub refused_unknown: u64,
    /// Requests refused because the limit had been lowered, ever.
    pub refused_above_limit: u64,
}

impl Output {
    /// The session that the message is for.
    pub fn session(&self) -> Session {
        match *self {
            Output::Grant { session, .. }
            | Output::Recall { session, .. }
            | Output::Limit { session, .. } => session,
        }
    }
}
