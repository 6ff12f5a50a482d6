//! The demand of a group's requests.

use core::time::Duration;

/// Counters since the group was made, and its present state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupDemand {
    /// Requests that arrived.
    pub arrivals: u64,
    /// Requests that succeeded.
    pub completed: u64,
    /// Total time that those were at their targets.
    pub held: Duration,
    /// Requests refused a slot.
    pub refused: u64,
    /// Requests in flight at targets.
    pub in_flight: u64,
    /// Requests that wait for a slot.
    pub waiting: u64,
    /// Slots of a target of weight 1; `None` if the group has no limit, or no target to learn it from.
    pub slots: Option<f64>,
    /// How long a request may wait; zero if none may.
    pub wait: Duration,
    /// Number of requests that may wait.
    pub length: u64,
    /// Number of healthy targets.
    pub healthy: usize,
}
