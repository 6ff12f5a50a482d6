//! When instances first asked for messages, and so how long workers take from being in service to work: an instance is in service once its process
//! has been started. Known of instances that call with the keys of their profile, and in memory only.

use forebay_control::autoscaling::backlogs::Serving;
use forebay_units::Wall;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Instances that are remembered; of more, nothing is measured.
const MOST: usize = 100_000;
/// What is kept of a group, as of start-ups.
const KEPT: usize = 100;

/// When each instance first asked.
#[derive(Debug, Default)]
pub(crate) struct FirstReceives(Mutex<BTreeMap<String, Instant>>);

impl FirstReceives {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An instance asks for messages. Whether it is its first time.
    pub(crate) fn asks(&self, instance: &str, now: Instant) -> bool {
        let mut all = self.all();
        if all.contains_key(instance) || all.len() >= MOST {
            return false;
        }
        all.insert(instance.to_owned(), now);
        true
    }

    /// Forgets instances that have ended.
    pub(crate) fn retain(&self, lives: impl Fn(&str) -> bool) {
        self.all().retain(|id, _| lives(id));
    }

    /// How long ago it first asked; none if it has not.
    pub(crate) fn age(&self, instance: &str, now: Instant) -> Option<Duration> {
        let asked = self.all().get(instance).copied();
        asked.map(|asked| now.saturating_duration_since(asked))
    }
}

/// How long a group's instances took to ask, from being in service.
#[derive(Debug, Default)]
pub(crate) struct Latecomers {
    counted: BTreeSet<String>,
    late: VecDeque<Duration>,
}

impl Latecomers {
    /// Looks at the instances in service. Those that were so before `since` may have asked before anyone listened.
    pub(crate) fn look(
        &mut self,
        serving: &[Serving],
        first: &FirstReceives,
        since: Wall,
        now: (Instant, Wall),
    ) {
        if self.counted.len() > serving.len() {
            let ids: BTreeSet<&str> = serving.iter().map(|one| &*one.id).collect();
            self.counted.retain(|id| ids.contains(&**id));
        }
        for one in serving.iter().filter(|one| one.ready >= since) {
            if self.counted.contains(&one.id) {
                continue;
            }
            if let Some(age) = first.age(&one.id, now.0) {
                self.counted.insert(one.id.clone());
                self.late.push_back(now.1.since(one.ready).saturating_sub(age));
                if self.late.len() > KEPT {
                    self.late.pop_front();
                }
            }
        }
    }

    /// The 99th percentile; none if nobody has asked.
    pub(crate) fn late(&self) -> Option<Duration> {
        let mut sorted: Vec<Duration> = self.late.iter().copied().collect();
        sorted.sort_unstable();
        let place = (sorted.len() * 99).div_ceil(100);
        sorted.get(place.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serving(id: &str, ready: i64) -> Serving {
        Serving {
            id: id.to_owned(),
            units: 1,
            ready: Wall::from_seconds(ready),
        }
    }

    #[test]
    fn each_instance_counts_once_by_its_first_receive() {
        let (first, mut latecomers) = (FirstReceives::default(), Latecomers::default());
        let (since, began) = (Wall::from_seconds(100), Instant::now());
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        let now = |seconds: u64| (at(seconds), Wall::from_seconds(seconds as i64));
        let members = [serving("i-old", 50), serving("i-1", 110), serving("i-2", 111)];
        latecomers.look(&members, &first, since, now(111));
        assert_eq!(latecomers.late(), None);
        for (id, second) in [("i-old", 112), ("i-1", 112), ("i-1", 119), ("i-2", 118)] {
            assert_eq!(first.asks(id, at(second)), second != 119);
        }
        latecomers.look(&members, &first, since, now(120));
        latecomers.look(&members, &first, since, now(121));
        assert_eq!(latecomers.late, [2, 7].map(Duration::from_secs));
        assert_eq!(latecomers.late(), Some(Duration::from_secs(7)));
        first.retain(|id| id == "i-2");
        latecomers.look(&members[2..], &first, since, now(122));
        assert_eq!(latecomers.counted.len(), 1);
        // What was learnt stays.
        assert_eq!(latecomers.late(), Some(Duration::from_secs(7)));
        // Who asks before it is seen to be in service is not late.
        first.asks("i-3", at(120));
        latecomers.look(&[serving("i-3", 121)], &first, since, now(123));
        assert_eq!(latecomers.late.back(), Some(&Duration::ZERO));
    }
}
