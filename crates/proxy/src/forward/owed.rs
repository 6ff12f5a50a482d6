//! The minimum rate at which a client must send its body, where its load balancer demands one.

use forebay_units::Mono;
use std::time::Duration;

/// How far a client may fall behind: the longest silence allowed, and the most credit that a faster client can build up.
const GRACE: Duration = Duration::from_secs(5);

/// The time by which the next bytes are owed. Each byte moves it forward by that byte's time at the minimum rate, but never
/// beyond one grace from now: only the last seconds count, so a fast start does not pay for a stall.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owed {
    /// Minimum rate in bytes per second; 0 for none.
    rate: u32,
    due: Mono,
    /// Bytes that had come at the last observation.
    came: u64,
    /// The client was being waited for at the last observation.
    waited: bool,
}

impl Owed {
    pub(super) fn new(rate: u32) -> Owed {
        Owed {
            rate,
            due: Mono::NEVER,
            came: 0,
            waited: false,
        }
    }

    /// Notes that `came` bytes have come in all. `waits`: the request waits for the client and not for its target, whose
    /// slowness is not the client's fault.
    pub(super) fn observe(&mut self, now: Mono, came: u64, waits: bool) {
        if self.rate == 0 {
            return;
        }
        let latest = now + GRACE;
        self.due = match (self.waited, waits) {
            (_, false) => Mono::NEVER,
            (false, true) => latest,
            (true, true) => {
                let bought = (came - self.came).saturating_mul(1_000_000_000) / u64::from(self.rate);
                latest.min(self.due + Duration::from_nanos(bought))
            }
        };
        (self.waited, self.came) = (waits, came);
    }

    /// Whether a minimum rate is set.
    pub(super) fn is_asked(&self) -> bool {
        self.rate > 0
    }

    /// When the wait for the client ends; never if it is not being waited for.
    pub(super) fn due(&self) -> Mono {
        self.due
    }

    /// Whether the client has fallen behind.
    pub(super) fn is_late(&self, now: Mono) -> bool {
        self.due <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Second at which a client that sends `piece` bytes every `pause` ms is late, within the first 60.
    fn late_after(rate: u32, piece: u64, pause: u64) -> Option<u64> {
        let mut owed = Owed::new(rate);
        owed.observe(Mono::ZERO, 0, true);
        (1..=60_000 / pause).find_map(|turn| {
            let now = Mono::from_millis(turn * pause);
            let late = owed.is_late(now);
            owed.observe(now, turn * piece, true);
            late.then_some(turn * pause / 1000)
        })
    }

    #[test]
    fn whoever_keeps_the_rate_is_never_late() {
        assert_eq!(late_after(100, 100, 1000), None);
        assert_eq!(late_after(100, 400, 4000), None);
        assert_eq!(late_after(100, 1, 10), None);
        assert_eq!(late_after(100, 0, 1000), Some(5));
        assert_eq!(late_after(100, 1, 1000), Some(6));
        assert_eq!(late_after(100, 50, 1000), Some(9));
        // A pause longer than the grace cannot be made up for by earlier bytes.
        assert_eq!(late_after(100, 10_000, 6000), Some(6));
    }

    #[test]
    fn a_slow_target_is_not_the_clients_fault() {
        let mut owed = Owed::new(100);
        owed.observe(Mono::ZERO, 0, true);
        owed.observe(Mono::from_millis(4_900), 10, false);
        assert_eq!(owed.due(), Mono::NEVER);
        owed.observe(Mono::from_millis(90_000), 10, true);
        assert!(!owed.is_late(Mono::from_millis(94_999)) && owed.is_late(Mono::from_millis(95_000)));
    }
}
