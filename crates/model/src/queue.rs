//! How many requests a target may have at once, and who waits for a place.

use core::time::Duration;
use std::sync::Arc;

/// What bounds the requests in flight at one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// Nothing. Requests wait only while the group has no target at all.
    Open,
    /// The agent beside it (a target group with a target control port).
    Agent,
    /// This number, 1 to 1000.
    Fixed(u32),
    /// A number that is learned from how its answers slow down.
    Auto,
}

/// A target group's limits and its surge queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// What bounds each target.
    pub concurrency: Concurrency,
    /// Requests that may wait, at most; 0 for none: then a request that finds no slot is refused at once, as ALB does.
    pub length: u32,
    /// How long one may wait.
    pub wait: Duration,
    /// The header whose value is a request's class; none if all are of one class, or their rules say which.
    pub class_header: Option<Arc<str>>,
    /// Shares of classes by name; whoever is not named has 1.
    pub weights: Arc<[(String, u32)]>,
}

impl QueueSettings {
    /// What a group has that limits its targets and says nothing else.
    pub fn of(concurrency: Concurrency) -> QueueSettings {
        QueueSettings {
            concurrency,
            length: 1024,
            wait: Duration::from_secs(10),
            class_header: None,
            weights: Arc::default(),
        }
    }
}
