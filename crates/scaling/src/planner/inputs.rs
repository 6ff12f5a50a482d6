//! The inputs of a planner.

use core::time::Duration;

/// The requests for one target group. Counters run since counting began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Demand {
    /// The target group's name.
    pub name: String,
    /// Requests that arrived.
    pub arrivals: u64,
    /// Requests that succeeded.
    pub completed: u64,
    /// Total time that those held their slots.
    pub held: Duration,
    /// Requests refused for lack of a slot.
    pub refused: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// Requests that wait.
    pub waiting: u64,
    /// Slots of a unit of capacity: requests that it may have at a time. `None` if that is not known.
    pub slots: Option<f64>,
    /// How long a request may wait; zero if none may.
    pub wait: Duration,
    /// Number of requests that may wait.
    pub length: u64,
}

/// The capacity that exists, in instances, or in units of capacity where instances have weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fleet {
    /// Desired capacity: in service and on its way.
    pub desired: u32,
    /// Capacity in service.
    pub ready: u32,
    /// For each unit on its way, how long ago it was ordered.
    pub pending: Vec<Duration>,
    /// The group's minimum.
    pub minimum: u32,
    /// The group's maximum.
    pub maximum: u32,
    /// Time from an order to the first request, at the 99th percentile of the launches seen; `None` if there were none.
    pub start_up: Option<Duration>,
}

impl Fleet {
    /// The capacity in a line.
    pub(crate) fn explain(&self) -> String {
        format!(
            "capacity      {} desired, {} in service, {} on the way (minimum {}, maximum {})",
            self.desired,
            self.ready,
            self.pending.len(),
            self.minimum,
            self.maximum
        )
    }
}

/// An operator's settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Headroom factor: the slots beyond the load are this times the square root of the load. If it is `None`, 1 where
    /// requests may wait and 2 where they are refused instead.
    pub headroom: Option<f64>,
    /// Capacity beyond what is needed, for instance for one that fails.
    pub spare: u32,
    /// Slots per second by which the load may grow at any time without any request waiting.
    pub growth: f64,
    /// The start-up time to assume before one was measured.
    pub start_up: Duration,
    /// How long a group must be idle before its last instance goes, where its minimum is zero.
    pub idle: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            headroom: None,
            spare: 0,
            growth: 0.0,
            start_up: Duration::from_secs(30),
            idle: Duration::from_secs(300),
        }
    }
}
