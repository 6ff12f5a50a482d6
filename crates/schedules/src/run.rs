//! A run: one scheduled time of a schedule, which happens once.

use core::fmt;
use forebay_units::Wall;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The permanent identity of a run: the schedule and the scheduled time. A journal that accepts each once ensures that
/// each run happens once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// The schedule's ARN, or another name for it.
    pub schedule: Arc<str>,
    /// The scheduled time, in whole seconds.
    pub scheduled: Wall,
}

impl fmt::Display for RunId {
    /// `ARN@2026-11-29T12:00:00Z`. The time comes last and contains no `@`, so two runs never have the same text.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_microsecond(self.scheduled.0) {
            Ok(at) => write!(out, "{}@{at}", self.schedule),
            Err(_) => write!(out, "{}@{}", self.schedule, self.scheduled.0),
        }
    }
}

/// Why a run is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunReason {
    /// Its time has come.
    OnTime,
    /// It is the latest of the runs that were missed while nobody looked.
    CaughtUp,
}

/// A run that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its identity.
    pub id: RunId,
    /// When it was to begin: in its window, or at its scheduled time.
    pub begins: Wall,
    /// Why it is due.
    pub reason: RunReason,
}
