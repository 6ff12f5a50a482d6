//! How long those who feed functions wait.

use std::time::Duration;

/// For messages to come, in one receive.
pub(super) const WAIT: Duration = Duration::from_secs(20);
/// After what could not be asked.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
