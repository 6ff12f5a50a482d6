//! A request that counts as its target's load.

use crate::target::TargetView;
use core::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

/// A request in flight at its target, counted from the pick until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    target: Arc<TargetView>,
    /// What the target's load was before.
    load: u32,
}

impl Counted {
    /// Counts a request there.
    pub(crate) fn new(target: Arc<TargetView>) -> Counted {
        let load = target.stats.load();
        target.stats.in_flight.fetch_add(1, SeqCst);
        target.stats.changed();
        Counted { target, load }
    }

    /// One that was counted already.
    pub(crate) fn already(target: Arc<TargetView>, load: u32) -> Counted {
        Counted { target, load }
    }

    /// Where.
    pub(crate) fn target(&self) -> &Arc<TargetView> {
        &self.target
    }

    /// The target's load when it was picked.
    pub(crate) fn load(&self) -> u32 {
        self.load
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.target.stats.in_flight.fetch_sub(1, SeqCst);
        self.target.stats.changed();
    }
}
