//! What came of a queue and its workers.

use core::time::Duration;

/// A message that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// When.
    pub at: Duration,
    /// How long after it was sent.
    pub age: Duration,
}

/// How it stood at the end of a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BacklogSecond {
    /// When.
    pub at: Duration,
    /// Messages that may be received.
    pub visible: u64,
    /// Messages that are worked on.
    pub in_flight: u64,
    /// Instances that work.
    pub ready: u32,
    /// Instances that there are, those that start too.
    pub instances: u32,
    /// Seconds that the controller takes a message to take.
    pub processing: f64,
    /// Visible messages for each instance that works.
    pub backlog: f64,
    /// Messages that the controller lets each instance have.
    pub acceptable: f64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct BacklogRun {
    /// All messages, in the order in which they were done.
    pub done: Vec<Done>,
    /// Each second.
    pub timeline: Vec<BacklogSecond>,
    /// Seconds of all instances, each from its order, until the last message was done.
    pub instance_seconds: f64,
    /// The same until the scene's end.
    pub all_instance_seconds: f64,
    /// The most instances that there were, those that started too.
    pub largest: u32,
    /// Messages that were begun by an instance that was taken away before it was done.
    pub cut: u32,
    /// Each change of the number of instances that are wanted: when, and to what.
    pub changes: Vec<(Duration, u32)>,
}

impl BacklogRun {
    /// When the last message was done.
    pub fn finished(&self) -> Duration {
        self.done.last().map_or(Duration::ZERO, |done| done.at)
    }

    /// The longest that a message was in the queue.
    pub fn longest(&self) -> Duration {
        self.done.iter().map(|done| done.age).max().unwrap_or_default()
    }

    /// The share of messages that were done within this time.
    pub fn within(&self, latency: Duration) -> f64 {
        let within = self.done.iter().filter(|done| done.age <= latency);
        within.count() as f64 / self.done.len().max(1) as f64
    }
}
