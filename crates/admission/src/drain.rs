//! How quickly those who wait get slots: two estimates, of which the more hopeful one counts.
//!
//! A refusal at the door must not be wrong: so one is the rate at which slots were seen to come free while someone waited,
//! the other is slots over the mean time that a request holds one; whoever would wait too long by both is refused.

use core::time::Duration;
use forebay_units::Mono;

/// What was seen this long ago counts about a third.
const MEMORY: f64 = 10.0;
/// What was seen before a quiet time of this length counts no more.
const STALE: Duration = Duration::from_secs(60);
/// The mean goes over about so many requests.
const REQUESTS: u32 = 64;

#[derive(Debug, Default)]
pub(crate) struct Drain {
    /// Requests that were drained, and seconds in which someone waited: both decayed.
    drained: f64,
    seconds: f64,
    /// Until when `seconds` counts.
    last: Mono,
    /// Mean seconds that a request holds a slot, of so many.
    holds: f64,
    samples: u32,
}

impl Drain {
    /// Time went on; all the while someone waited, or nobody did.
    pub(crate) fn advance(&mut self, now: Mono, waited: bool) {
        let past = now.since(self.last);
        self.last = self.last.max(now);
        if waited {
            let past = past.as_secs_f64();
            let decay = if past < 0.01 {
                1.0 - past / MEMORY
            } else {
                (-past / MEMORY).exp()
            };
            self.drained *= decay;
            self.seconds = self.seconds * decay + MEMORY * (1.0 - decay);
        } else if past > STALE {
            (self.drained, self.seconds) = (0.0, 0.0);
        }
    }

    /// One that waited got a slot.
    pub(crate) fn drained(&mut self) {
        self.drained += 1.0;
    }

    /// A request held its slot for so long.
    pub(crate) fn held(&mut self, took: Duration) {
        self.samples = (self.samples + 1).min(REQUESTS);
        self.holds += (took.as_secs_f64() - self.holds) / f64::from(self.samples);
    }

    /// Requests a second; none if there is nothing to tell it from.
    pub(crate) fn rate(&self, slots: u64) -> Option<f64> {
        let seen = (self.drained > 0.0 && self.seconds > 0.0).then(|| self.drained / self.seconds);
        let told = (self.samples > 0 && slots > 0).then(|| slots as f64 / self.holds.max(1e-6));
        match (seen, told) {
            (Some(seen), Some(told)) => Some(seen.max(told)),
            (seen, told) => seen.or(told),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_that_of_the_backlog() {
        let mut drain = Drain::default();
        assert_eq!(drain.rate(4), None);
        // Four a second for 30 s, someone always waits; then an idle half minute, which counts nothing.
        for step in 1..=120 {
            drain.advance(Mono::from_millis(step * 250), true);
            drain.drained();
        }
        drain.advance(Mono::from_millis(60_000), false);
        let rate = drain.rate(4).unwrap();
        assert!((rate - 4.0).abs() < 0.2, "{rate}");
        drain.advance(Mono::from_millis(200_000), false);
        assert_eq!(drain.rate(4), None);
    }

    #[test]
    fn slots_over_the_time_that_requests_hold_them() {
        let mut drain = Drain::default();
        (0..100).for_each(|_| drain.held(Duration::from_millis(500)));
        assert!((drain.rate(2).unwrap() - 4.0).abs() < 1e-9);
        assert_eq!(drain.rate(0), None);
    }
}
