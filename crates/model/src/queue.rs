//! Limits on the requests in flight at a target, and how other requests wait.

use core::time::Duration;
use std::sync::Arc;

/// The limit on the requests in flight at one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// No limit. Requests wait only while the group has no target at all.
    Open,
    /// The agent beside the target (a target group with a target control port).
    Agent,
    /// A fixed number, 1 to 1000.
    Fixed(u32),
    /// A number learned from how the target's answers slow down.
    Auto,
}

/// A target group's limits and its surge queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// The limit on the requests in flight at each target.
    pub concurrency: Concurrency,
    /// Requests that may wait. With 0, a request that finds no slot is refused at once, as ALB does.
    pub length: u32,
    /// How long a request may wait.
    pub wait: Duration,
    /// The header whose value is a request's class; `None` if all are of one class or rules assign it.
    pub class_header: Option<Arc<str>>,
    /// Weights of classes by name; a class that is not named has 1.
    pub weights: Arc<[(String, u32)]>,
}

impl QueueSettings {
    /// The settings of a group that sets a limit and nothing else.
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
