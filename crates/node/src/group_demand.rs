//! What a group's requests ask for.

use core::time::Duration;

/// Counts since the group was made, and how things stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupDemand {
    /// Requests that came.
    pub arrivals: u64,
    /// Requests that succeeded.
    pub completed: u64,
    /// For how long those were at their targets, together.
    pub held: Duration,
    /// Requests that got no slot.
    pub refused: u64,
    /// Requests at targets.
    pub in_flight: u64,
    /// Requests that wait for a slot.
    pub waiting: u64,
    /// Slots that a target of weight 1 has; none if the group has no limit, or no target that tells it.
    pub slots: Option<f64>,
    /// How long a request may wait; zero if it may not.
    pub wait: Duration,
    /// How many may wait.
    pub length: u64,
    /// Targets that are healthy.
    pub healthy: usize,
}
