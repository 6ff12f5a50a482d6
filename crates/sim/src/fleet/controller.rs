//! What a controller is asked, and of which group.

use crate::target::{Behaviour, Span};
use core::time::Duration;
use forebay_scaling::Backoff;
use forebay_units::Mono;

/// What sizes a group.
pub trait Controller {
    /// What tables and plots call it.
    fn name(&self) -> &'static str;

    /// From one look to the next.
    fn interval(&self) -> Duration;

    /// Whether it looks at once when a request has to wait or is refused.
    fn wakes_on_pressure(&self) -> bool {
        false
    }

    /// How many instances there should be; the group keeps that within its bounds.
    fn decide(&mut self, now: Mono, seen: &FleetSeen) -> u32;
}

/// A group, and how its instances start.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// How each instance behaves: its threads are its slots.
    pub instance: Behaviour,
    /// Fewest instances.
    pub minimum: u32,
    /// Most instances.
    pub maximum: u32,
    /// Those that serve from the beginning.
    pub initial: u32,
    /// From an order to an instance that is registered.
    pub start_up: Span,
    /// The share of launches that fail, which shows when the start-up is over.
    pub failing: f64,
    /// How long orders wait after failures.
    pub backoff: Backoff,
    /// Until when it is played, and instance-seconds are counted.
    pub until: Duration,
}

/// What is known of a group. Counts are since the beginning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FleetSeen {
    /// Requests that came.
    pub arrivals: u64,
    /// Requests that succeeded.
    pub completed: u64,
    /// For how long those held their slots, together.
    pub held: Duration,
    /// Requests that were refused.
    pub refused: u64,
    /// Requests in flight.
    pub in_flight: u32,
    /// Requests that wait.
    pub waiting: u32,
    /// Seconds that requests were in flight, together: the difference of two looks over their distance is the mean between them.
    pub in_flight_seconds: f64,
    /// The same of those that waited.
    pub waiting_seconds: f64,
    /// Instances that serve.
    pub ready: u32,
    /// How long ago those that start were ordered, one entry for each.
    pub pending: Vec<Duration>,
    /// Instances that are wanted.
    pub desired: u32,
    /// Slots of each instance.
    pub slots: u32,
    /// Fewest instances.
    pub minimum: u32,
    /// Most instances.
    pub maximum: u32,
    /// From an order to an instance that serves, at the 99th percentile of the launches so far.
    pub start_up: Option<Duration>,
    /// How long a request may wait; zero if none may.
    pub wait: Duration,
    /// How many may wait.
    pub length: u32,
}
