//! Tells the planner at once that a request had to wait or was refused.

use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

/// The signal of one node; every gate has a clone.
#[derive(Clone, Default)]
pub struct Pressure(Arc<Inner>);

#[derive(Default)]
struct Inner {
    is_on: AtomicBool,
    tell: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl core::fmt::Debug for Pressure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Pressure").field(&self.0.is_on).finish()
    }
}

impl Pressure {
    /// Calls `tell` when a request has to wait or is refused, and then not again before [`Pressure::seen`]. Only the
    /// first call counts.
    pub fn on(&self, tell: Box<dyn Fn() + Send + Sync>) {
        let _ = self.0.tell.set(tell);
    }

    /// Records that all that has happened until now is being looked at.
    pub fn seen(&self) {
        self.0.is_on.store(false, SeqCst);
    }

    pub(crate) fn rise(&self) {
        if let Some(tell) = self.0.tell.get()
            && !self.0.is_on.swap(true, SeqCst)
        {
            tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU32;

    #[test]
    fn is_told_once_until_it_was_seen() {
        let pressure = Pressure::default();
        pressure.rise();
        let told = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&told);
        pressure.on(Box::new(move || {
            count.fetch_add(1, SeqCst);
        }));
        let other = pressure.clone();
        other.rise();
        pressure.rise();
        assert_eq!(told.load(SeqCst), 1);
        pressure.seen();
        other.rise();
        assert_eq!(told.load(SeqCst), 2);
    }
}
