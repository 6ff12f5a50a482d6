//! What sizes a group of workers, and what it sees.

use core::time::Duration;
use forebay_units::Mono;

/// What sizes a group of workers.
pub trait BacklogController {
    /// What tables and plots call it.
    fn name(&self) -> &'static str;

    /// How many instances there should be; the group keeps that within its bounds.
    fn decide(&mut self, now: Mono, seen: &BacklogSeen) -> u32;

    /// From one look to the next, if nothing changes.
    fn interval(&self) -> Duration;

    /// Whether it looks, too, when the queue has changed.
    fn wakes_on_change(&self) -> bool;

    /// What it goes by now.
    fn shown(&self) -> Shown;
}

/// What a controller goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shown {
    /// Seconds that it takes a message to take.
    pub processing: f64,
    /// Messages that it lets each instance have: the acceptable backlog per instance.
    pub target: f64,
}

/// What is known of a queue and its workers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BacklogSeen {
    /// Messages that may be received.
    pub visible: u64,
    /// Messages that were received and not deleted.
    pub in_flight: u64,
    /// For how long the oldest message has been there.
    pub oldest: Option<Duration>,
    /// How long after their receive messages were deleted since the last look.
    pub deleted: Vec<Duration>,
    /// What workers last said that a message took, in seconds.
    pub reported: Option<f64>,
    /// Instances that work.
    pub ready: u32,
    /// How long ago those that start were ordered, one entry for each.
    pub pending: Vec<Duration>,
    /// Instances that are wanted.
    pub desired: u32,
    /// Fewest instances.
    pub minimum: u32,
    /// Most instances.
    pub maximum: u32,
    /// From an order to an instance that works, at the 99th percentile of the launches so far.
    pub start_up: Option<Duration>,
}
