//! The wall clock of this crate: the one place that reads it.

use forebay_units::Wall;
use std::time::{SystemTime, UNIX_EPOCH};

/// What it says now.
pub(crate) fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
