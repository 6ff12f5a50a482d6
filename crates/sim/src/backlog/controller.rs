//! The interface of controllers of worker groups, and what they see.

use core::time::Duration;
use forebay_units::Mono;

/// A controller that decides the size of a group of workers.
pub trait BacklogController {
    /// Its name in tables and plots.
    fn name(&self) -> &'static str;

    /// The desired number of instances; the group applies its minimum and maximum.
    fn decide(&mut self, now: Mono, seen: &BacklogSeen) -> u32;

    /// Time from one look to the next, if nothing changes.
    fn interval(&self) -> Duration;

    /// Whether it also looks when the queue has changed.
    fn wakes_on_change(&self) -> bool;

    /// The figures that it currently decides by.
    fn shown(&self) -> Shown;
}

/// The figures that a controller decides by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shown {
    /// Seconds that a message is assumed to take.
    pub processing: f64,
    /// Messages that each instance may have: the acceptable backlog per instance.
    pub target: f64,
}

/// What a controller sees of a queue and its workers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BacklogSeen {
    /// Messages that may be received.
    pub visible: u64,
    /// Messages that were received and not deleted.
    pub in_flight: u64,
    /// Age of the oldest message.
    pub oldest: Option<Duration>,
    /// Time from receive to delete, of each message that was deleted since the last look.
    pub deleted: Vec<Duration>,
    /// Seconds that a message took, as workers last reported.
    pub reported: Option<f64>,
    /// Instances in service.
    pub ready: u32,
    /// Age of each order that has not started yet.
    pub pending: Vec<Duration>,
    /// The desired number of instances.
    pub desired: u32,
    /// Fewest instances.
    pub minimum: u32,
    /// Most instances.
    pub maximum: u32,
    /// Time from an order to an instance in service: the 99th percentile of the launches so far.
    pub start_up: Option<Duration>,
}
