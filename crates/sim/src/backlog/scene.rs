//! A queue's work and its workers, as a scene.

use crate::target::Span;
use core::time::Duration;

/// A queue with messages, and a group of workers. Each worker receives one message at a time (`MaxNumberOfMessages=1`, with
/// long polls), works on it, deletes it, and receives the next. Calls take no time.
#[derive(Clone, Debug)]
pub struct BacklogScene {
    /// The seed of all random draws.
    pub seed: u64,
    /// Times at which messages are sent, and how many, in order.
    pub sends: Vec<(Duration, u32)>,
    /// Time that a message takes.
    pub processing: Span,
    /// Seconds that each message claims to take, which the published worker puts as its metric.
    pub says: f64,
    /// Time from an order to an instance that receives.
    pub start_up: Span,
    /// The visibility timeout.
    pub visibility: Duration,
    /// The wait time of a receive.
    pub wait: Duration,
    /// Instances in service from the beginning.
    pub initial: u32,
    /// Fewest instances.
    pub minimum: u32,
    /// Most instances.
    pub maximum: u32,
    /// The earliest end of the run; it ends later if messages are left.
    pub until: Duration,
}
