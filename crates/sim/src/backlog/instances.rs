//! Workers' instances, from order to end.

use crate::target::Span;
use core::time::Duration;
use forebay_queues::{Receipt, Ticket};
use forebay_units::Rng;
use std::collections::BTreeMap;

/// The phase of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is starting.
    Starting,
    /// It waits for a message.
    Receiving(Ticket),
    /// It works on a message.
    Processing(Receipt),
}

struct Instance {
    ordered: u64,
    phase: Phase,
}

/// All instances. Times are in nanoseconds.
pub(super) struct Instances {
    all: BTreeMap<u64, Instance>,
    next: u64,
    start_up: Span,
    /// Durations of launches, in ascending order.
    starts: Vec<u64>,
    ended: u64,
    pub(super) largest: u32,
    rng: Rng,
}

impl Instances {
    pub(super) fn new(seed: u64, start_up: Span) -> Instances {
        Instances {
            all: BTreeMap::new(),
            next: 0,
            start_up,
            starts: Vec::new(),
            ended: 0,
            largest: 0,
            rng: Rng::named(seed, "instances"),
        }
    }

    /// Orders an instance; returns its id and when it is in service.
    pub(super) fn order(&mut self, now: u64) -> (u64, u64) {
        let id = self.next;
        self.next += 1;
        let phase = Phase::Starting;
        self.all.insert(id, Instance { ordered: now, phase });
        self.largest = self.largest.max(self.count());
        (id, self.start_up.draw(&mut self.rng) as u64)
    }

    pub(super) fn phase(&self, id: u64) -> Option<Phase> {
        self.all.get(&id).map(|instance| instance.phase)
    }

    pub(super) fn enter(&mut self, now: u64, id: u64, phase: Phase) {
        let Some(instance) = self.all.get_mut(&id) else {
            return;
        };
        if instance.phase == Phase::Starting {
            let took = now - instance.ordered;
            let place = self.starts.partition_point(|start| *start < took);
            self.starts.insert(place, took);
        }
        instance.phase = phase;
    }

    /// The instance that waits with this ticket.
    pub(super) fn with_ticket(&self, ticket: Ticket) -> Option<u64> {
        let mut all = self.all.iter();
        let found = all.find(|(_, instance)| instance.phase == Phase::Receiving(ticket));
        found.map(|(&id, _)| id)
    }

    /// Ends an instance: one that is starting, else any at random, because Auto Scaling does not know which ones work.
    /// Returns its phase.
    pub(super) fn end_one(&mut self, now: u64) -> Option<Phase> {
        let mut starting = self.all.iter().rev();
        let found = starting.find(|(_, instance)| instance.phase == Phase::Starting);
        let id = match found {
            Some((&id, _)) => id,
            None if self.all.is_empty() => return None,
            None => *self
                .all
                .keys()
                .nth(self.rng.below(self.all.len() as u64) as usize)?,
        };
        let instance = self.all.remove(&id)?;
        self.ended += now - instance.ordered;
        Some(instance.phase)
    }

    pub(super) fn count(&self) -> u32 {
        self.all.len() as u32
    }

    pub(super) fn ready(&self) -> u32 {
        let ready = self
            .all
            .values()
            .filter(|instance| instance.phase != Phase::Starting);
        ready.count() as u32
    }

    /// Age of each order that has not started yet.
    pub(super) fn pending(&self, now: u64) -> Vec<Duration> {
        let starting = self
            .all
            .values()
            .filter(|instance| instance.phase == Phase::Starting);
        starting
            .map(|instance| Duration::from_nanos(now - instance.ordered))
            .collect()
    }

    /// The 99th percentile of the launches so far.
    pub(super) fn start_up(&self) -> Option<Duration> {
        let place = (self.starts.len() as f64 * 0.99).ceil() as usize;
        let nanos = self.starts.get(place.checked_sub(1)?)?;
        Some(Duration::from_nanos(*nanos))
    }

    /// Instance-seconds, each instance from its order.
    pub(super) fn seconds(&self, now: u64) -> f64 {
        let alive: u64 = self.all.values().map(|instance| now - instance.ordered).sum();
        (self.ended + alive) as f64 / 1e9
    }
}
