//! Since when messages have waited.

use core::time::Duration;
use forebay_units::Mono;
use std::collections::VecDeque;

/// Messages that arrive within this fraction of the latency form one cohort, as if all had come with the first of them.
const PARTS: u32 = 64;

/// When the visible messages arrived, the oldest first. A queue hands out the oldest first, so the visible ones are
/// those that arrived last. Visible messages beyond the observed arrivals count as being as old as the oldest message.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    came: VecDeque<(Mono, u64)>,
    count: u64,
    /// Number of messages in the queue at the last look.
    there: Option<u64>,
}

/// Messages that arrived together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cohort {
    /// Their age.
    pub(super) age: Duration,
    /// Their number.
    pub(super) count: u64,
}

impl Arrivals {
    /// Records a look: `there` messages in the queue, `visible` of them visible, `deleted` since the last look.
    /// O(cohorts).
    pub(super) fn look(&mut self, now: Mono, there: u64, visible: u64, deleted: u64, latency: Duration) {
        // Messages that were there at the first look arrived at some unknown time before.
        let came = match self.there.replace(there) {
            None => 0,
            Some(before) => (there + deleted).saturating_sub(before),
        };
        if came > 0 {
            let joins = |cohort: &&mut (Mono, u64)| now.since(cohort.0) < latency / PARTS;
            match self.came.back_mut().filter(joins) {
                Some(cohort) => cohort.1 += came,
                None => self.came.push_back((now, came)),
            }
            self.count += came;
        }
        while self.count > visible {
            let Some(first) = self.came.front_mut() else { break };
            let gone = first.1.min(self.count - visible);
            first.1 -= gone;
            self.count -= gone;
            if first.1 == 0 {
                self.came.pop_front();
            }
        }
        // Cohorts past the latency are merged: by how much they are late does not matter.
        while self
            .came
            .get(1)
            .is_some_and(|second| now.since(second.0) > latency)
        {
            let late = self.came.pop_front().map_or(0, |first| first.1);
            if let Some(first) = self.came.front_mut() {
                first.1 += late;
            }
        }
    }

    /// The visible messages, the oldest first. `oldest` is the age of the oldest message in the queue, visible or not.
    pub(super) fn cohorts(&self, now: Mono, visible: u64, oldest: Option<Duration>) -> Vec<Cohort> {
        let unseen = visible.saturating_sub(self.count);
        let first = (unseen > 0).then(|| Cohort {
            age: oldest.unwrap_or_default(),
            count: unseen,
        });
        let seen = self.came.iter().map(|&(came, count)| {
            let age = now.since(came);
            Cohort {
                age: oldest.map_or(age, |oldest| age.min(oldest)),
                count,
            }
        });
        first.into_iter().chain(seen).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LATENCY: Duration = Duration::from_secs(64);

    fn at(seconds: u64) -> Mono {
        Mono::from_millis(seconds * 1000)
    }

    fn ages(arrivals: &Arrivals, second: u64, visible: u64, oldest: u64) -> Vec<(u64, u64)> {
        let cohorts = arrivals.cohorts(at(second), visible, Some(Duration::from_secs(oldest)));
        cohorts
            .iter()
            .map(|cohort| (cohort.age.as_secs(), cohort.count))
            .collect()
    }

    #[test]
    fn those_that_came_last_are_visible() {
        let mut arrivals = Arrivals::default();
        // Ten are there at first, forty seconds old; then five arrive, and six of the ten are received.
        arrivals.look(at(0), 10, 10, 0, LATENCY);
        assert_eq!(ages(&arrivals, 0, 10, 40), [(40, 10)]);
        arrivals.look(at(5), 15, 9, 0, LATENCY);
        assert_eq!(ages(&arrivals, 5, 9, 45), [(45, 4), (0, 5)]);
        // Four are done, three arrive, and two of the five are received.
        arrivals.look(at(8), 14, 6, 4, LATENCY);
        assert_eq!(ages(&arrivals, 8, 6, 48), [(3, 3), (0, 3)]);
        // One is visible again; it is no younger than the oldest message.
        assert_eq!(ages(&arrivals, 8, 7, 48), [(48, 1), (3, 3), (0, 3)]);
    }

    proptest! {
        #[test]
        fn all_that_is_visible_is_told_and_little_is_kept(
            looks in prop::collection::vec((0_u64..50, 0_u64..20, 0_u64..5), 1..400), step in 1_u64..30,
        ) {
            let mut arrivals = Arrivals::default();
            for (look, (visible, in_flight, deleted)) in (0_u64..).zip(looks) {
                let now = Mono::from_millis(look * step * 100);
                arrivals.look(now, visible + in_flight, visible, deleted, LATENCY);
                let cohorts = arrivals.cohorts(now, visible, Some(Duration::from_secs(3600)));
                prop_assert_eq!(cohorts.iter().map(|cohort| cohort.count).sum::<u64>(), visible);
                prop_assert!(cohorts.windows(2).all(|pair| pair[0].age >= pair[1].age));
                prop_assert!(cohorts.len() <= PARTS as usize + 4);
            }
        }
    }
}
