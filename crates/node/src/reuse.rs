//! When a pooled connection to a target may carry a request.
//!
//! A target closes connections that were idle for some time, which it does not announce. A request sent at that moment
//! is lost, and nobody can know whether it was processed. So each worker learns at what idle age a target closes
//! connections, and a request that must not be sent twice uses only connections that are clearly younger.

use core::time::Duration;
use forebay_units::Mono;

/// Connections closed before this age point to a restart, not to an idle timeout.
const SHORTEST_PLAUSIBLE: Duration = Duration::from_millis(500);
/// How long a learned age is used.
const BELIEVED: Duration = Duration::from_secs(600);
/// The limit until something is learned: below the shortest default of common servers (gunicorn's 2 s).
const UNKNOWN_LIMIT: Duration = Duration::from_millis(1500);

/// The pooled connections that a request may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Any that is not known to be closed, because the request may be sent again.
    Any,
    /// Only those idle for less than `KeepAlive::safe_age`, because the request must not be sent twice.
    Careful,
    /// None; open a new one.
    Never,
}

/// A worker's knowledge of one target's idle timeout.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepAlive {
    shortest: Option<(Duration, Mono)>,
}

impl KeepAlive {
    /// Records that the target had closed a pooled connection after this idle time.
    pub fn closed_after(&mut self, idle: Duration, now: Mono) {
        // A longer idle time proves nothing: the connection may have been closed long before it was looked at.
        if idle >= SHORTEST_PLAUSIBLE && self.shortest(now).is_none_or(|known| idle <= known) {
            self.shortest = Some((idle, now));
        }
    }

    fn shortest(&self, now: Mono) -> Option<Duration> {
        self.shortest
            .and_then(|(idle, at)| (now.since(at) < BELIEVED).then_some(idle))
    }

    /// The idle age from which a connection is not used for a request that must not be sent twice: half of the learned
    /// age, since closes are noticed late.
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
