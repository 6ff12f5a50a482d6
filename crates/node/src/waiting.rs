//! Asking a gate for a slot, and waiting for one.

use crate::gate::{GroupGate, Ticket};
use crate::ids::ZoneId;
use crate::in_flight::{InFlight, SlotGuard};
use crate::load::Counted;
use crate::shards::Zoned;
use crate::stats::GroupStats;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use forebay_admission::{Arrival, Leaving, Place, Refusal, Verdict};
use forebay_units::{Mono, Rng};
use std::sync::Arc;

impl GroupGate {
    /// A request has come by worker number `worker`; `counters` are its group's.
    pub(crate) fn arrive(
        self: &Arc<Self>,
        now: Mono,
        arrival: &Arrival<'_>,
        rng: &mut Rng,
        counters: &Arc<Zoned<GroupStats>>,
        worker: usize,
    ) -> Arrived {
        let mut ticket = None;
        let verdict = self.with(Some(now), |gate, now| {
            gate.arrive(now, arrival, rng, || {
                Arc::clone(ticket.insert(Arc::new(Ticket::default())))
            })
        });
        if !matches!(verdict, Verdict::Admitted(_)) {
            self.pressure.rise();
        }
        match verdict {
            Verdict::Admitted(slot) => {
                Arrived::Admitted(SlotGuard::admit(self, Counted::new(slot.target), slot.permit))
            }
            Verdict::Waits(place) => Arrived::Waits(Waiting {
                gate: Arc::clone(self),
                place: Some(place),
                // A gate that lets someone wait has asked for the ticket.
                ticket: ticket.unwrap_or_default(),
                _queued: Queued::new(counters, ZoneId(arrival.zone), worker),
            }),
            Verdict::Refused(refusal) => Arrived::Refused(refusal),
        }
    }
}

/// What came of asking for a slot.
pub(crate) enum Arrived {
    Admitted(InFlight),
    Waits(Waiting),
    Refused(Refusal),
}

/// A place in the queue; given up when dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    gate: Arc<GroupGate>,
    place: Option<Place>,
    ticket: Arc<Ticket>,
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

    /// What came of it, once the ticket is ready.
    pub(crate) fn over(&mut self) -> Option<(Duration, Result<InFlight, Refusal>)> {
        let (waited, released) = self.ticket.take()?;
        self.place = None;
        let admit = |(counted, permit)| SlotGuard::admit(&self.gate, counted, permit);
        Some((waited, released.map(admit)))
    }

    /// The deadline has come. None if the wait was over before.
    pub(crate) fn late(&mut self, now: Mono) -> Option<Refusal> {
        let place = self.place.take()?;
        let left = self
            .gate
            .with(Some(now), |gate, now| gate.leave(now, place, Leaving::Late))?;
        Some(left.1)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.gate
                .with(None, |gate, now| gate.leave(now, place, Leaving::Gone));
        }
        // What was handed out and not fetched goes to the next.
        drop(self.over());
    }
}
