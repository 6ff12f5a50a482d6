//! Waiting times of those who feed functions.

use std::time::Duration;

/// How long one receive waits for messages.
pub(super) const WAIT: Duration = Duration::from_secs(20);
/// Pause after a receive that failed.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
