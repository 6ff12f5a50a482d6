//! What a planner is told.

use core::time::Duration;

/// What is known of the requests for one target group. Counts are since counting began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Demand {
    /// Which target group it is.
    pub name: String,
    /// Requests that came.
    pub arrivals: u64,
    /// Requests that succeeded.
    pub completed: u64,
    /// For how long those held their slots, together.
    pub held: Duration,
    /// Requests that were refused for want of a slot.
    pub refused: u64,
    /// Requests that are in flight.
    pub in_flight: u64,
    /// Requests that wait.
    pub waiting: u64,
    /// Slots that a unit of capacity has: requests that it may have at a time. None if nothing tells.
    pub slots: Option<f64>,
    /// How long a request may wait, and how many may; zero if none may.
    pub wait: Duration,
    /// How many may wait.
    pub length: u64,
}

/// The capacity that there is. Instances, or units of capacity where instances have weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fleet {
    /// What is wanted: what serves and what is on its way.
    pub desired: u32,
    /// What serves.
    pub ready: u32,
    /// How long ago what is on its way was ordered, one entry for each.
    pub pending: Vec<Duration>,
    /// The least that there may be.
    pub minimum: u32,
    /// The most that there may be.
    pub maximum: u32,
    /// From an order to the first request, at the 99th percentile of the launches seen; none if there were none.
    pub start_up: Option<Duration>,
}

impl Fleet {
    /// In a line.
    pub(crate) fn explain(&self) -> String {
        format!(
            "capacity      {} wanted, {} serve, {} on the way (minimum {}, maximum {})",
            self.desired,
            self.ready,
            self.pending.len(),
            self.minimum,
            self.maximum
        )
    }
}

/// What an operator has chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Standard deviations of chance that are held ready: the slots beyond the load are this times the load's square root. If it is not
    /// given: 1 where requests may wait, 2 where one that finds no slot is refused.
    pub headroom: Option<f64>,
    /// Capacity beyond what is needed, as for one that fails.
    pub spare: u32,
    /// Slots a second by which the load may grow at any time, without anyone waiting.
    pub growth: f64,
    /// A start-up's time, before one was measured.
    pub start_up: Duration,
    /// How long nothing may come before the last instance goes, where a group may have none.
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
