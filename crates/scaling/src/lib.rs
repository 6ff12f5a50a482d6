//! Scaling policies: what a group's capacity should become, as EC2 Auto Scaling defines it, and why.
//! Never launches anything and never reads a metric or a clock: whoever asks brings the figures.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod adjustment;
mod group;
mod policies;
mod simple;
mod step;
mod target_tracking;
mod termination;

pub use adjustment::{Adjustment, AdjustmentType};
pub use group::{Group, Proposal, Why};
pub use policies::together;
pub use simple::{LastActivity, Simple};
pub use step::{Step, StepError, Steps};
pub use target_tracking::TargetTracking;
pub use termination::{Instance, Origin, TerminationPolicy, terminate};
