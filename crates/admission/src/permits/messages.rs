//! What a permit issuer says.

use super::work_id::WorkId;

/// One node's channel, from its welcome to its end. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session(pub u64);

/// Why a request may not start. The application sees nothing of it, so it may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Never granted by this incarnation, used already, given back, or void with its session.
    Unknown,
    /// Revoked because it was recalled and neither used nor given back in time.
    Revoked,
    /// The limit was lowered meanwhile and as many are in flight.
    AboveLimit,
}

/// What to tell nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// These permits are the session's now.
    Grant {
        /// To whom.
        session: Session,
        /// At least one.
        ids: Vec<WorkId>,
    },
    /// The session shall give back as many unused permits as it can, at once; an answer is owed even if it has none.
    Recall {
        /// From whom.
        session: Session,
        /// At least one.
        count: u32,
    },
    /// How many requests may be in flight at this target: at the session's start and after each change.
    Limit {
        /// To whom.
        session: Session,
        /// 0 to 1,000; 0 while it drains.
        limit: u32,
    },
}

/// Counts since the start, and how things are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Requests that may be in flight.
    pub limit: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// Permits that are out.
    pub outstanding: u32,
    /// Nodes with a channel.
    pub sessions: u32,
    /// Requests that wait for a permit at any node, as last told.
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
    /// Requests refused for an id that never was or is no more, ever.
    pub refused_unknown: u64,
    /// Requests refused because the limit had been lowered, ever.
    pub refused_above_limit: u64,
}

impl Output {
    /// Whom it is for.
    pub fn session(&self) -> Session {
        match *self {
            Output::Grant { session, .. }
            | Output::Recall { session, .. }
            | Output::Limit { session, .. } => session,
        }
    }
}
