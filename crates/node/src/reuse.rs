//! When a pooled connection to a target may carry a request.
//!
//! A target closes connections that were idle for some time it does not tell. A request sent at that moment is lost,
//! and nobody can know whether it was processed. So each worker learns at what idle age a target closes, and a
//! request that must not be sent twice uses only connections that are clearly younger.

use core::time::Duration;
use forebay_units::Mono;

/// Closes before this age are restarts, not idle timeouts.
const SHORTEST_PLAUSIBLE: Duration = Duration::from_millis(500);
/// What was learned is believed this long.
const BELIEVED: Duration = Duration::from_secs(600);
/// Until something is learned: below the shortest default of common servers (gunicorn's 2 s).
const UNKNOWN_LIMIT: Duration = Duration::from_millis(1500);

/// Which pooled connections a request may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Any that is not known to be closed: the request may be sent again.
    Any,
    /// Only what was idle for less than `KeepAlive::safe_age`: the request must not be sent twice.
    Careful,
    /// None: a fresh one.
    Never,
}

/// What a worker has learned of one target's idle timeout.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepAlive {
    shortest: Option<(Duration, Mono)>,
}

impl KeepAlive {
    /// A pooled connection was found closed by the target after this time of idleness.
    pub fn closed_after(&mut self, idle: Duration, now: Mono) {
        if idle >= SHORTEST_PLAUSIBLE && self.shortest(now).is_none_or(|known| idle <= known) {
            self.shortest = Some((idle, now));
        }
    }

    fn shortest(&self, now: Mono) -> Option<Duration> {
        self.shortest
            .and_then(|(idle, at)| (now.since(at) < BELIEVED).then_some(idle))
    }

    /// Idle age from which a connection is not used for a request that must not be sent twice: half of what was
    /// learned, since ages are seen late by up to the time between two looks.
    pub fn safe_age(&self, now: Mono) -> Duration {
        self.shortest(now).map_or(UNKNOWN_LIMIT, |known| known / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learns_the_shortest_and_forgets() {
        let mut keep_alive = KeepAlive::default();
        let at = Mono::from_millis;
        assert_eq!(keep_alive.safe_age(at(0)), UNKNOWN_LIMIT);
        keep_alive.closed_after(Duration::from_millis(20), at(1));
        assert_eq!(keep_alive.safe_age(at(1)), UNKNOWN_LIMIT);
        keep_alive.closed_after(Duration::from_secs(5), at(2));
        keep_alive.closed_after(Duration::from_secs(9), at(3));
        assert_eq!(keep_alive.safe_age(at(3)), Duration::from_millis(2500));
        assert_eq!(keep_alive.safe_age(at(700_000)), UNKNOWN_LIMIT);
    }
}
