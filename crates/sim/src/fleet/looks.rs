//! What a controller sees, when it looks, and what is recorded each second.

use super::controller::{Controller, Fleet, FleetSeen};
use super::instances::Instances;
use super::record::Second;
use core::time::Duration;
use forebay_model::QueueSettings;
use std::sync::Arc;

/// Least time from one look to the next, however many requests wait or are refused.
const SHORTEST: u64 = 20_000_000;
/// Interval between records.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// A change of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Came,
    Waits,
    WaitOver,
    Refused,
    Sent,
    /// It succeeded and held its slot for this time, in nanoseconds.
    Succeeded(u64),
    Failed,
}

/// A group during the run, with its controller's schedule. Times are in nanoseconds.
#[derive(Debug)]
pub(crate) struct Sizing {
    pub(crate) instances: Instances,
    queue: Option<Arc<QueueSettings>>,
    interval: u64,
    wakes: bool,
    last_look: Option<u64>,
    next_look: u64,
    pressed: bool,
    counts: FleetSeen,
    held: u128,
    in_flight: u128,
    waiting: u128,
    /// The time up to which those two are counted.
    counted: u64,
    /// Arrivals and refusals at the last record.
    before: (u64, u64),
    pub(crate) timeline: Vec<Second>,
    pub(crate) changes: Vec<(Duration, u32)>,
}

impl Sizing {
    pub(crate) fn new(
        fleet: &Fleet,
        seed: u64,
        queue: Option<Arc<QueueSettings>>,
        controller: &dyn Controller,
    ) -> Sizing {
        Sizing {
            instances: Instances::new(fleet, seed),
            queue,
            interval: (controller.interval().as_nanos() as u64).max(SHORTEST),
            wakes: controller.wakes_on_pressure(),
            last_look: None,
            next_look: 0,
            pressed: false,
            counts: FleetSeen::default(),
            held: 0,
            in_flight: 0,
            waiting: 0,
            counted: 0,
            before: (0, 0),
            timeline: Vec::new(),
            changes: Vec::new(),
        }
    }

    pub(crate) fn count(&mut self, now: u64, change: Change) {
        self.advance(now);
        let counts = &mut self.counts;
        match change {
            Change::Came => counts.arrivals += 1,
            Change::Waits => {
                counts.waiting += 1;
                self.pressed = true;
            }
            Change::WaitOver => counts.waiting -= 1,
            Change::Refused => {
                counts.refused += 1;
                self.pressed = true;
            }
            Change::Sent => counts.in_flight += 1,
            Change::Succeeded(held) => {
                counts.in_flight -= 1;
                counts.completed += 1;
                self.held += u128::from(held);
            }
            Change::Failed => counts.in_flight -= 1,
        }
    }

    fn advance(&mut self, now: u64) {
        let past = u128::from(now - self.counted);
        self.in_flight += past * u128::from(self.counts.in_flight);
        self.waiting += past * u128::from(self.counts.waiting);
        self.counted = now;
    }

    /// When to look because of what has just happened, if that is earlier than the next look.
    pub(crate) fn pressed(&mut self, now: u64) -> Option<u64> {
        if !core::mem::take(&mut self.pressed) || !self.wakes {
            return None;
        }
        let due = self.last_look.map_or(now, |last| now.max(last + SHORTEST));
        (due < self.next_look).then(|| {
            self.next_look = due;
            due
        })
    }

    /// Whether a look that was scheduled for now has not moved. Returns when the next one is.
    pub(crate) fn looks(&mut self, now: u64) -> Option<u64> {
        (now == self.next_look).then(|| {
            self.last_look = Some(now);
            self.next_look = now + self.interval;
            self.next_look
        })
    }

    /// What a controller sees now.
    pub(crate) fn seen(&mut self, now: u64) -> FleetSeen {
        self.advance(now);
        let queue = self.queue.as_deref();
        let fleet = &self.instances.fleet;
        FleetSeen {
            held: Duration::from_nanos(u64::try_from(self.held).unwrap_or(u64::MAX)),
            in_flight_seconds: self.in_flight as f64 / 1e9,
            waiting_seconds: self.waiting as f64 / 1e9,
            ready: self.instances.ready(),
            pending: self.instances.pending(now),
            desired: self.instances.desired,
            slots: fleet.instance.threads,
            minimum: fleet.minimum,
            maximum: fleet.maximum,
            start_up: self.instances.start_up(),
            wait: queue.map_or(Duration::ZERO, |queue| queue.wait),
            length: queue.map_or(0, |queue| queue.length),
            ..self.counts.clone()
        }
    }

    /// Sets the desired number of instances, within the group's minimum and maximum; returns whether it changed.
    pub(crate) fn want(&mut self, now: u64, desired: u32) -> bool {
        let fleet = &self.instances.fleet;
        let desired = desired.min(fleet.maximum).max(fleet.minimum);
        let changed = desired != self.instances.desired;
        if changed {
            self.instances.desired = desired;
            self.changes.push((Duration::from_nanos(now), desired));
        }
        changed
    }

    /// Records a second.
    pub(crate) fn write(&mut self, now: u64) {
        let counts = &self.counts;
        self.timeline.push(Second {
            at: Duration::from_nanos(now),
            arrivals: counts.arrivals - self.before.0,
            refused: counts.refused - self.before.1,
            waiting: counts.waiting,
            in_flight: counts.in_flight,
            ready: self.instances.ready(),
            desired: self.instances.desired,
            instances: self.instances.all(),
        });
        self.before = (counts.arrivals, counts.refused);
    }
}
