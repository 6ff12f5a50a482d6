//! What is to be done, by whom.

use crate::target::Span;
use core::time::Duration;

/// A queue with messages, and a group of workers. Each worker receives one message at a time (`MaxNumberOfMessages=1`, with long polls),
/// works on it, deletes it, and receives the next. Calls take no time of their own.
#[derive(Clone, Debug)]
pub struct BacklogScene {
    /// Of all that is random.
    pub seed: u64,
    /// When messages come, and how many; in order.
    pub sends: Vec<(Duration, u32)>,
    /// How long a message takes.
    pub processing: Span,
    /// Seconds that each message says it takes: the published worker puts that as its metric.
    pub says: f64,
    /// From an order to an instance that receives.
    pub start_up: Span,
    /// For how long a message is hidden that was received.
    pub visibility: Duration,
    /// For how long a receive waits.
    pub wait: Duration,
    /// Instances that work from the beginning.
    pub initial: u32,
    /// Fewest instances.
    pub minimum: u32,
    /// Most instances.
    pub maximum: u32,
    /// Until when it is played, at least; it ends later if messages are left.
    pub until: Duration,
}
