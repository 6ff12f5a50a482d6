//! Short locks that workers share.

use crate::sync::{Mutex, MutexGuard};
use std::sync::PoisonError;

/// Takes a lock that is held for some hundred nanoseconds at a time. State that a panic left behind is used as it is:
/// at worst it is inconsistent until the next snapshot.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The holder is done within some hundred nanoseconds, so spinning is cheaper than sleeping. The growing pauses let
    // the other core keep the index's cache lines for a few picks, instead of both cores fetching them for each pick.
    let mut pause = 8;
    while pause < 4096 {
        if let Ok(guard) = mutex.try_lock() {
            return guard;
        }
        for _ in 0..pause {
            core::hint::spin_loop();
        }
        pause *= 2;
    }
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
