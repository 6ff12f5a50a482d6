//! What counts as load at a target, for as long as it exists.

use crate::gate::Pass;
use crate::picture::TargetView;
use core::sync::atomic::Ordering::SeqCst;
use forebay_admission::permits::WorkId;
use forebay_units::Mono;
use std::sync::Arc;

/// A request in flight at its target, counted from the pick until this is dropped.
#[derive(Debug)]
pub struct InFlight {
    target: Arc<TargetView>,
    /// What the target's load was before.
    load: u32,
    /// Its slot, where those are counted. Free again when this is dropped.
    pass: Option<Box<Pass>>,
}

impl InFlight {
    /// Counts a request there.
    pub fn new(target: Arc<TargetView>) -> InFlight {
        let load = target.stats.load();
        target.stats.in_flight.fetch_add(1, SeqCst);
        target.stats.roster.changed(&target.stats);
        InFlight {
            target,
            load,
            pass: None,
        }
    }

    /// The same with its slot.
    pub(crate) fn with_pass(mut self, pass: Box<Pass>) -> InFlight {
        self.pass = Some(pass);
        self
    }

    /// Its slot, where those are counted.
    pub(crate) fn pass(&mut self) -> Option<&mut Pass> {
        self.pass.as_deref_mut()
    }

    /// The permit that its target's agent has granted for it.
    pub(crate) fn permit(&self) -> Option<WorkId> {
        self.pass.as_ref()?.permit()
    }

    /// One that was counted already.
    pub(crate) fn counted(target: Arc<TargetView>, load: u32) -> InFlight {
        InFlight {
            target,
            load,
            pass: None,
        }
    }

    /// Where.
    pub fn target(&self) -> &Arc<TargetView> {
        &self.target
    }

    /// The target's load when it was picked.
    pub(crate) fn load(&self) -> u32 {
        self.load
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.target.stats.in_flight.fetch_sub(1, SeqCst);
        self.target.stats.roster.changed(&self.target.stats);
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
    _pass: Option<Box<Pass>>,
}

impl Held {
    /// Takes over from a request in flight: the target's load never falls in between.
    pub(crate) fn new(mut slot: InFlight, until: Mono, number: u64) -> Held {
        // What an agent counts is not ours to hold.
        let pass = slot.pass.take().filter(|pass| pass.permit().is_none());
        let target = Arc::clone(&slot.target);
        target.stats.held.fetch_add(1, SeqCst);
        drop(slot);
        Held {
            target,
            until,
            number,
            _pass: pass,
        }
    }

    pub(crate) fn until(&self) -> Mono {
        self.until
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.target.stats.held.fetch_sub(1, SeqCst);
        self.target.stats.roster.changed(&self.target.stats);
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
