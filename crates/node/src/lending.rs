//! Gates whose slots another process decides over, and requests of another process at a gate here.
//!
//! While one process takes over from another, both send requests to the same targets. One gate decides for both: that
//! of the new process. The old process's gate is lent: it sends each claim to the new one, waits for the answer, and
//! reports each release. Both go on counting their own requests, so that a lent gate can decide again at any time if
//! the new process dies.

use crate::gate::{GroupGate, Timed};
use crate::ids::{TargetId, ZoneId};
use crate::in_flight::{InFlight, SlotGuard};
use crate::load::Counted;
use crate::shards::Zoned;
use crate::slot_authority::{Remote, SlotAuthority};
use crate::stats::GroupStats;
use crate::target::TargetView;
use crate::ticket::{Position, Released, Ticket};
use crate::waiting::{Arrived, Waiting};
use core::time::Duration;
use forebay_admission::{Arrival, Claim, Refusal};
use forebay_units::{Mono, Rng};
use std::sync::Arc;

/// The decision on another process's claim.
#[derive(Debug)]
pub enum ForeignClaim {
    /// It has a slot until this is dropped.
    Admitted(InFlight),
    /// It waits.
    Waits(ForeignWait),
    /// It gets no slot.
    Refused(Refusal),
}

/// A waiting claim of another process; withdrawn when dropped.
#[derive(Debug)]
pub struct ForeignWait(Waiting);

impl ForeignWait {
    /// The ticket; ready once the wait is over.
    pub fn ticket(&self) -> Arc<Ticket> {
        self.0.ticket()
    }

    /// The outcome, once the ticket is ready.
    pub fn over(mut self) -> Option<Result<InFlight, Refusal>> {
        Some(self.0.over()?.1)
    }
}

impl GroupGate {
    /// Lets `authority` decide from now on. It gets the claims of all waiting requests at once, in order. Returns how
    /// many requests have slots of which targets; each will be reported to `authority` as released. `None` if agents
    /// count this gate's slots: they count for every process, so nothing need be lent.
    pub fn lend(&self, now: Mono, authority: Arc<dyn SlotAuthority>) -> Option<Vec<(TargetId, u32)>> {
        if self.is_controlled() {
            return None;
        }
        self.with_timed(Some(now), |timed| {
            // All under the gate's lock: a request that arrived between taking the queue and setting the authority
            // would jump the queue.
            let mut remote = Remote::new(authority);
            for (claim, ticket) in timed.gate.hand_over(timed.now) {
                let number = remote.claim(&claim, &ticket);
                ticket.stand(Position::Remote(number));
            }
            timed.remote = Some(Box::new(remote));
            let occupied = timed.gate.occupied().into_iter();
            Some(occupied.map(|(key, count)| (TargetId(key), count)).collect())
        })
    }

    /// Decides by itself again because the authority is gone. Requests that waited for its answer wait here.
    pub fn reclaim(&self, now: Mono) {
        self.with_timed(Some(now), |timed| {
            let Some(remote) = timed.remote.take() else { return };
            // In the order of their numbers, which is the order of arrival.
            for (claim, ticket) in remote.claims.into_values() {
                let place = timed.gate.rejoin(timed.now, &claim, Arc::clone(&ticket));
                ticket.stand(Position::Queued(place));
            }
        });
    }

    /// The authority gave a claim a slot of this target. False if the claim no longer exists: then the slot was not
    /// taken and will not be reported as released.
    pub fn granted(&self, now: Mono, number: u64, target: Arc<TargetView>) -> bool {
        self.answered(now, number, |timed| {
            // Counted beyond any limit of this gate: the slot is the authority's, and its release must find it here.
            timed.gate.occupy(target.id.0);
            Ok((Counted::new(target), None))
        })
    }

    /// The authority refused a claim.
    pub fn refused(&self, now: Mono, number: u64, refusal: Refusal) {
        self.answered(now, number, |_| Err(refusal));
    }

    fn answered(&self, now: Mono, number: u64, outcome: impl FnOnce(&mut Timed) -> Released) -> bool {
        let waker = self.with_timed(Some(now), |timed| {
            // Missing if the request has left meanwhile: the answer crossed its withdrawal.
            let (claim, ticket) = timed.remote.as_mut()?.claims.remove(&number)?;
            let outcome = outcome(timed);
            Some(ticket.deliver(timed.now.since(claim.since), outcome))
        });
        let Some(waker) = waker else { return false };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Asks for a slot on behalf of a request of another process.
    pub fn claim_for(
        self: &Arc<Self>,
        now: Mono,
        claim: &Claim,
        avoid: &[u64],
        rng: &mut Rng,
        counters: &Arc<Zoned<GroupStats>>,
    ) -> ForeignClaim {
        let arrival = Arrival {
            zone: ZoneId(claim.zone).0,
            class: claim.class,
            weight: claim.weight,
            since: claim.since,
            deadline: claim.deadline,
            front: claim.front,
            avoid,
            prefers: claim.prefers,
        };
        match self.arrive(now, &arrival, rng, counters, 0) {
            Arrived::Admitted(in_flight) => ForeignClaim::Admitted(in_flight),
            Arrived::Waits(waiting) => ForeignClaim::Waits(ForeignWait(waiting)),
            Arrived::Refused(refusal) => ForeignClaim::Refused(refusal),
        }
    }

    /// Counts a request of another process that is at this target already. It has a slot until the result is dropped.
    pub fn occupy(self: &Arc<Self>, target: &Arc<TargetView>) -> InFlight {
        self.with_timed(None, |timed| timed.gate.occupy(target.id.0));
        SlotGuard::admit(self, Counted::new(Arc::clone(target)), None)
    }

    /// A target pushed back a request of another process.
    pub fn pause_for(&self, now: Mono, target: TargetId, time: Duration) {
        self.pause(now, target, now + time);
    }
}

#[cfg(test)]
mod tests;
