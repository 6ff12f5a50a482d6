//! The record of a request, kept after its end.

use super::step::Rewritten;
use crate::ids::GroupId;
use crate::reason::Reason;
use crate::target::TargetView;
use core::time::Duration;
use forebay_model::Priority;
use forebay_routing::TransformError;
use forebay_units::Mono;
use std::sync::Arc;

/// The kind of action that a rule took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Forwarded to a group.
    Forward,
    /// Redirected the client.
    Redirect,
    /// Answered with the rule's fixed response.
    Fixed,
}

/// The record of a request, kept after its end for logs and counters.
#[derive(Clone, Debug)]
pub struct Record {
    /// When the request's head was complete.
    pub begun: Mono,
    /// When it was last sent to a target.
    pub sent: Option<Mono>,
    /// When the head of the target's answer arrived.
    pub answered: Option<Mono>,
    /// When the exchange ended.
    pub ended: Mono,
    /// Priority of the rule that matched.
    pub priority: Option<Priority>,
    /// The listener's rules could not be evaluated.
    pub rule_error: bool,
    /// The action of the matching rule.
    pub action: Option<Taken>,
    /// The outcome of the rule's transforms, if it has any.
    pub transform: Option<Result<(), TransformError>>,
    /// The request as changed by them, if it was.
    pub rewritten: Option<Box<Rewritten>>,
    /// The chosen group.
    pub group: Option<GroupId>,
    /// The target last tried.
    pub target: Option<Arc<TargetView>>,
    /// The status of the target's answer.
    pub target_status: Option<u16>,
    /// Why the request ended otherwise than with its target's whole answer.
    pub reason: Option<Reason>,
    /// Attempts beyond the first.
    pub retries: u32,
    /// Time spent waiting for slots, where slots are counted.
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
