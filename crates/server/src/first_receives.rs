//! When each instance first asked for messages, and from that the time that workers take from being in service to working:
//! an instance is in service as soon as its process was started. Known only for instances that call with the keys of their
//! profile.

use forebay_control::autoscaling::backlogs::Serving;
use forebay_units::Wall;
use forebay_units::lock::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Most instances that are remembered; further ones are not measured.
const MOST: usize = 100_000;

/// When each instance first asked.
#[derive(Debug, Default)]
pub(crate) struct FirstReceives(Mutex<BTreeMap<String, Instant>>);

impl FirstReceives {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        lock(&self.0)
    }

    /// Notes that an instance asks for messages; returns whether it is the first time.
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

/// The instances of a group whose first receive was counted.
#[derive(Debug, Default)]
pub(crate) struct Counted(BTreeSet<String>);

impl Counted {
    /// The instances in service that have asked since the last look, and how long after being in service they did.
    /// Instances in service before `since` are left out: they may have asked before receives were observed.
    pub(crate) fn look(
        &mut self,
        serving: &[Serving],
        first: &FirstReceives,
        since: Wall,
        now: (Instant, Wall),
    ) -> Vec<(String, Duration)> {
        if self.0.len() > serving.len() {
            let ids: BTreeSet<&str> = serving.iter().map(|one| &*one.id).collect();
            self.0.retain(|id| ids.contains(&**id));
        }
        let mut found = Vec::new();
        for one in serving.iter().filter(|one| one.ready >= since) {
            if self.0.contains(&one.id) {
                continue;
            }
            if let Some(age) = first.age(&one.id, now.0) {
                self.0.insert(one.id.clone());
                found.push((one.id.clone(), now.1.since(one.ready).saturating_sub(age)));
            }
        }
        found
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
        let (first, mut counted) = (FirstReceives::default(), Counted::default());
        let (since, began) = (Wall::from_seconds(100), Instant::now());
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        let now = |seconds: u64| (at(seconds), Wall::from_seconds(seconds as i64));
        let members = [serving("i-old", 50), serving("i-1", 110), serving("i-2", 111)];
        assert!(counted.look(&members, &first, since, now(111)).is_empty());
        for (id, second) in [("i-old", 112), ("i-1", 112), ("i-1", 119), ("i-2", 118)] {
            assert_eq!(first.asks(id, at(second)), second != 119);
        }
        let late = |id: &str, seconds| (id.to_owned(), Duration::from_secs(seconds));
        let found = counted.look(&members, &first, since, now(120));
        assert_eq!(found, [late("i-1", 2), late("i-2", 7)]);
        assert!(counted.look(&members, &first, since, now(121)).is_empty());
        first.retain(|id| id == "i-2");
        assert!(counted.look(&members[2..], &first, since, now(122)).is_empty());
        assert_eq!(counted.0.len(), 1);
        // An instance that asks before it is seen to be in service is not late.
        first.asks("i-3", at(120));
        let found = counted.look(&[serving("i-3", 121)], &first, since, now(123));
        assert_eq!(found, [late("i-3", 0)]);
    }
}
