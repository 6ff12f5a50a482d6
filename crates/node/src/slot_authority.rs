//! Who decides over a gate's slots while another process does: the one that has taken over from this one.

use crate::ids::TargetId;
use crate::ticket::Ticket;
use core::time::Duration;
use forebay_admission::Claim;
use forebay_units::Mono;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Decides over a gate's slots, elsewhere. Called with the gate's lock held, so in the order in which things happen: it must not wait.
pub trait SlotAuthority: Send + Sync {
    /// A request wants a slot: to be answered by [`crate::GroupGate::granted`] or [`crate::GroupGate::refused`] with this number.
    fn claim(&self, number: u64, claim: &Claim);
    /// It does not want one any more.
    fn withdraw(&self, number: u64);
    /// A request that had a slot of this target is over; `took` how long a success took.
    fn release(&self, target: TargetId, took: Option<Duration>);
    /// A target pushed back: it has one slot less for so long.
    fn pause(&self, target: TargetId, time: Duration);
}

/// What a gate keeps while somebody else decides.
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

    /// Has the authority decide; gives the claim's number.
    pub(crate) fn claim(&mut self, claim: &Claim, ticket: &Arc<Ticket>) -> u64 {
        self.next += 1;
        self.claims.insert(self.next, (*claim, Arc::clone(ticket)));
        self.authority.claim(self.next, claim);
        self.next
    }

    /// How long a pause lasts from now on.
    pub(crate) fn pause(&self, now: Mono, target: TargetId, until: Mono) {
        self.authority.pause(target, until.since(now));
    }
}
