//! Asking a gate for a slot, and waiting for one.

use crate::gate::GroupGate;
use crate::ids::ZoneId;
use crate::in_flight::{InFlight, SlotGuard};
use crate::load::Counted;
use crate::shards::Zoned;
use crate::stats::GroupStats;
use crate::ticket::{Position, Ticket};
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use forebay_admission::{Arrival, Leaving, Refusal, Verdict, Why};
use forebay_units::{Mono, Rng};
use std::sync::Arc;

/// The least time to wait for another process's answer. The process that decides knows the deadline and refuses the
/// request then.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

impl GroupGate {
    /// Asks for a slot for a request of worker number `worker`; `counters` are its group's.
    pub(crate) fn arrive(
        self: &Arc<Self>,
        now: Mono,
        arrival: &Arrival<'_>,
        rng: &mut Rng,
        counters: &Arc<Zoned<GroupStats>>,
        worker: usize,
    ) -> Arrived {
        let mut ticket = None;
        let mut until = arrival.deadline;
        let verdict = self.with_timed(Some(now), |timed| {
            let mut new_ticket = || Arc::clone(ticket.insert(Arc::new(Ticket::default())));
            if let Some(remote) = &mut timed.remote {
                let ticket = new_ticket();
                let number = remote.claim(&arrival.claim(), &ticket);
                ticket.stand(Position::Remote(number));
                until = until.max(now + ANSWERED_WITHIN);
                return None;
            }
            let verdict = timed.gate.arrive(timed.now, arrival, rng, new_ticket);
            if let (Verdict::Waits(place), Some(ticket)) = (&verdict, &ticket) {
                ticket.stand(Position::Queued(*place));
            }
            Some(verdict)
        });
        // Refusals too: the planner must not wait for its next look.
        if !matches!(verdict, Some(Verdict::Admitted(_))) {
            self.pressure.rise();
        }
        match verdict {
            Some(Verdict::Admitted(slot)) => {
                Arrived::Admitted(SlotGuard::admit(self, Counted::new(slot.target), slot.permit))
            }
            Some(Verdict::Refused(refusal)) => Arrived::Refused(refusal),
            Some(Verdict::Waits(_)) | None => Arrived::Waits(Waiting {
                gate: Arc::clone(self),
                // The ticket exists: a gate that lets a request wait has asked for it.
                ticket: ticket.unwrap_or_default(),
                until,
                is_over: false,
                _queued: Queued::new(counters, ZoneId(arrival.zone), worker),
            }),
        }
    }

    /// Ends the wait of this ticket's holder. `None` if it was over already.
    fn leave(&self, now: Option<Mono>, ticket: &Ticket, why: Leaving) -> Option<Refusal> {
        self.with_timed(now, |timed| match ticket.position()? {
            Position::Queued(place) => Some(timed.gate.leave(timed.now, place, why)?.1),
            Position::Remote(number) => {
                let remote = timed.remote.as_mut()?;
                remote.claims.remove(&number)?;
                remote.authority.withdraw(number);
                Some(Refusal {
                    why: Why::Late,
                    retry_after: Duration::from_secs(1),
                })
            }
        })
    }
}

/// The outcome of asking for a slot.
pub(crate) enum Arrived {
    Admitted(InFlight),
    Waits(Waiting),
    Refused(Refusal),
}

/// A place in the queue; given up when dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    gate: Arc<GroupGate>,
    ticket: Arc<Ticket>,
    until: Mono,
    is_over: bool,
    _queued: Queued,
}

/// Counts a request as waiting until dropped.
#[derive(Debug)]
pub(crate) struct Queued {
    counters: Arc<Zoned<GroupStats>>,
    zone: ZoneId,
    worker: usize,
}

impl Queued {
    fn new(counters: &Arc<Zoned<GroupStats>>, zone: ZoneId, worker: usize) -> Queued {
        counters.of(zone, worker).waiting.fetch_add(1, Relaxed);
        Queued {
            counters: Arc::clone(counters),
            zone,
            worker,
        }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        let counters = self.counters.of(self.zone, self.worker);
        counters.waiting.fetch_sub(1, Relaxed);
    }
}

impl Waiting {
    pub(crate) fn ticket(&self) -> Arc<Ticket> {
        Arc::clone(&self.ticket)
    }

    /// When the wait is over at the latest.
    pub(crate) fn until(&self) -> Mono {
        self.until
    }

    /// The outcome, once the ticket is ready.
    pub(crate) fn over(&mut self) -> Option<(Duration, Result<InFlight, Refusal>)> {
        let (waited, released) = self.ticket.take()?;
        self.is_over = true;
        let admit = |(counted, permit)| SlotGuard::admit(&self.gate, counted, permit);
        Some((waited, released.map(admit)))
    }

    /// Ends the wait because its deadline has passed. `None` if it was over already.
    pub(crate) fn late(&mut self, now: Mono) -> Option<Refusal> {
        let refusal = self.gate.leave(Some(now), &self.ticket, Leaving::Late)?;
        self.is_over = true;
        Some(refusal)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_over {
            self.gate.leave(None, &self.ticket, Leaving::Gone);
        }
        // A slot that was handed out and not fetched is released here, so that it goes to the next request.
        drop(self.over());
    }
}
