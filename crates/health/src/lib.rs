//! Decides what a target's state is from its probes and from refused connections, and which targets of a group get
//! traffic when few are healthy. Never probes, never reads a clock: results come in, states and reasons come out.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod group;
mod tracker;

pub use group::{GroupHealth, Routing, RoutingReason};
pub use tracker::{Failure, ProbeResult, Tracker, TrackerRecord};
