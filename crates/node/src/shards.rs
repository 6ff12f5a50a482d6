//! One value per worker, or per zone and worker, so that each worker writes only its own.

use crate::ids::ZoneId;
use std::sync::OnceLock;

/// One `T` per worker, each on cache lines of its own.
#[derive(Debug)]
pub struct Shards<T>(Box<[Padded<T>]>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

impl<T: Default> Shards<T> {
    /// One value for each of `workers`, at least one.
    pub fn new(workers: usize) -> Shards<T> {
        Shards((0..workers.max(1)).map(|_| Padded::default()).collect())
    }
}

impl<T> Shards<T> {
    /// The worker's own value.
    #[inline]
    pub fn of(&self, worker: usize) -> &T {
        // The branch avoids a division, which would take longer than all the rest. A worker beyond the last shard
        // shares one.
        let at = if worker < self.0.len() {
            worker
        } else {
            worker % self.0.len()
        };
        &self.0[at].0
    }

    /// The values of all workers.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|shard| &shard.0)
    }
}

/// One `T` per zone that requests arrive in and worker. Zones are added at first use and stay, because readers of
/// counters must not see them decrease.
#[derive(Debug)]
pub struct Zoned<T> {
    workers: usize,
    first: OnceLock<Box<Entry<T>>>,
}

#[derive(Debug)]
struct Entry<T> {
    zone: ZoneId,
    shards: Shards<T>,
    next: OnceLock<Box<Entry<T>>>,
}

impl<T: Default> Zoned<T> {
    /// No zones yet, for `workers` workers.
    pub fn new(workers: usize) -> Zoned<T> {
        Zoned {
            workers,
            first: OnceLock::new(),
        }
    }

    /// All workers' values of that zone. O(zones), which are few.
    #[inline(never)]
    pub fn zone(&self, zone: ZoneId) -> &Shards<T> {
        let mut entry = &self.first;
        loop {
            // Two workers may add a zone at once. The one that loses finds the other's zone here, and goes on along the
            // list.
            let known = entry.get_or_init(|| {
                Box::new(Entry {
                    zone,
                    shards: Shards::new(self.workers),
                    next: OnceLock::new(),
                })
            });
            if known.zone == zone {
                return &known.shards;
            }
            entry = &known.next;
        }
    }

    /// The worker's own value of that zone.
    #[inline]
    pub fn of(&self, zone: ZoneId, worker: usize) -> &T {
        match self.first.get() {
            // The usual case: there is only one zone. All requests pass here.
            Some(first) if first.zone == zone => first.shards.of(worker),
            _ => self.zone(zone).of(worker),
        }
    }
}

impl<T> Zoned<T> {
    /// Each zone used so far, with all workers' values.
    pub fn zones(&self) -> impl Iterator<Item = (ZoneId, &Shards<T>)> {
        let entries = core::iter::successors(self.first.get(), |entry| entry.next.get());
        entries.map(|entry| (entry.zone, &entry.shards))
    }

    /// All values of all zones.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.zones().flat_map(|(_, shards)| shards.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_zone_has_its_own() {
        let zoned = Zoned::<core::cell::Cell<u32>>::new(2);
        assert_eq!(zoned.zones().count(), 0);
        for (zone, worker, value) in [(3, 0, 1), (1, 1, 2), (3, 1, 4)] {
            zoned.of(ZoneId(zone), worker).set(value);
        }
        let found: Vec<(u64, Vec<u32>)> = zoned
            .zones()
            .map(|(zone, shards)| (zone.0, shards.iter().map(core::cell::Cell::get).collect()))
            .collect();
        assert_eq!(found, [(3, vec![1, 4]), (1, vec![0, 2])]);
        assert_eq!(zoned.iter().map(core::cell::Cell::get).sum::<u32>(), 7);
    }
}
