//! How long the next launch waits after launches that failed.

use core::time::Duration;

/// Delays after failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after the first failure; it doubles with each further one.
    pub first: Duration,
    /// The longest delay.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            first: Duration::from_secs(1),
            most: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The delay after this many failures in a row.
    pub fn delay(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.most)
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

    proptest! {
        /// More failures never mean a shorter delay, and none exceeds the longest.
        #[test]
        fn delays_grow(one in any::<u32>(), other in any::<u32>()) {
            let backoff = Backoff::default();
            let (less, more) = (one.min(other), one.max(other));
            prop_assert!(backoff.delay(less) <= backoff.delay(more));
            prop_assert!(backoff.delay(more) <= backoff.most);
        }
    }
}
