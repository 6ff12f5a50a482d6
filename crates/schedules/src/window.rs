//! Flexible time windows: how long after its scheduled time a run may begin.

use crate::run::RunId;
use core::time::Duration;
use forebay_units::{Rng, Wall};
use serde::{Deserialize, Serialize};

/// The longest window (API reference, `MaximumWindowInMinutes`: 1 to 1440).
pub(crate) const WINDOW_MAX_MINUTES: u16 = 1440;

/// Why a window is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// `FLEXIBLE` without a length, or with one out of range.
    #[error("a flexible time window must have from 1 to {WINDOW_MAX_MINUTES} minutes")]
    Minutes,
    /// `OFF` with a length.
    #[error("a flexible time window that is off must not have minutes")]
    Off,
}

/// When a run begins, relative to its scheduled time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Length in minutes; zero if runs begin at the scheduled time.
    minutes: u16,
}

impl Window {
    /// Runs begin at their scheduled time.
    pub const OFF: Window = Window { minutes: 0 };

    /// Validates `Mode` (`FLEXIBLE` or not) and `MaximumWindowInMinutes`.
    ///
    /// # Errors
    /// If the length is missing, out of range, or given although the window is off.
    pub fn new(is_flexible: bool, minutes: Option<i64>) -> Result<Window, WindowError> {
        match (is_flexible, minutes) {
            (false, None) => Ok(Window::OFF),
            (false, Some(_)) => Err(WindowError::Off),
            (true, minutes) => minutes
                .and_then(|minutes| u16::try_from(minutes).ok())
                .filter(|minutes| (1..=WINDOW_MAX_MINUTES).contains(minutes))
                .map(|minutes| Window { minutes })
                .ok_or(WindowError::Minutes),
        }
    }

    /// The length; zero if the window is off.
    pub fn length(self) -> Duration {
        Duration::from_secs(u64::from(self.minutes) * 60)
    }

    /// When a run begins: a whole number of seconds after its scheduled time, before the end of the window. Drawn from
    /// a stream that depends only on the seed and the run, so that the answer is the same each time, also after a
    /// restart.
    pub fn begins(self, run: &RunId, seed: u64) -> Wall {
        if self == Window::OFF {
            return run.scheduled;
        }
        let mut rng = Rng::named(seed, &run.to_string());
        let late_s = rng.below(self.length().as_secs());
        run.scheduled + Duration::from_secs(late_s)
    }
}
