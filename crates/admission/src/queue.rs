//! The surge queue's order: start-time fair queueing between classes, earliest deadline first within one.
//!
//! After Goyal, Vin and Cheng, "Start-time Fair Queueing" (SIGCOMM 1996). Each class has a start tag; the smallest goes
//! next, and each service moves the class's tag on by the inverse of its weight. Virtual time is the tag served last. A
//! class that begins to wait starts there, or where its last service ended if that is later. So while two classes both
//! wait, what they get differs from their weights by at most one request each.

use crate::messages::{Claim, Key, Place};
use forebay_units::Mono;
use std::collections::{BTreeMap, BTreeSet};

/// Virtual time that a class of weight 1 pays for one request.
const COST: u64 = 1 << 20;
/// Larger weights count as this one, because a class's cost must not round to zero.
const MOST_WEIGHT: u32 = 10_000;
/// Number of classes told apart at once; all others share class 0.
const MOST_CLASSES: usize = 1024;
const SHARED: u32 = 0;
/// The memory of a queue that has held more than this many is freed once all have left.
const KEPT: usize = 1024;

/// Deadline, then number; the smallest is served first.
type Rank = (Mono, u64);

/// A waiting request.
#[derive(Debug)]
pub(crate) struct Entry<W> {
    pub(crate) waiter: W,
    pub(crate) deadline: Mono,
    pub(crate) since: Mono,
    pub(crate) zone: u64,
    pub(crate) prefers: Option<Key>,
    number: u64,
    class: u32,
    front: bool,
}

#[derive(Debug, Default)]
struct Class {
    /// None for the shared class.
    id: Option<u64>,
    weight: u32,
    /// Virtual time at which its next service starts; `turn` breaks ties.
    tag: u64,
    turn: u64,
    /// Virtual time at which its last service ended.
    finish: u64,
    /// Number of its waiting requests, without those at the front.
    held: usize,
    /// Its waiting requests by zone.
    lines: Vec<(u64, BTreeMap<Rank, u32>)>,
}

impl Class {
    fn line(&mut self, zone: u64) -> &mut BTreeMap<Rank, u32> {
        let found = self.lines.iter().position(|line| line.0 == zone);
        let at = found.unwrap_or_else(|| {
            self.lines.push((zone, BTreeMap::new()));
            self.lines.len() - 1
        });
        &mut self.lines[at].1
    }
}

/// The waiting requests of one zone.
#[derive(Debug)]
struct Zone {
    zone: u64,
    waiting: usize,
    front: BTreeMap<Rank, u32>,
    /// Classes with a request waiting here: tag, turn, class.
    classes: BTreeSet<(u64, u64, u32)>,
}

/// The requests that wait at a gate. To join, leave or be served costs O(log waiters + log classes), times the few
/// zones.
#[derive(Debug)]
pub(crate) struct Queue<W> {
    slab: Vec<Option<Entry<W>>>,
    vacant: Vec<u32>,
    waiting: usize,
    numbers: u64,
    classes: Vec<Class>,
    vacant_classes: Vec<u32>,
    by_id: BTreeMap<u64, u32>,
    /// Classes without waiting requests whose last service ends in the future of virtual time: finish, class.
    resting: BTreeSet<(u64, u32)>,
    virtual_time: u64,
    /// Sum of the weights of all classes with waiting requests.
    weights: u64,
    zones: Vec<Zone>,
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        Queue {
            slab: Vec::new(),
            vacant: Vec::new(),
            waiting: 0,
            numbers: 0,
            classes: vec![Class::default()],
            vacant_classes: Vec::new(),
            by_id: BTreeMap::new(),
            resting: BTreeSet::new(),
            virtual_time: 0,
            weights: 0,
            zones: Vec::new(),
        }
    }
}

impl<W> Queue<W> {
    /// Number of requests that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// Whether no request waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Number of waiting requests that may use a target of this zone, or of all for a target without a zone.
    pub(crate) fn waiting_for(&self, zone: Option<u64>) -> usize {
        let Some(zone) = zone else {
            return self.waiting;
        };
        let found = self.zones.iter().find(|one| one.zone == zone);
        found.map_or(0, |zone| zone.waiting)
    }

    /// The requests to remove so that only `length` wait: the newest ones, never those at the front. O(n log n).
    pub(crate) fn beyond(&self, length: usize) -> Vec<Place> {
        let entries = (0..)
            .zip(&self.slab)
            .filter_map(|(index, entry)| Some((index, entry.as_ref()?)));
        let comers = entries.filter(|(_, entry)| !entry.front);
        let mut places: Vec<Place> = comers
            .map(|(index, entry)| Place {
                index,
                number: entry.number,
            })
            .collect();
        places.sort_by_key(|place| core::cmp::Reverse(place.number));
        places.truncate(self.waiting.saturating_sub(length));
        places
    }

    /// All places, in no particular order.
    pub(crate) fn places(&self) -> Vec<Place> {
        let entries = (0..).zip(&self.slab);
        entries
            .filter_map(|(index, entry)| {
                let number = entry.as_ref()?.number;
                Some(Place { index, number })
            })
            .collect()
    }

    /// Takes out all requests, in the order in which they came.
    pub(crate) fn take_all(&mut self) -> Vec<(Claim, W)> {
        let mut places = self.places();
        places.sort_by_key(|place| place.number);
        let taken = places.into_iter().filter_map(|place| {
            let class = self.entry(place).map(|entry| entry.class)?;
            let class = &self.classes[class as usize];
            let (id, weight) = (class.id.unwrap_or_default(), class.weight);
            let entry = self.leave(place)?;
            let claim = Claim {
                zone: entry.zone,
                class: id,
                weight,
                since: entry.since,
                deadline: entry.deadline,
                front: entry.front,
                prefers: entry.prefers,
            };
            Some((claim, entry.waiter))
        });
        taken.collect()
    }

    /// Adds a waiting request.
    pub(crate) fn join(&mut self, comer: &Claim, waiter: W) -> Place {
        self.numbers += 1;
        let number = self.numbers;
        // Requests at the front wait before all classes and belong to none.
        let class = if comer.front {
            SHARED
        } else {
            self.class_of(comer.class)
        };
        let entry = Entry {
            waiter,
            deadline: comer.deadline,
            since: comer.since,
            zone: comer.zone,
            prefers: comer.prefers,
            number,
            class,
            front: comer.front,
        };
        let index = match self.vacant.pop() {
            Some(index) => {
                self.slab[index as usize] = Some(entry);
                index
            }
            None => {
                self.slab.push(Some(entry));
                (self.slab.len() - 1) as u32
            }
        };
        self.waiting += 1;
        let zone = self.zone(comer.zone);
        self.zones[zone].waiting += 1;
        if comer.front {
            self.zones[zone].front.insert((comer.deadline, number), index);
        } else {
            self.enter(class, comer, zone, (comer.deadline, number), index);
        }
        Place { index, number }
    }

    fn enter(&mut self, class: u32, comer: &Claim, zone: usize, rank: Rank, index: u32) {
        let weight = comer.weight.clamp(1, MOST_WEIGHT);
        let state = &mut self.classes[class as usize];
        if state.held == 0 {
            self.resting.remove(&(state.finish, class));
            // Not before virtual time, or a class could save up service while nothing of it waits. Not before its own
            // finish, or it could start afresh by leaving and coming back.
            state.tag = state.finish.max(self.virtual_time);
            state.turn = rank.1;
            self.weights += u64::from(weight);
        } else {
            // Each arrival may bring another weight for its class; the sum follows.
            self.weights = self.weights + u64::from(weight) - u64::from(state.weight);
        }
        state.weight = weight;
        state.held += 1;
        let class_rank = (state.tag, state.turn, class);
        let line = state.line(comer.zone);
        line.insert(rank, index);
        if line.len() == 1 {
            self.zones[zone].classes.insert(class_rank);
        }
    }

    fn zone(&mut self, zone: u64) -> usize {
        let found = self.zones.iter().position(|one| one.zone == zone);
        found.unwrap_or_else(|| {
            self.zones.push(Zone {
                zone,
                waiting: 0,
                front: BTreeMap::new(),
                classes: BTreeSet::new(),
            });
            self.zones.len() - 1
        })
    }

    /// The state of a class; made if there is room, else the shared one.
    fn class_of(&mut self, id: u64) -> u32 {
        if let Some(&class) = self.by_id.get(&id) {
            return class;
        }
        // Only a full table forgets a resting class early: the class would start at virtual time again and gain up to a
        // service.
        if self.by_id.len() >= MOST_CLASSES {
            let Some(&(_, class)) = self.resting.first() else {
                return SHARED;
            };
            self.forget(class);
        }
        let state = Class {
            id: Some(id),
            ..Class::default()
        };
        let class = match self.vacant_classes.pop() {
            Some(class) => {
                self.classes[class as usize] = state;
                class
            }
            None => {
                self.classes.push(state);
                (self.classes.len() - 1) as u32
            }
        };
        self.by_id.insert(id, class);
        class
    }

    /// Forgets a class that has no waiting requests.
    fn forget(&mut self, class: u32) {
        let state = &mut self.classes[class as usize];
        self.resting.remove(&(state.finish, class));
        if let Some(id) = state.id {
            self.by_id.remove(&id);
            self.classes[class as usize] = Class::default();
            self.vacant_classes.push(class);
        }
    }

    /// The request to serve next among those whose zone has a free slot, as `has_free` says.
    pub(crate) fn head(&self, has_free: impl Fn(u64) -> bool) -> Option<Place> {
        let zones = || self.zones.iter().filter(|zone| has_free(zone.zone));
        let front = zones().filter_map(|zone| zone.front.first_key_value()).min();
        if let Some((rank, &index)) = front {
            return Some(Place {
                index,
                number: rank.1,
            });
        }
        let &(_, _, class) = zones().filter_map(|zone| zone.classes.first()).min()?;
        // The first of the class in any of these zones: `has_free` holds for all of them, so each may use the slot.
        let lines = &self.classes[class as usize].lines;
        let lines = lines.iter().filter(|line| has_free(line.0));
        let (rank, &index) = lines.filter_map(|line| line.1.first_key_value()).min()?;
        Some(Place {
            index,
            number: rank.1,
        })
    }

    /// The request that waits at this place.
    pub(crate) fn entry(&self, place: Place) -> Option<&Entry<W>> {
        let entry = self.slab.get(place.index as usize)?.as_ref()?;
        (entry.number == place.number).then_some(entry)
    }

    /// Takes out a request that gets a slot. Its class pays, unless it paid when the request had a slot before.
    pub(crate) fn serve(&mut self, place: Place) -> Option<Entry<W>> {
        let (class, front) = self.entry(place).map(|entry| (entry.class, entry.front))?;
        if !front {
            self.charge(class, place.number);
        }
        self.leave(place)
    }

    fn charge(&mut self, class: u32, number: u64) {
        let state = &mut self.classes[class as usize];
        let old = (state.tag, state.turn, class);
        // A class that waited for a slot of its zone may be served with an old tag; virtual time must not go back.
        self.virtual_time = self.virtual_time.max(state.tag);
        state.finish = state.tag + COST / u64::from(state.weight.max(1));
        // Among equal tags, the class that was served longest ago goes first.
        (state.tag, state.turn) = (state.finish, self.numbers.max(number));
        let new = (state.tag, state.turn, class);
        // The class may wait in several zones, and its rank changes in each.
        for zone in &mut self.zones {
            if zone.classes.remove(&old) {
                zone.classes.insert(new);
            }
        }
        // Past its finish, a resting class would start at virtual time anyway: forgetting it loses nothing.
        while let Some(&(finish, class)) = self.resting.first()
            && finish <= self.virtual_time
        {
            self.forget(class);
        }
    }

    /// Takes out a request; `None` if it has left already.
    pub(crate) fn leave(&mut self, place: Place) -> Option<Entry<W>> {
        self.entry(place)?;
        let entry = self.slab[place.index as usize].take()?;
        self.vacant.push(place.index);
        self.waiting -= 1;
        let rank = (entry.deadline, entry.number);
        let zone = self.zone(entry.zone);
        self.zones[zone].waiting -= 1;
        if entry.front {
            self.zones[zone].front.remove(&rank);
        } else {
            let state = &mut self.classes[entry.class as usize];
            let class_rank = (state.tag, state.turn, entry.class);
            let line = state.line(entry.zone);
            line.remove(&rank);
            if line.is_empty() {
                self.zones[zone].classes.remove(&class_rank);
            }
            self.left(entry.class);
        }
        if self.waiting == 0 {
            self.rest();
        }
        Some(entry)
    }

    fn left(&mut self, class: u32) {
        let state = &mut self.classes[class as usize];
        state.held -= 1;
        if state.held > 0 {
            return;
        }
        self.weights -= u64::from(state.weight);
        // Forgotten now, it could come back at once and be served ahead of its share.
        if state.finish > self.virtual_time && state.id.is_some() {
            self.resting.insert((state.finish, class));
        } else {
            self.forget(class);
        }
    }

    /// Resets virtual time once nobody waits: no class owes service then, and tags must not grow without bound.
    fn rest(&mut self) {
        while let Some(&(_, class)) = self.resting.first() {
            self.forget(class);
        }
        self.virtual_time = 0;
        self.classes[SHARED as usize] = Class::default();
        if self.slab.len() > KEPT {
            (self.slab, self.vacant) = (Vec::new(), Vec::new());
        }
    }

    /// For a request that would arrive now: how many of its class are ahead of it, and the share of its class, 0 to 1.
    /// The deadlines of a class are taken as evenly spread.
    pub(crate) fn ahead(&self, class: u64, weight: u32, deadline: Mono) -> (usize, f64) {
        let weight = u64::from(weight.clamp(1, MOST_WEIGHT));
        let state = self.by_id.get(&class).map(|&class| &self.classes[class as usize]);
        let Some(state) = state.filter(|state| state.held > 0) else {
            return (0, weight as f64 / (self.weights + weight) as f64);
        };
        let weights = self.weights + weight - u64::from(state.weight);
        let mut ahead = 0.0;
        for (_, line) in &state.lines {
            let (Some((first, _)), Some((last, _))) = (line.first_key_value(), line.last_key_value()) else {
                continue;
            };
            ahead += if deadline >= last.0 {
                line.len() as f64
            } else {
                let (into, whole) = (deadline.since(first.0), last.0.since(first.0));
                line.len() as f64 * into.as_secs_f64() / whole.as_secs_f64()
            };
        }
        (ahead as usize, weight as f64 / weights as f64)
    }

    /// In a full queue of `length` places, the request that must leave so that one of class `id` may join. `None` if
    /// that class holds its share already, or no other class holds more. O(classes).
    pub(crate) fn to_displace(&self, id: u64, weight: u32, length: usize) -> Option<Place> {
        let (weight, class) = (
            u64::from(weight.clamp(1, MOST_WEIGHT)),
            self.by_id.get(&id).copied(),
        );
        let class = class.or_else(|| (self.by_id.len() >= MOST_CLASSES).then_some(SHARED));
        let own = class.map(|class| &self.classes[class as usize]);
        let held = own.map_or(0, |own| own.held as u64);
        let active = own
            .filter(|own| own.held > 0)
            .map_or(0, |own| u64::from(own.weight));
        let weights = self.weights + weight - active;
        if (held + 1) * weights > length as u64 * weight {
            return None;
        }
        let others = (0..)
            .zip(&self.classes)
            .filter(|&(number, state)| state.held > 0 && Some(number) != class);
        // The class that holds most relative to its weight; compared crosswise, without division.
        let (_, most) = others.max_by(|(_, a), (_, b)| {
            let (left, right) = (
                a.held as u64 * u64::from(b.weight),
                b.held as u64 * u64::from(a.weight),
            );
            left.cmp(&right)
        })?;
        if most.held as u64 * weight <= held * u64::from(most.weight) {
            return None;
        }
        // The one that would be served last.
        let lasts = most.lines.iter().filter_map(|line| line.1.last_key_value());
        let (rank, &index) = lasts.max()?;
        Some(Place {
            index,
            number: rank.1,
        })
    }
}

#[cfg(test)]
impl<W> Queue<W> {
    /// Panics if the orders disagree with the entries.
    pub(crate) fn check_invariants(&self) {
        let entries = || self.slab.iter().flatten();
        assert_eq!(entries().count(), self.waiting);
        assert!(self.by_id.len() <= MOST_CLASSES);
        let mut weights = 0;
        for (number, state) in (0_u32..).zip(&self.classes) {
            let held = entries()
                .filter(|entry| entry.class == number && !entry.front)
                .count();
            assert_eq!(state.held, held, "class {number}");
            assert_eq!(state.lines.iter().map(|line| line.1.len()).sum::<usize>(), held);
            weights += if held > 0 { u64::from(state.weight) } else { 0 };
            for (zone, line) in &state.lines {
                let ordered = self
                    .zones
                    .iter()
                    .any(|one| one.zone == *zone && one.classes.contains(&(state.tag, state.turn, number)));
                assert_eq!(ordered, !line.is_empty());
            }
        }
        assert_eq!(self.weights, weights);
        for zone in &self.zones {
            let waiting = entries().filter(|entry| entry.zone == zone.zone).count();
            assert_eq!(zone.waiting, waiting);
        }
    }
}
