//! Decides a target's health from its probes and from refused connections, and which targets of a group get traffic
//! when few are healthy. Never probes and never reads a clock: results are passed in, states and reasons are returned.
//!
//! `tracker` keeps the health of one target, `group` decides for a target group.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod group;
mod tracker;

pub use group::{GroupHealth, Routing, RoutingReason};
pub use tracker::{Failure, ProbeResult, Tracker, TrackerRecord};
