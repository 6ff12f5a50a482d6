//! Who waits, and who goes first: start-time fair queueing between classes, earliest deadline first within one.
//!
//! After Goyal, Vin and Cheng, "Start-time Fair Queueing" (SIGCOMM 1996): each class has a start tag, the smallest goes next,
//! and being served moves the class's tag by the inverse of its weight. Virtual time is the tag served last; a class that
//! begins to wait starts there, or where its last service ended if that is later. So over any time in which two classes
//! both wait, what they get differs from their weights by at most one request each.

use crate::messages::{Claim, Key, Place};
use forebay_units::Mono;
use std::collections::{BTreeMap, BTreeSet};

/// What a class of weight 1 pays for one request, in virtual time.
const COST: u64 = 1 << 20;
/// A class that weighs more weighs this: its cost must not vanish.
const MOST_WEIGHT: u32 = 10_000;
/// So many classes are told apart at once; others share class 0.
const MOST_CLASSES: usize = 1024;
const SHARED: u32 = 0;
/// After a rush of this many waiters, memory is given back once all are gone.
const KEPT: usize = 1024;

/// Deadline, then number: less goes first.
type Rank = (Mono, u64);

/// One that waits.
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
    /// Where its next service starts; with `turn` its place among classes.
    tag: u64,
    turn: u64,
    /// Where its last service ended.
    finish: u64,
    /// How many of it wait, those at the front not counted.
    held: usize,
    /// By zone.
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

/// What waits for targets of one zone.
#[derive(Debug)]
struct Zone {
    zone: u64,
    waiting: usize,
    front: BTreeMap<Rank, u32>,
    /// Classes of which someone waits here: tag, turn, class.
    classes: BTreeSet<(u64, u64, u32)>,
}

/// All that wait at a gate. Joining, leaving and being served cost O(log waiters + log classes), times the few zones.
#[derive(Debug)]
pub(crate) struct Queue<W> {
    slab: Vec<Option<Entry<W>>>,
    vacant: Vec<u32>,
    waiting: usize,
    numbers: u64,
    classes: Vec<Class>,
    vacant_classes: Vec<u32>,
    by_id: BTreeMap<u64, u32>,
    /// Classes of which nobody waits but whose last service ends in the future of virtual time: finish, class.
    resting: BTreeSet<(u64, u32)>,
    virtual_time: u64,
    /// Of all classes of which someone waits.
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
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// How many wait that may use targets of this zone; all, for targets of no zone.
    pub(crate) fn waiting_for(&self, zone: Option<u64>) -> usize {
        let Some(zone) = zone else {
            return self.waiting;
        };
        let found = self.zones.iter().find(|one| one.zone == zone);
        found.map_or(0, |zone| zone.waiting)
    }

    /// Those who must go so that only so many wait: who came last, those at the front not counted. O(n log n).
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

    /// Everyone who waits.
    pub(crate) fn places(&self) -> Vec<Place> {
        let entries = (0..).zip(&self.slab);
        entries
            .filter_map(|(index, entry)| {
                let number = entry.as_ref()?.number;
                Some(Place { index, number })
            })
            .collect()
    }

    /// Takes out everyone, in the order in which they came.
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

    /// Someone comes to wait.
    pub(crate) fn join(&mut self, comer: &Claim, waiter: W) -> Place {
        self.numbers += 1;
        let number = self.numbers;
        // Whoever waits at the front waits before all classes, and is of none.
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
            state.tag = state.finish.max(self.virtual_time);
            state.turn = rank.1;
            self.weights += u64::from(weight);
        } else {
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

    /// The class's state, made if there is room.
    fn class_of(&mut self, id: u64) -> u32 {
        if let Some(&class) = self.by_id.get(&id) {
            return class;
        }
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

    /// Lets a class go of which nobody waits.
    fn forget(&mut self, class: u32) {
        let state = &mut self.classes[class as usize];
        self.resting.remove(&(state.finish, class));
        if let Some(id) = state.id {
            self.by_id.remove(&id);
            self.classes[class as usize] = Class::default();
            self.vacant_classes.push(class);
        }
    }

    /// Who is next of those who may use a free slot: their zone is one for which `has_free` holds.
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
        // Of its class the first in any of these zones: they may all use the slot, if it is of no zone.
        let lines = &self.classes[class as usize].lines;
        let lines = lines.iter().filter(|line| has_free(line.0));
        let (rank, &index) = lines.filter_map(|line| line.1.first_key_value()).min()?;
        Some(Place {
            index,
            number: rank.1,
        })
    }

    /// Who waits there.
    pub(crate) fn entry(&self, place: Place) -> Option<&Entry<W>> {
        let entry = self.slab.get(place.index as usize)?.as_ref()?;
        (entry.number == place.number).then_some(entry)
    }

    /// Takes out one that gets a slot: its class pays for it, unless it paid when it had a slot before.
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
        self.virtual_time = self.virtual_time.max(state.tag);
        state.finish = state.tag + COST / u64::from(state.weight.max(1));
        // Among equal tags, whoever was served longer ago goes first.
        (state.tag, state.turn) = (state.finish, self.numbers.max(number));
        let new = (state.tag, state.turn, class);
        for zone in &mut self.zones {
            if zone.classes.remove(&old) {
                zone.classes.insert(new);
            }
        }
        while let Some(&(finish, class)) = self.resting.first()
            && finish <= self.virtual_time
        {
            self.forget(class);
        }
    }

    /// Takes one out; none if it is not there any more.
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
        if state.finish > self.virtual_time && state.id.is_some() {
            self.resting.insert((state.finish, class));
        } else {
            self.forget(class);
        }
    }

    /// Nobody waits: nobody owes anybody anything.
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

    /// For one that would come now: how many of its class wait and would go before it, and its class's share of the
    /// whole, from 0 to 1. Those with deadlines between are taken as evenly spread.
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

    /// In a full queue of `length` places: who must go so that one of this class may come. None if its class holds its
    /// share already, or nobody holds more. O(classes).
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
        // Compared as fractions: held over weight.
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
        let lasts = most.lines.iter().filter_map(|line| line.1.last_key_value());
        let (rank, &index) = lasts.max()?;
        Some(Place {
            index,
            number: rank.1,
        })
    }

    /// Panics if the orders are not what the entries say.
    #[cfg(test)]
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
