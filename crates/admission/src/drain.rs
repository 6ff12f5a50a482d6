//! Estimates how quickly waiting requests get slots. There are two estimates, and the more optimistic one counts.
//!
//! A request must not be refused on a wrong prediction. So one estimate is the rate at which slots came free while
//! requests waited, and the other is the number of slots over the mean time that a request holds one. A request is
//! refused only if it would wait too long by both.

use core::time::Duration;
use forebay_units::Mono;

/// Time constant of the decay, in seconds: what is this old counts for about a third.
const MEMORY: f64 = 10.0;
/// After a period of this length without waiting requests, what was measured before it is dropped.
const STALE: Duration = Duration::from_secs(60);
/// Number of requests that the mean hold time goes over.
const REQUESTS: u32 = 64;

#[derive(Debug, Default)]
pub(crate) struct Drain {
    /// Requests that got a slot after a wait, and the seconds during which any request waited. Both decay.
    drained: f64,
    seconds: f64,
    /// The time up to which `seconds` has been counted.
    last: Mono,
    /// Mean time in seconds that a request holds a slot, over `samples` requests.
    holds: f64,
    samples: u32,
}

impl Drain {
    /// Moves the clock on. `waited` says whether any request waited during all of the time since the last call.
    pub(crate) fn advance(&mut self, now: Mono, waited: bool) {
        let past = now.since(self.last);
        self.last = self.last.max(now);
        if waited {
            let past = past.as_secs_f64();
            // Below 10 ms the linear term is exact enough, and it saves an `exp` on each arrival.
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

    /// Counts one waiting request that got a slot.
    pub(crate) fn drained(&mut self) {
        self.drained += 1.0;
    }

    /// Counts one request that held its slot for `took`.
    pub(crate) fn held(&mut self, took: Duration) {
        self.samples = (self.samples + 1).min(REQUESTS);
        self.holds += (took.as_secs_f64() - self.holds) / f64::from(self.samples);
    }

    /// Requests a second that get slots, or `None` if nothing was measured.
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
        // Four a second for 30 s with requests waiting all the time, then half an idle minute, which counts nothing.
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
