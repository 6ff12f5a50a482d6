//! The least rate at which a client must send its body, where its load balancer asks for one.

use forebay_units::Mono;
use std::time::Duration;

/// What a client may fall behind: so long may it say nothing, and so far may it save up by being quicker than asked.
const GRACE: Duration = Duration::from_secs(5);

/// By when the next bytes are owed. Each byte puts that off by its time at the least rate, but never further than a grace
/// from now: what is counted is the last seconds, not what came at first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owed {
    /// Bytes a second; 0 for no bound.
    rate: u32,
    due: Mono,
    /// Bytes that had come when it was last looked.
    came: u64,
    /// The client was waited for.
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

    /// Takes note that `came` bytes are there in all. `waits`: for the client, not for its target, whose slowness is not the
    /// client's.
    pub(super) fn request_log(&mut self, now: Mono, came: u64, waits: bool) {
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

    /// Whether a rate is asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.rate > 0
    }

    /// When the wait for the client ends; never if there is none.
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

    /// Seconds until a client that sends `piece` bytes each `pause` ms is late, of 60.
    fn late_after(rate: u32, piece: u64, pause: u64) -> Option<u64> {
        let mut owed = Owed::new(rate);
        owed.request_log(Mono::ZERO, 0, true);
        (1..=60_000 / pause).find_map(|turn| {
            let now = Mono::from_millis(turn * pause);
            let late = owed.is_late(now);
            owed.request_log(now, turn * piece, true);
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
        // A pause longer than the grace can't be made good by what came before it.
        assert_eq!(late_after(100, 10_000, 6000), Some(6));
    }

    #[test]
    fn a_slow_target_is_not_the_clients_fault() {
        let mut owed = Owed::new(100);
        owed.request_log(Mono::ZERO, 0, true);
        owed.request_log(Mono::from_millis(4_900), 10, false);
        assert_eq!(owed.due(), Mono::NEVER);
        owed.request_log(Mono::from_millis(90_000), 10, true);
        assert!(!owed.is_late(Mono::from_millis(94_999)) && owed.is_late(Mono::from_millis(95_000)));
    }
}
