//! The state of a request under way.

use super::cookies::Sticky;
use super::record::Record;
use super::retry_policy::RetryPolicy;
use super::slot_claim::SlotClaim;
use crate::ids::{TargetId, ZoneId};
use crate::in_flight::InFlight;
use crate::permit_issuer::WorkGuard;
use crate::request::Speaks;
use core::time::Duration;
use forebay_health::RoutingReason;

/// Connections tried for one request among healthy targets, the first included. A target that refuses is out at once,
/// so this many are needed only when many die together.
pub(super) const ATTEMPTS: usize = 64;
/// Like [`ATTEMPTS`], while the group fails open: all targets may be dead, and each request would try each of them.
pub(super) const ATTEMPTS_FAIL_OPEN: usize = 4;

/// A request under way.
#[derive(Debug)]
pub struct Exchange {
    pub(super) record: Record,
    pub(super) zone: ZoneId,
    pub(super) speaks: Speaks,
    pub(super) safe: bool,
    /// Targets that refused a connection. Allocated only when one did.
    pub(super) refused: Vec<TargetId>,
    pub(super) attempts: usize,
    pub(super) in_flight: Option<InFlight>,
    /// Allocated only if the rule or the group is sticky.
    pub(super) sticky: Option<Box<Sticky>>,
    /// The retries that the group's settings still allow.
    pub(super) leave: RetryPolicy,
    /// The pause that the target asked for with Retry-After.
    pub(super) wait: Option<Duration>,
    /// Why all targets of its group get traffic, if the client is to be told.
    pub(super) open: Option<RoutingReason>,
    /// Its claim to a slot. Allocated only in groups that have a gate.
    pub(super) line: Option<Box<SlotClaim>>,
    /// At an agent: the slot that it holds there.
    pub(super) work_guard: Option<WorkGuard>,
}
