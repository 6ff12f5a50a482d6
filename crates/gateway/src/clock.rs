//! The wall clock of this crate; it is read only here.

use forebay_units::Wall;
use std::time::{SystemTime, UNIX_EPOCH};

/// The current time.
pub(crate) fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
