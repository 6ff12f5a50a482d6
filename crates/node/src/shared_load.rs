//! The state that all workers share about a group's targets besides their counters: flags for the figures in use, and
//! marks of the targets that changed.

use crate::marks::Marks;
use crate::sync::{AtomicBool, AtomicU32};
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

/// The number of a target that is in no least-loaded index.
pub(crate) const NOT_INDEXED: u32 = u32::MAX;

/// One per group, referenced by its targets' counters.
#[derive(Debug, Default)]
pub(crate) struct SharedLoad {
    pub(crate) ordered: AtomicBool,
    weighted: AtomicBool,
    timed: AtomicBool,
    pub(crate) marks: Marks,
}

impl SharedLoad {
    /// Whether any target's weight may be less than full.
    pub(crate) fn is_weighted(&self) -> bool {
        self.weighted.load(Relaxed)
    }

    pub(crate) fn set_weighted(&self, weighted: bool) {
        self.weighted.store(weighted, Relaxed);
    }

    /// Whether an algorithm uses latencies.
    pub(crate) fn is_timed(&self) -> bool {
        self.timed.load(Relaxed)
    }

    pub(crate) fn set_timed(&self, timed: bool) {
        self.timed.store(timed, Relaxed);
    }

    /// Records that a target's count or weight changed.
    pub(crate) fn changed(&self, index: &AtomicU32) {
        if self.ordered.load(SeqCst) {
            let index = index.load(SeqCst);
            if index != NOT_INDEXED {
                self.marks.set(index);
            }
        }
    }
}
