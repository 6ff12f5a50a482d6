//! A request in flight at a target, and a slot that still counts as load there, each for as long as the value exists.

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
    /// Its slot, where slots are counted; freed when this is dropped.
    guard: Option<Box<SlotGuard>>,
}

impl From<Counted> for InFlight {
    fn from(counted: Counted) -> InFlight {
        InFlight { counted, guard: None }
    }
}

impl InFlight {
    /// Counts a request at this target.
    pub fn new(target: Arc<TargetView>) -> InFlight {
        Counted::new(target).into()
    }

    /// Ends the request; `took` is given for a success.
    pub fn end(mut self, now: Mono, took: Option<Duration>) {
        if let Some(guard) = &mut self.guard {
            guard.ends(now, took);
        }
    }

    /// Its slot, where slots are counted.
    pub(crate) fn guard(&mut self) -> Option<&mut SlotGuard> {
        self.guard.as_deref_mut()
    }

    /// The permit that the target's agent granted for it.
    pub(crate) fn permit(&self) -> Option<WorkId> {
        self.guard.as_ref()?.permit()
    }

    /// The target.
    pub fn target(&self) -> &Arc<TargetView> {
        self.counted.target()
    }

    /// The target's load when it was picked.
    pub(crate) fn load(&self) -> u32 {
        self.counted.load()
    }
}

/// A slot in use; freed when dropped.
#[derive(Debug)]
pub(crate) struct SlotGuard {
    gate: Arc<GroupGate>,
    target: TargetId,
    permit: Option<WorkId>,
    sent: bool,
    /// The agent has seen the permit and counts the slot from then on.
    seen: bool,
    took: Option<Duration>,
    /// When it ended, if known.
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

    /// Records that the request is about to be sent.
    pub(crate) fn sending(&mut self) {
        if self.permit.is_some() && !self.sent {
            self.sent = true;
            self.gate.channels.requests.fetch_add(1, Relaxed);
        }
    }

    /// Records that an answer has arrived, so that the agent knows of the permit.
    pub(crate) fn seen(&mut self) {
        self.seen = true;
    }

    /// Ends it now; `took` is given for a success.
    pub(crate) fn ends(&mut self, now: Mono, took: Option<Duration>) {
        self.ended = Some(now);
        self.took = took;
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.gate.release(self.ended, self.target, self.took);
        // The agent may never have seen it. One that it has seen is ignored when it is returned.
        if let Some(id) = self.permit.filter(|_| !self.seen) {
            self.gate.give_back(self.target, id);
        }
    }
}

/// A slot whose request failed. It counts as load, although no request is in flight, until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    target: Arc<TargetView>,
    until: Mono,
    /// Makes the order of holds that end at the same time unique.
    number: u64,
    /// Keeps the slot taken.
    _pass: Option<Box<SlotGuard>>,
}

impl Held {
    /// Takes over from a request in flight; the target's load never drops in between.
    pub(crate) fn new(mut slot: InFlight, until: Mono, number: u64) -> Held {
        // An agent counts its slots itself, so only local slots can be held.
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

/// The hold that ends first is the greatest, on top of the heap.
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
