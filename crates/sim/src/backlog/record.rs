//! Results of a queue and its workers.

use core::time::Duration;

/// A processed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// When it was done.
    pub at: Duration,
    /// Its age then, since it was sent.
    pub age: Duration,
}

/// The state at the end of a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BacklogSecond {
    /// The time.
    pub at: Duration,
    /// Messages that may be received.
    pub visible: u64,
    /// Messages being processed.
    pub in_flight: u64,
    /// Instances in service.
    pub ready: u32,
    /// All instances, including starting ones.
    pub instances: u32,
    /// Seconds that the controller assumes a message to take.
    pub processing: f64,
    /// Visible messages per instance in service.
    pub backlog: f64,
    /// Messages that the controller lets each instance have.
    pub acceptable: f64,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct BacklogRun {
    /// All messages, in the order in which they were done.
    pub done: Vec<Done>,
    /// The state at each second.
    pub timeline: Vec<BacklogSecond>,
    /// Instance-seconds from each order until the last message was done.
    pub instance_seconds: f64,
    /// Instance-seconds until the end of the scene.
    pub all_instance_seconds: f64,
    /// The largest number of instances, including starting ones.
    pub largest: u32,
    /// Messages whose instance was ended while it worked on them.
    pub cut: u32,
    /// Each change of the desired number of instances: the time and the number.
    pub changes: Vec<(Duration, u32)>,
}

impl BacklogRun {
    /// When the last message was done.
    pub fn finished(&self) -> Duration {
        self.done.last().map_or(Duration::ZERO, |done| done.at)
    }

    /// The longest time that a message was in the queue.
    pub fn longest(&self) -> Duration {
        self.done.iter().map(|done| done.age).max().unwrap_or_default()
    }

    /// The share of messages that were done within this time.
    pub fn within(&self, latency: Duration) -> f64 {
        let within = self.done.iter().filter(|done| done.age <= latency);
        within.count() as f64 / self.done.len().max(1) as f64
    }
}
