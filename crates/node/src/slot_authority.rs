//! The process that decides over a gate's slots during a take-over.

use crate::ids::TargetId;
use crate::ticket::Ticket;
use core::time::Duration;
use forebay_admission::Claim;
use forebay_units::Mono;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Decides over a gate's slots in another process. Called with the gate's lock held, so in the order of events; it must
/// not block.
pub trait SlotAuthority: Send + Sync {
    /// A request wants a slot. The answer comes as [`crate::GroupGate::granted`] or [`crate::GroupGate::refused`] with
    /// this number.
    fn claim(&self, number: u64, claim: &Claim);
    /// The request no longer wants a slot.
    fn withdraw(&self, number: u64);
    /// A request that had a slot of this target is over; `took` is given for a success.
    fn release(&self, target: TargetId, took: Option<Duration>);
    /// A target pushed back: it has one slot less for `time`.
    fn pause(&self, target: TargetId, time: Duration);
}

/// State of a gate while another process decides.
pub(crate) struct Remote {
    pub(crate) authority: Arc<dyn SlotAuthority>,
    pub(crate) claims: BTreeMap<u64, (Claim, Arc<Ticket>)>,
    next: u64,
}

impl Remote {
    pub(crate) fn new(authority: Arc<dyn SlotAuthority>) -> Remote {
        Remote {
            authority,
            claims: BTreeMap::new(),
            next: 0,
        }
    }

    /// Sends a claim to the authority; returns its number.
    pub(crate) fn claim(&mut self, claim: &Claim, ticket: &Arc<Ticket>) -> u64 {
        self.next += 1;
        self.claims.insert(self.next, (*claim, Arc::clone(ticket)));
        self.authority.claim(self.next, claim);
        self.next
    }

    /// Reports a pause to the authority, as a duration: clocks differ between processes.
    pub(crate) fn pause(&self, now: Mono, target: TargetId, until: Mono) {
        self.authority.pause(target, until.since(now));
    }
}
