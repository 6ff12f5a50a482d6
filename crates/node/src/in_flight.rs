//! What is in flight at a target, and what still counts as load there, for as long as it exists.

use crate::gate::GroupGate;
use crate::ids::TargetId;
use crate::load::Counted;
use crate::target::TargetView;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::time::Duration;
use forebay_admission::permits::WorkId;
use forebay_units::Mono;
use std::sync::Arc;

/// A request in flight at its target, counted from the pick until this is dropped.
#[derive(Debug)]
pub struct InFlight {
    counted: Counted,
    /// Its slot, where those are counted. Free again when this is dropped.
    guard: Option<Box<SlotGuard>>,
}

impl From<Counted> for InFlight {
    fn from(counted: Counted) -> InFlight {
        InFlight { counted, guard: None }
    }
}

impl InFlight {
    /// Counts a request there.
    pub fn new(target: Arc<TargetView>) -> InFlight {
        Counted::new(target).into()
    }

    /// It is over; `took` how long a success took.
    pub fn end(mut self, now: Mono, took: Option<Duration>) {
        if let Some(guard) = &mut self.guard {
            guard.ends(now, took);
        }
    }

    /// Its slot, where those are counted.
    pub(crate) fn guard(&mut self) -> Option<&mut SlotGuard> {
        self.guard.as_deref_mut()
    }

    /// The permit that its target's agent has granted for it.
    pub(crate) fn permit(&self) -> Option<WorkId> {
        self.guard.as_ref()?.permit()
    }

    /// Where.
    pub fn target(&self) -> &Arc<TargetView> {
        self.counted.target()
    }

    /// The target's load when it was picked.
    pub(crate) fn load(&self) -> u32 {
        self.counted.load()
    }
}

/// A slot in use. Free again when dropped.
#[derive(Debug)]
pub(crate) struct SlotGuard {
    gate: Arc<GroupGate>,
    target: TargetId,
    permit: Option<WorkId>,
    sent: bool,
    /// The agent has seen the permit: it counts the slot from there on.
    seen: bool,
    took: Option<Duration>,
    /// When it ended, if that was said.
    ended: Option<Mono>,
}

impl SlotGuard {
    pub(crate) fn admit(gate: &Arc<GroupGate>, counted: Counted, permit: Option<WorkId>) -> InFlight {
        let guard = SlotGuard {
            gate: Arc::clone(gate),
            target: counted.target().id,
            permit,
            sent: false,
            seen: false,
            took: None,
            ended: None,
        };
        InFlight {
            counted,
            guard: Some(Box::new(guard)),
        }
    }

    pub(crate) fn permit(&self) -> Option<WorkId> {
        self.permit
    }

    /// The request is about to be sent.
    pub(crate) fn sending(&mut self) {
        if self.permit.is_some() && !self.sent {
            self.sent = true;
            self.gate.channels.requests.fetch_add(1, Relaxed);
        }
    }

    /// An answer has come: the agent knows of the permit.
    pub(crate) fn seen(&mut self) {
        self.seen = true;
    }

    /// It ends now; `took` how long a success took.
    pub(crate) fn ends(&mut self, now: Mono, took: Option<Duration>) {
        self.ended = Some(now);
        self.took = took;
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.gate.release(self.ended, self.target, self.took);
        if let Some(id) = self.permit.filter(|_| !self.seen) {
            self.gate.give_back(self.target, id);
        }
    }
}

/// A slot whose request failed: it counts as load, though no request is in flight, until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    target: Arc<TargetView>,
    until: Mono,
    /// Tells holds that end together apart, so that they end in one order.
    number: u64,
    /// The slot goes on being taken.
    _pass: Option<Box<SlotGuard>>,
}

impl Held {
    /// Takes over from a request in flight: the target's load never falls in between.
    pub(crate) fn new(mut slot: InFlight, until: Mono, number: u64) -> Held {
        // What an agent counts is not ours to hold.
        let guard = slot.guard.take().filter(|guard| guard.permit().is_none());
        let target = Arc::clone(slot.target());
        target.stats.held.fetch_add(1, SeqCst);
        drop(slot);
        Held {
            target,
            until,
            number,
            _pass: guard,
        }
    }

    pub(crate) fn until(&self) -> Mono {
        self.until
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.target.stats.held.fetch_sub(1, SeqCst);
        self.target.stats.changed();
    }
}

/// The one that ends first is the greatest: on top of a heap.
impl Ord for Held {
    fn cmp(&self, other: &Held) -> core::cmp::Ordering {
        (other.until, other.number).cmp(&(self.until, self.number))
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Held) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Held) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Held {}
