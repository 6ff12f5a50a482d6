//! How many requests may be sent again: a fraction of all requests, plus a floor. So retries help while few targets
//! fail, and do not double the load when all do.

use core::time::Duration;
use forebay_units::Mono;

/// Thousandths of a retry that each request earns: one retry per five requests.
const PER_REQUEST: u64 = 200;
/// Retries earned per second, whatever the load.
const PER_SECOND: u64 = 10;
/// Retries that can be saved up.
const SAVED: u64 = 100;
const RETRY: u64 = 1000;

/// One worker's budget for one target group.
#[derive(Clone, Copy, Debug)]
pub struct RetryBudget {
    /// Thousandths of retries.
    saved: u64,
    /// The time up to which the floor was earned.
    earned: Option<Mono>,
}

impl Default for RetryBudget {
    /// Starts with the retries of one second.
    fn default() -> RetryBudget {
        RetryBudget {
            saved: PER_SECOND * RETRY,
            earned: None,
        }
    }
}

impl RetryBudget {
    /// Adds what one request earns.
    pub fn earn(&mut self) {
        self.saved = (self.saved + PER_REQUEST).min(SAVED * RETRY);
    }

    /// Spends a retry; false if there is none.
    pub fn spend(&mut self, now: Mono) -> bool {
        let since = *self.earned.get_or_insert(now);
        // In whole milliseconds; a remainder is left to be earned later.
        let millis = u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX);
        let earned = millis.saturating_mul(PER_SECOND);
        if earned > 0 {
            self.saved = self.saved.saturating_add(earned).min(SAVED * RETRY);
            self.earned = Some(since + Duration::from_millis(millis));
        }
        let affordable = self.saved >= RETRY;
        if affordable {
            self.saved -= RETRY;
        }
        affordable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_fifth_of_many_and_ten_a_second_of_few() {
        let mut budget = RetryBudget::default();
        let mut retries = 0;
        for request in 0..10_000_u64 {
            budget.earn();
            retries += u64::from(budget.spend(Mono::from_millis(request)));
        }
        // 10 to begin with, 2,000 of 10,000 requests, and 10 for each of 10 seconds.
        assert!((2_100..=2_110).contains(&retries), "{retries}");
        let mut budget = RetryBudget::default();
        let retries = (0..1_000_u64)
            .filter(|&ms| budget.spend(Mono::from_millis(ms)))
            .count();
        assert!((19..=20).contains(&retries), "{retries}");
    }

    proptest! {
        #[test]
        fn never_more_than_was_earned(steps in proptest::collection::vec((0_u64..50, any::<bool>()), 0..500)) {
            let mut budget = RetryBudget::default();
            let (mut now, mut requests, mut retries) = (0, 0, 0);
            for (gap, request) in steps {
                now += gap;
                if request {
                    requests += 1;
                    budget.earn();
                } else {
                    retries += u64::from(budget.spend(Mono::from_millis(now)));
                }
            }
            prop_assert!(retries * 1000 <= 10_000 + requests * 200 + now * 10);
        }
    }
}
