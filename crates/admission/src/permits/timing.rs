//! How long what may take.

use core::time::Duration;

/// How long a node may take to give a recalled permit back before it is revoked. A live node answers at once.
pub const GRACE: Duration = Duration::from_millis(20);

/// What the grace may grow to for a node whose answers all take long (a way of 100 ms each direction).
pub(super) const LONGEST_GRACE: Duration = Duration::from_millis(320);

/// A node that waits uses a permit at once: one that is out for longer than this is asked back.
pub(super) const YOUNG: Duration = Duration::from_millis(5);

/// What became free is granted within this time if its node is short of permits, so that what ends together goes together.
pub(super) const SOON: Duration = Duration::from_millis(2);

/// And within this time if no node is short of any: telling nodes of each slot would cost as much as half of a request.
pub(super) const LATER: Duration = Duration::from_millis(250);
