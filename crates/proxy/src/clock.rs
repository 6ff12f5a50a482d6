//! The process's two clocks, which are read here and passed on as values.

use forebay_units::{Mono, Wall};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The clocks. `Mono` counts from the moment this was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    /// Clocks that start now.
    pub fn start() -> Clock {
        Clock {
            began: Instant::now(),
        }
    }

    /// The time of the monotonic clock.
    pub fn now(&self) -> Mono {
        Mono(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The instant of a monotonic reading, for timers.
    pub(crate) fn instant(&self, at: Mono) -> Instant {
        self.began + at.since(Mono::ZERO)
    }

    /// The time of the wall clock.
    pub fn wall(&self) -> Wall {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Wall(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}
