//! The delays of the permit issuer.

use core::time::Duration;

/// How long a node may take to give a recalled permit back before it is revoked. A live node answers at once.
pub const GRACE: Duration = Duration::from_millis(20);

/// The upper bound of the grace for a node whose answers all take long (up to about 100 ms each way).
pub(super) const LONGEST_GRACE: Duration = Duration::from_millis(320);

/// A node with waiting requests uses a permit at once, so a permit that is out longer than this is recalled from it.
pub(super) const YOUNG: Duration = Duration::from_millis(5);

/// How soon a free slot is granted to a node that is short of permits. The delay lets slots that end together go in one
/// message.
pub(super) const SOON: Duration = Duration::from_millis(2);

/// How soon a free slot is granted if no node is short: a message per slot would cost half as much as a request.
pub(super) const LATER: Duration = Duration::from_millis(250);
