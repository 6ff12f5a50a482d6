//! The interface of controllers, the group that they size, and what they see of it.

use crate::target::{Behaviour, Span};
use core::time::Duration;
use forebay_scaling::Backoff;
use forebay_units::Mono;

/// A controller that decides the size of a group.
pub trait Controller {
    /// Its name in tables and plots.
    fn name(&self) -> &'static str;

    /// Time from one look to the next.
    fn interval(&self) -> Duration;

    /// Whether it looks at once when a request has to wait or is refused.
    fn wakes_on_pressure(&self) -> bool {
        false
    }

    /// The desired number of instances; the group applies its minimum and maximum.
    fn decide(&mut self, now: Mono, seen: &FleetSeen) -> u32;
}

/// A group, and how its instances start.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The behaviour of each instance; its threads are its slots.
    pub instance: Behaviour,
    /// Fewest instances.
    pub minimum: u32,
    /// Most instances.
    pub maximum: u32,
    /// Instances in service from the beginning.
    pub initial: u32,
    /// Time from an order to a registered instance.
    pub start_up: Span,
    /// The share of launches that fail, which shows only when the start-up is over.
    pub failing: f64,
    /// How long orders wait after failures.
    pub backoff: Backoff,
    /// The end of the run, until which instance-seconds are counted.
    pub until: Duration,
}

/// What a controller sees of a group. Counts are since the beginning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FleetSeen {
    /// Requests that arrived.
    pub arrivals: u64,
    /// Requests that succeeded.
    pub completed: u64,
    /// Total time for which those held their slots.
    pub held: Duration,
    /// Requests that were refused.
    pub refused: u64,
    /// Requests in flight.
    pub in_flight: u32,
    /// Requests that wait.
    pub waiting: u32,
    /// Total seconds that requests were in flight: its growth between two looks, divided by the time between them, is the
    /// mean.
    pub in_flight_seconds: f64,
    /// Total seconds that requests waited.
    pub waiting_seconds: f64,
    /// Instances in service.
    pub ready: u32,
    /// Age of each order that has not started yet.
    pub pending: Vec<Duration>,
    /// The desired number of instances.
    pub desired: u32,
    /// Slots of each instance.
    pub slots: u32,
    /// Fewest instances.
    pub minimum: u32,
    /// Most instances.
    pub maximum: u32,
    /// Time from an order to an instance in service: the 99th percentile of the launches so far.
    pub start_up: Option<Duration>,
    /// The longest time that a request may wait; zero if none may.
    pub wait: Duration,
    /// Most requests that may wait.
    pub length: u32,
}
