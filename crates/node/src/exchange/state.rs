//! A request under way, as far as it has come.

use super::record::Record;
use super::retry_policy::RetryPolicy;
use super::slot_claim::SlotClaim;
use super::sticky::Sticky;
use crate::ids::{TargetId, ZoneId};
use crate::in_flight::InFlight;
use crate::permit_issuer::WorkGuard;
use crate::request::Speaks;
use core::time::Duration;
use forebay_health::RoutingReason;

/// Connections tried for one request among healthy targets, the first included. A refused target is out at once, so
/// this many are needed only when many die together.
pub(super) const ATTEMPTS: usize = 64;
/// The same when the group fails open: all targets may be dead, and each request would knock at each of them.
pub(super) const ATTEMPTS_FAIL_OPEN: usize = 4;

/// A request under way.
#[derive(Debug)]
pub struct Exchange {
    pub(super) record: Record,
    pub(super) zone: ZoneId,
    pub(super) speaks: Speaks,
    pub(super) safe: bool,
    /// Targets that refused. Allocates only when one did.
    pub(super) refused: Vec<TargetId>,
    pub(super) attempts: usize,
    pub(super) in_flight: Option<InFlight>,
    /// Allocates only where its rule or its group is sticky.
    pub(super) sticky: Option<Box<Sticky>>,
    /// What its group allows it beyond one target.
    pub(super) leave: RetryPolicy,
    /// For how long its target wants to be left alone, if it said so.
    pub(super) wait: Option<Duration>,
    /// Why all targets of its group get traffic, if its client is to be told.
    pub(super) open: Option<RoutingReason>,
    /// How it waits for a slot. Allocates only in groups that have a gate.
    pub(super) line: Option<Box<SlotClaim>>,
    /// At an agent: what it holds there.
    pub(super) work_guard: Option<WorkGuard>,
}
