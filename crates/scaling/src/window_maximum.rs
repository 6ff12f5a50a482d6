//! The maximum over a sliding window of time.

use core::time::Duration;
use forebay_units::Mono;
use std::collections::VecDeque;

/// Values that no later one has exceeded, the greatest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct WindowMaximum {
    values: VecDeque<(Mono, f64)>,
    began: Option<Mono>,
}

impl WindowMaximum {
    /// Adds a value. Returns the greatest of the last `window`, or `None` if values have been added for less than that.
    pub(crate) fn put(&mut self, now: Mono, value: f64, window: Duration) -> Option<f64> {
        while self.values.back().is_some_and(|(_, known)| *known <= value) {
            self.values.pop_back();
        }
        self.values.push_back((now, value));
        while self.values.front().is_some_and(|(at, _)| now.since(*at) > window) {
            self.values.pop_front();
        }
        let began = *self.began.get_or_insert(now);
        let greatest = self.values.front().map(|(_, value)| *value);
        greatest.filter(|_| now.since(began) >= window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_that_of_all_values_of_the_window(values in prop::collection::vec(0_u32..50, 1..200), window in 1_u64..40) {
            let mut greatest = WindowMaximum::default();
            for (now, value) in (0_u64..).zip(&values) {
                let found = greatest.put(Mono::from_millis(now), f64::from(*value), Duration::from_millis(window));
                let from = now.saturating_sub(window) as usize;
                let expected = values[from..=now as usize].iter().max().map(|value| f64::from(*value));
                prop_assert_eq!(found, expected.filter(|_| now >= window));
            }
        }
    }
}
