//! One of a thing for each worker, and for each zone and worker: who counts writes only its own.

use crate::ids::ZoneId;
use std::sync::OnceLock;

/// One `T` per worker, each on cache lines of its own.
#[derive(Debug)]
pub struct Shards<T>(Box<[Padded<T>]>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

impl<T: Default> Shards<T> {
    /// One for each of `workers`; at least one.
    pub fn new(workers: usize) -> Shards<T> {
        Shards((0..workers.max(1)).map(|_| Padded::default()).collect())
    }
}

impl<T> Shards<T> {
    /// That worker's own.
    #[inline]
    pub fn of(&self, worker: usize) -> &T {
        // A division takes longer than all the rest; who has no shard of its own shares one.
        let at = if worker < self.0.len() {
            worker
        } else {
            worker % self.0.len()
        };
        &self.0[at].0
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|shard| &shard.0)
    }
}

/// One `T` per zone that requests come by and worker. Zones are added when they are first asked for, and stay: readers of counters
/// must not see them go back.
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
    /// None yet, for this many workers.
    pub fn new(workers: usize) -> Zoned<T> {
        Zoned {
            workers,
            first: OnceLock::new(),
        }
    }

    /// All workers' of that zone. O(zones), of which there are a few.
    #[inline(never)]
    pub fn zone(&self, zone: ZoneId) -> &Shards<T> {
        let mut entry = &self.first;
        loop {
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

    /// That worker's own of that zone.
    #[inline]
    pub fn of(&self, zone: ZoneId, worker: usize) -> &T {
        match self.first.get() {
            // Most have one zone alone, and all requests come here.
            Some(first) if first.zone == zone => first.shards.of(worker),
            _ => self.zone(zone).of(worker),
        }
    }
}

impl<T> Zoned<T> {
    /// Each zone that was asked for, and all workers' of it.
    pub fn zones(&self) -> impl Iterator<Item = (ZoneId, &Shards<T>)> {
        let entries = core::iter::successors(self.first.get(), |entry| entry.next.get());
        entries.map(|entry| (entry.zone, &entry.shards))
    }

    /// All of them.
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
