//! What is left of a request when it is over.

use super::step::Rewritten;
use crate::ids::GroupId;
use crate::reason::Reason;
use crate::target::TargetView;
use core::time::Duration;
use forebay_model::Priority;
use forebay_routing::TransformError;
use forebay_units::Mono;
use std::sync::Arc;

/// Which kind of action a rule took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A group was to answer.
    Forward,
    /// The client was sent elsewhere.
    Redirect,
    /// The rule holds the answer.
    Fixed,
}

/// What is left of a request when it is over.
#[derive(Clone, Debug)]
pub struct Record {
    /// When its head was complete.
    pub begun: Mono,
    /// When it was last sent to a target.
    pub sent: Option<Mono>,
    /// When the answer's head came.
    pub answered: Option<Mono>,
    /// When it was over.
    pub ended: Mono,
    /// The rule that won.
    pub priority: Option<Priority>,
    /// The listener's rules could not be asked.
    pub rule_error: bool,
    /// What the rule that won did.
    pub action: Option<Taken>,
    /// How the rule's transforms went, if it has any.
    pub transform: Option<Result<(), TransformError>>,
    /// What they made of the request, if they changed it.
    pub rewritten: Option<Box<Rewritten>>,
    /// The group chosen.
    pub group: Option<GroupId>,
    /// The target last tried.
    pub target: Option<Arc<TargetView>>,
    /// The target's status.
    pub target_status: Option<u16>,
    /// Why it ended otherwise than with its target's whole answer.
    pub reason: Option<Reason>,
    /// Connections beyond the first.
    pub retries: u32,
    /// How long it waited for slots, where those are counted.
    pub waited: Option<Duration>,
}

impl Record {
    pub(super) fn begun(now: Mono, reason: Option<Reason>) -> Record {
        Record {
            begun: now,
            sent: None,
            answered: None,
            ended: now,
            priority: None,
            rule_error: false,
            action: None,
            transform: None,
            rewritten: None,
            group: None,
            target: None,
            target_status: None,
            reason,
            retries: 0,
            waited: None,
        }
    }
}
