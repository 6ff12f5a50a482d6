//! Since when messages have been in flight.

use core::time::Duration;
use forebay_units::Mono;
use std::collections::VecDeque;

/// Number of moments kept apart; older ones are merged.
const MOMENTS: usize = 256;

/// When the messages in flight were received, the oldest first. A message received and deleted between two looks shows
/// only by its delete.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight {
    received: VecDeque<(Mono, u64)>,
    count: u64,
}

impl InFlight {
    /// Records a look: `in_flight` messages are in flight, and those in `deleted` were deleted since the last look,
    /// each this long after its receive. O(deleted + moments).
    pub(super) fn look(&mut self, now: Mono, in_flight: u64, deleted: &[Duration]) {
        for &took in deleted {
            self.remove_near(Mono(now.0.saturating_sub(took.as_nanos() as u64)));
        }
        if in_flight > self.count {
            self.received.push_back((now, in_flight - self.count));
            self.count = in_flight;
        }
        // A message that became visible again is one that was received longest ago.
        while self.count > in_flight {
            let Some(first) = self.received.front_mut() else {
                break;
            };
            let gone = first.1.min(self.count - in_flight);
            first.1 -= gone;
            self.count -= gone;
            if first.1 == 0 {
                self.received.pop_front();
            }
        }
        while self.received.len() > MOMENTS {
            let Some((_, older)) = self.received.pop_front() else {
                break;
            };
            if let Some(first) = self.received.front_mut() {
                first.1 += older;
            }
        }
    }

    /// Removes one message that was received at about this time.
    fn remove_near(&mut self, at: Mono) {
        let after = self.received.partition_point(|moment| moment.0 <= at);
        let distance = |place: usize| self.received.get(place).map(|moment| moment.0.0.abs_diff(at.0));
        let before = after.checked_sub(1);
        let place = match (before.and_then(distance), distance(after)) {
            (Some(one), Some(other)) if other < one => after,
            (None, Some(_)) => after,
            (Some(_), _) => after - 1,
            (None, None) => return,
        };
        self.count -= 1;
        self.received[place].1 -= 1;
        if self.received[place].1 == 0 {
            self.received.remove(place);
        }
    }

    /// How long the messages have been in flight, with their numbers, the newest first.
    pub(super) fn ages(&self, now: Mono) -> impl Iterator<Item = (Duration, u64)> {
        let newest = self.received.iter().rev();
        newest.map(move |&(received, count)| (now.since(received), count))
    }

    /// The time in seconds that half of them have been in flight at least, which is a lower bound of the processing
    /// time. Zero if none are.
    pub(super) fn median(&self, now: Mono) -> f64 {
        let mut rest = self.count.div_ceil(2);
        for (age, count) in self.ages(now) {
            if count >= rest {
                return age.as_secs_f64();
            }
            rest -= count;
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_millis(seconds * 1000)
    }

    #[test]
    fn who_is_deleted_is_who_was_received_then() {
        let mut known = InFlight::default();
        known.look(at(0), 2, &[]);
        known.look(at(10), 5, &[]);
        assert!((known.median(at(20)) - 10.0).abs() < 1e-9);
        // One of the first two is deleted after 20 seconds, and another is received.
        known.look(at(20), 5, &[Duration::from_secs(20)]);
        let ages: Vec<_> = known
            .ages(at(20))
            .map(|(age, count)| (age.as_secs(), count))
            .collect();
        assert_eq!(ages, [(0, 1), (10, 3), (20, 1)]);
        // Two are visible again: the oldest.
        known.look(at(21), 3, &[]);
        let ages: Vec<_> = known
            .ages(at(21))
            .map(|(age, count)| (age.as_secs(), count))
            .collect();
        assert_eq!(ages, [(1, 1), (11, 2)]);
        known.look(at(30), 0, &[]);
        assert!(known.median(at(30)) <= 0.0);
    }

    proptest! {
        #[test]
        fn as_many_are_known_as_are_in_flight(looks in prop::collection::vec((0_u64..50, 0_u64..5), 1..600)) {
            let mut known = InFlight::default();
            for (second, (in_flight, deleted)) in (0_u64..).zip(looks) {
                let deleted = vec![Duration::from_secs(second / 2); deleted as usize];
                known.look(at(second), in_flight, &deleted);
                prop_assert_eq!(known.ages(at(second)).map(|age| age.1).sum::<u64>(), in_flight);
                prop_assert_eq!(known.count, in_flight);
                prop_assert!(known.received.len() <= MOMENTS);
            }
        }
    }
}
