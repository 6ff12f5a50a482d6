//! Targets and their slots: which target has one free, and which slot is taken next.

use crate::gradient::Gradient;
use crate::indexed_heap::IndexedHeap;
use crate::messages::{Key, Limit, Member, Slot, Slots};
use crate::permits::WorkId;
use crate::ring::Ring;
use core::cmp::Reverse;
use core::time::Duration;
use forebay_units::Mono;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// Bounds a target's unused permits and its pauses. Permits beyond are not kept, so the agent revokes them.
const MOST_HELD: usize = 4096;

#[derive(Debug)]
struct TargetEntry<T> {
    key: Key,
    /// `None` if the target may not be picked now, but still has requests in flight, permits or pauses.
    target: Option<T>,
    side: usize,
    /// Multiplies the common limit.
    weight: u32,
    busy: u32,
    paused: u32,
    permits: VecDeque<WorkId>,
    /// The limit that the target's agent announced last.
    announced: Option<u32>,
    learner: Option<Box<Gradient>>,
    /// The values last added to the totals and to the order of its side.
    free: u32,
    counted_busy: u32,
    turn: u64,
}

/// The targets of one zone, or those without a zone.
#[derive(Debug)]
struct Side {
    zone: Option<u64>,
    ring: Ring,
    heap: IndexedHeap,
}

#[derive(Debug)]
pub(crate) struct TargetSlots<T> {
    limit: Limit,
    balanced: bool,
    targets: Vec<Option<TargetEntry<T>>>,
    vacant: Vec<u32>,
    by_key: BTreeMap<Key, u32>,
    sides: Vec<Side>,
    pauses: BinaryHeap<Reverse<(Mono, u32)>>,
    turns: u64,
    members: usize,
    busy: u64,
    free: u64,
}

impl<T: Clone> TargetSlots<T> {
    pub(crate) fn new(limit: Limit, balanced: bool) -> Self {
        TargetSlots {
            limit,
            balanced,
            targets: Vec::new(),
            vacant: Vec::new(),
            by_key: BTreeMap::new(),
            sides: Vec::new(),
            pauses: BinaryHeap::new(),
            turns: 0,
            members: 0,
            busy: 0,
            free: 0,
        }
    }

    pub(crate) fn set_limit(&mut self, limit: Limit, balanced: bool) {
        if self.limit == limit && self.balanced == balanced {
            return;
        }
        self.limit = limit;
        self.balanced = balanced;
        for side in &mut self.sides {
            (side.ring, side.heap) = (Ring::default(), IndexedHeap::default());
        }
        for entry in self.targets.iter_mut().flatten() {
            entry.learner = learner(limit);
            if limit != Limit::Permits {
                entry.permits.clear();
            }
        }
        for number in 0..self.targets.len() as u32 {
            self.refresh(number);
        }
    }

    /// Replaces the members. O(members log members).
    pub(crate) fn arrange(&mut self, members: Vec<Member<T>>) {
        let mut stay = vec![false; self.targets.len()];
        self.members = members.len();
        for member in members {
            let side = self.side(member.zone);
            let number = self.number(member.key);
            if let Some(stays) = stay.get_mut(number as usize) {
                *stays = true;
            }
            self.leave_side(number, side);
            if let Some(entry) = self.targets[number as usize].as_mut() {
                (entry.target, entry.side) = (Some(member.target), side);
                entry.weight = member.weight;
            }
            self.refresh(number);
        }
        for (number, _) in (0..).zip(&stay).filter(|(_, stays)| !**stays) {
            if let Some(entry) = self.targets[number as usize].as_mut() {
                entry.target = None;
                self.refresh(number);
            }
        }
    }

    /// The side of a zone, made if there is none. There are as few sides as zones.
    fn side(&mut self, zone: Option<u64>) -> usize {
        let found = self.sides.iter().position(|side| side.zone == zone);
        found.unwrap_or_else(|| {
            self.sides.push(Side {
                zone,
                ring: Ring::default(),
                heap: IndexedHeap::default(),
            });
            self.sides.len() - 1
        })
    }

    fn leave_side(&mut self, number: u32, unless: usize) {
        if let Some(entry) = self.targets[number as usize].as_ref()
            && entry.side != unless
            && let Some(side) = self.sides.get_mut(entry.side)
        {
            side.ring.set(number, false);
            side.heap.remove(number);
        }
    }

    /// The entry of a target, made if there is none.
    fn number(&mut self, key: Key) -> u32 {
        if let Some(&number) = self.by_key.get(&key) {
            return number;
        }
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.targets.push(None);
            (self.targets.len() - 1) as u32
        });
        self.targets[number as usize] = Some(TargetEntry {
            key,
            target: None,
            side: 0,
            weight: 1,
            busy: 0,
            paused: 0,
            permits: VecDeque::new(),
            announced: None,
            learner: learner(self.limit),
            free: 0,
            counted_busy: 0,
            turn: 0,
        });
        self.by_key.insert(key, number);
        number
    }

    fn find(&mut self, key: Key) -> Option<(u32, &mut TargetEntry<T>)> {
        let number = *self.by_key.get(&key)?;
        Some((number, self.targets[number as usize].as_mut()?))
    }

    fn known(&self, key: Key) -> Option<&TargetEntry<T>> {
        self.targets[*self.by_key.get(&key)? as usize].as_ref()
    }

    /// Brings totals and order up to date with an entry, and drops the entry once nothing is left of it.
    fn refresh(&mut self, number: u32) {
        let Some(entry) = self.targets[number as usize].as_mut() else {
            return;
        };
        let free = entry.free_now(self.limit);
        self.free = self.free + u64::from(free) - u64::from(entry.free);
        self.busy = self.busy + u64::from(entry.busy) - u64::from(entry.counted_busy);
        let before = entry.free;
        (entry.free, entry.counted_busy) = (free, entry.busy);
        if let Some(side) = self.sides.get_mut(entry.side) {
            if self.balanced && free > 0 {
                // Busy over all slots, as a fraction of 2^32. A target of an open gate counts as one slot, so its rank
                // is its requests.
                let slots = if self.limit == Limit::Open {
                    1
                } else {
                    u64::from(free) + u64::from(entry.busy)
                };
                side.heap
                    .set(number, ((u64::from(entry.busy) << 32) / slots, entry.turn));
            } else if self.balanced {
                side.heap.remove(number);
            } else if (before > 0) != (free > 0) || free > 0 {
                side.ring.set(number, free > 0);
            }
        }
        if entry.target.is_none() && entry.busy == 0 && entry.paused == 0 && entry.permits.is_empty() {
            let key = entry.key;
            self.by_key.remove(&key);
            self.targets[number as usize] = None;
            self.vacant.push(number);
        }
    }

    /// Takes a free slot that a request of this zone may use: the preferred target's, else the next target's that is
    /// not avoided, else the next one's.
    pub(crate) fn take(&mut self, zone: u64, avoid: &[Key], prefers: Option<Key>) -> Option<Slot<T>> {
        if self.free == 0 {
            return None;
        }
        let number = self
            .preferred(zone, avoid, prefers)
            .or_else(|| self.next(zone, avoid))?;
        let (open, limit) = (self.limit == Limit::Open, self.limit);
        let entry = self.targets[number as usize].as_mut()?;
        let target = entry.target.clone()?;
        let permit = if limit == Limit::Permits {
            entry.permits.pop_back()
        } else {
            None
        };
        entry.busy += 1;
        self.turns += 1;
        entry.turn = self.turns;
        let (key, side) = (entry.key, entry.side);
        if !self.balanced
            && let Some(side) = self.sides.get_mut(side)
        {
            side.ring.taken(number);
        }
        // Here a request changes nothing but the count; `refresh` would cost every request of an open gate.
        if open && !self.balanced {
            entry.counted_busy += 1;
            self.busy += 1;
        } else {
            self.refresh(number);
        }
        Some(Slot { key, target, permit })
    }

    fn preferred(&self, zone: u64, avoid: &[Key], prefers: Option<Key>) -> Option<u32> {
        let key = prefers?;
        let number = *self.by_key.get(&key)?;
        let entry = self.targets[number as usize].as_ref()?;
        let within = self.sides.get(entry.side)?.zone.is_none_or(|of| of == zone);
        (entry.free > 0 && within && !avoid.contains(&key)).then_some(number)
    }

    fn next(&self, zone: u64, avoid: &[Key]) -> Option<u32> {
        if !avoid.is_empty() {
            let numbers: Vec<u32> = avoid
                .iter()
                .filter_map(|key| self.by_key.get(key).copied())
                .collect();
            let found = self.next_besides(zone, &numbers);
            if found.is_some() {
                return found;
            }
        }
        self.next_besides(zone, &[])
    }

    fn next_besides(&self, zone: u64, besides: &[u32]) -> Option<u32> {
        let mut own = self
            .sides
            .iter()
            .filter(|side| side.zone.is_none_or(|of| of == zone));
        own.find_map(|side| {
            if self.balanced {
                side.heap.least(besides)
            } else {
                side.ring.next(besides)
            }
        })
    }

    /// Whether a request of this zone would find a free slot.
    pub(crate) fn has_free(&self, zone: u64) -> bool {
        self.free > 0
            && self.sides.iter().any(|side| {
                side.zone.is_none_or(|of| of == zone) && !(side.ring.is_empty() && side.heap.is_empty())
            })
    }

    /// Adds a request to a target, within its limit or not.
    pub(crate) fn occupy(&mut self, key: Key) {
        let number = self.number(key);
        if let Some(entry) = self.targets[number as usize].as_mut() {
            entry.busy += 1;
        }
        self.refresh(number);
    }

    /// The targets that have requests, and how many each.
    pub(crate) fn occupied(&self) -> Vec<(Key, u32)> {
        let entries = self.targets.iter().flatten();
        let busy = entries.filter(|entry| entry.busy > 0);
        busy.map(|entry| (entry.key, entry.busy)).collect()
    }

    /// Records that a request at a target is over.
    pub(crate) fn release(&mut self, now: Mono, key: Key, took: Option<Duration>) {
        let Some((number, entry)) = self.find(key) else {
            return;
        };
        if let (Some(learner), Some(took)) = (&mut entry.learner, took) {
            learner.sample(now, took, entry.busy);
        }
        entry.busy = entry.busy.saturating_sub(1);
        self.refresh(number);
    }

    /// Adds permits that came.
    pub(crate) fn grant(&mut self, key: Key, ids: &[WorkId]) {
        if self.limit != Limit::Permits {
            return;
        }
        let number = self.number(key);
        if let Some(entry) = self.targets[number as usize].as_mut() {
            let room = MOST_HELD.saturating_sub(entry.permits.len());
            entry.permits.extend(ids.iter().take(room).copied());
        }
        self.refresh(number);
    }

    /// Records the limit that the agent of a target announced; `None` if its channel is lost.
    pub(crate) fn announce(&mut self, key: Key, limit: Option<u32>) {
        let number = self.number(key);
        if let Some(entry) = self.targets[number as usize].as_mut() {
            entry.announced = limit;
        }
        self.refresh(number);
    }

    /// Takes back up to `count` unused permits, the oldest first: those the agent would revoke first.
    pub(crate) fn take_back(&mut self, key: Key, count: usize) -> Vec<WorkId> {
        let Some((number, entry)) = self.find(key) else {
            return Vec::new();
        };
        let ids = entry.permits.drain(..count.min(entry.permits.len())).collect();
        self.refresh(number);
        ids
    }

    /// Takes one slot from the target until `until`.
    pub(crate) fn pause(&mut self, now: Mono, key: Key, until: Mono) {
        if until <= now {
            return;
        }
        let Some((number, entry)) = self.find(key) else {
            return;
        };
        if let Some(learner) = &mut entry.learner {
            learner.pushed_back();
        }
        if (entry.paused as usize) < MOST_HELD {
            entry.paused += 1;
            self.pauses.push(Reverse((until, number)));
            self.refresh(number);
        }
    }

    /// Ends the pauses that are over. Returns whether there were any.
    pub(crate) fn resume(&mut self, now: Mono) -> bool {
        let mut any = false;
        while let Some(&Reverse((until, number))) = self.pauses.peek() {
            if until > now {
                break;
            }
            self.pauses.pop();
            any = true;
            // An entry stays while it is paused, so the number still means the same target.
            if let Some(entry) = self.targets[number as usize].as_mut() {
                entry.paused = entry.paused.saturating_sub(1);
                self.refresh(number);
            }
        }
        any
    }

    /// Moves on the measurements of learned limits. Returns whether a limit has changed.
    pub(crate) fn measure(&mut self, now: Mono) -> bool {
        let mut any = false;
        if !matches!(self.limit, Limit::Auto(_)) {
            return any;
        }
        for number in 0..self.targets.len() {
            let Some(entry) = self.targets[number].as_mut() else {
                continue;
            };
            let busy = entry.busy;
            let changed = entry
                .learner
                .as_mut()
                .is_some_and(|learner| learner.tick(now, busy));
            if changed {
                any = true;
                self.refresh(number as u32);
            }
        }
        any
    }

    /// When the next pause ends.
    pub(crate) fn next_resume(&self) -> Mono {
        self.pauses.peek().map_or(Mono::NEVER, |pause| pause.0.0)
    }

    pub(crate) fn slots(&self, key: Key) -> Slots {
        self.known(key).map_or_else(Slots::default, |entry| Slots {
            busy: entry.busy,
            free: if self.limit == Limit::Open { 0 } else { entry.free },
            paused: entry.paused,
            limit: entry.announced,
        })
    }

    /// The zone of a target; `None` if it has none or is not known.
    pub(crate) fn zone_of(&self, key: Key) -> Option<u64> {
        self.sides.get(self.known(key)?.side)?.zone
    }

    /// Whether this target may be picked.
    pub(crate) fn is_member(&self, key: Key) -> bool {
        self.known(key).is_some_and(|entry| entry.target.is_some())
    }

    /// Number of targets that may be picked.
    pub(crate) fn members(&self) -> usize {
        self.members
    }

    /// Number of requests that have a slot.
    pub(crate) fn busy(&self) -> u64 {
        self.busy
    }

    /// Number of free slots; 0 for an open gate.
    pub(crate) fn free(&self) -> u64 {
        if self.limit == Limit::Open { 0 } else { self.free }
    }
}

impl<T> TargetEntry<T> {
    fn free_now(&self, limit: Limit) -> u32 {
        if self.target.is_none() {
            return 0;
        }
        let taken = self.busy.saturating_add(self.paused);
        match limit {
            Limit::Permits => (self.permits.len() as u32).saturating_sub(self.paused),
            Limit::Fixed(limit) => limit.saturating_mul(self.weight).saturating_sub(taken),
            Limit::Auto(_) => self
                .learner
                .as_ref()
                .map_or(1, |learner| learner.limit())
                .saturating_sub(taken),
            Limit::Open => 1,
        }
    }
}

fn learner(limit: Limit) -> Option<Box<Gradient>> {
    match limit {
        Limit::Auto(settings) => Some(Box::new(Gradient::new(settings))),
        _ => None,
    }
}

#[cfg(test)]
mod invariants;
