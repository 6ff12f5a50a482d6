//! A request counted as its target's load.

use crate::target::TargetView;
use core::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

/// A request in flight at its target, counted from the pick until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    target: Arc<TargetView>,
    /// The target's load before this request.
    load: u32,
}

impl Counted {
    /// Counts a request at this target.
    pub(crate) fn new(target: Arc<TargetView>) -> Counted {
        let load = target.stats.load();
        target.stats.in_flight.fetch_add(1, SeqCst);
        target.stats.changed();
        Counted { target, load }
    }

    /// Wraps a request that was counted already.
    pub(crate) fn already(target: Arc<TargetView>, load: u32) -> Counted {
        Counted { target, load }
    }

    /// The target.
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
