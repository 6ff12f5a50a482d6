//! Launches that fail: when the next is tried, and when somebody should look at it.

use core::time::Duration;
use forebay_units::Wall;

/// How long is waited after failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure; after each that follows, twice as long.
    pub first: Duration,
    /// At most so long.
    pub most: Duration,
    /// After so many in a row, somebody should know.
    pub alarming: u32,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            first: Duration::from_secs(1),
            most: Duration::from_secs(60),
            alarming: 5,
        }
    }
}

/// Launches that failed in a row. A success makes it [`Failures::default`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// When the last of them failed.
    pub last: Wall,
}

impl Failures {
    /// These and one more.
    #[must_use]
    pub fn and_one(self, now: Wall) -> Failures {
        Failures {
            count: self.count.saturating_add(1),
            last: now,
        }
    }
}

impl Backoff {
    /// How long is waited after so many failures in a row.
    pub fn delay(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.most)
    }

    /// When the next launch may be tried. A time that has passed if nothing has failed.
    pub fn next_try(&self, failures: &Failures) -> Wall {
        failures.last + self.delay(failures.count)
    }

    /// Whether this failure is the one that somebody should hear of: once for each row of failures, and again each time that as many more
    /// have failed.
    pub fn is_alarming(&self, failures: u32) -> bool {
        failures > 0 && failures.is_multiple_of(self.alarming.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let backoff = Backoff::default();
        for (failures, seconds) in [
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 4),
            (6, 32),
            (7, 60),
            (100, 60),
            (u32::MAX, 60),
        ] {
            assert_eq!(
                backoff.delay(failures),
                Duration::from_secs(seconds),
                "{failures}"
            );
        }
    }

    #[test]
    fn a_success_forgets_what_failed() {
        let backoff = Backoff::default();
        let failed = Failures::default()
            .and_one(Wall::from_seconds(100))
            .and_one(Wall::from_seconds(110));
        assert_eq!(backoff.next_try(&failed), Wall::from_seconds(112));
        assert_eq!(backoff.next_try(&Failures::default()), Wall::default());
    }

    #[test]
    fn somebody_hears_of_every_fifth() {
        let backoff = Backoff::default();
        let heard: Vec<u32> = (0..16).filter(|&count| backoff.is_alarming(count)).collect();
        assert_eq!(heard, [5, 10, 15]);
    }

    proptest! {
        /// More failures never mean a shorter wait, and none is longer than the longest.
        #[test]
        fn delays_grow(one in any::<u32>(), other in any::<u32>()) {
            let backoff = Backoff::default();
            let (less, more) = (one.min(other), one.max(other));
            prop_assert!(backoff.delay(less) <= backoff.delay(more));
            prop_assert!(backoff.delay(more) <= backoff.most);
        }
    }
}
