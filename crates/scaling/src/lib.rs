//! Decides what EC2 Auto Scaling decides: what a group's capacity should become and when, which instances are launched
//! and terminated, and why. Never launches anything and never reads a metric or a clock: the caller brings the figures.
//!
//! In reading order:
//! - `group`: a group's bounds, and how a wish becomes a capacity; `adjustment`, `simple`, `step`, `target_tracking`,
//!   `policies`: scaling policies; `warm_up`, `schedule`, `forecast`: what they depend on.
//! - `zones`, `termination`, `allocation` (with `shape`, `requirements`): which instances are launched and terminated,
//!   and where; `hooks`, `backoff`: their launches and terminations.
//! - `refresh`: instance refresh.
//! - `planner`: sizes a group by the requests that arrive; `backlog`: sizes a group of workers by their queue; both use
//!   `window_maximum`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod adjustment;
mod allocation;
pub mod backlog;
mod backoff;
mod forecast;
mod group;
mod hooks;
pub mod planner;
mod policies;
pub mod refresh;
mod requirements;
mod schedule;
mod shape;
mod simple;
mod step;
mod target_tracking;
mod termination;
mod warm_up;
mod window_maximum;
mod zones;

pub use adjustment::{Adjustment, AdjustmentType};
pub use allocation::{
    Choice, Distribution, Existing, InUse, Launch, Offer, OnDemandStrategy, Pool, Ranked, Skipped, Split,
    SpotStrategy, choose, plan, surplus,
};
pub use backoff::Backoff;
pub use forecast::{ForecastError, backtest, forecast};
pub use group::{Group, Proposal, Why};
pub use hooks::{
    HEARTBEAT_DEFAULT, HEARTBEAT_LEAST, HEARTBEAT_MOST, HEARTBEATS_MOST, Hook, HookResult, WAIT_MOST, Wait,
    WaitVerdict,
};
pub use policies::together;
pub use requirements::{
    Inclusion, Mismatch, ON_DEMAND_PRICE_PROTECTION, PriceUnit, Range, Requirements, SPOT_PRICE_PROTECTION,
};
pub use schedule::{Schedule, ScheduleError};
pub use shape::{Generation, Purchase, Shape};
pub use simple::{LastActivity, Simple};
pub use step::{Step, StepError, Steps};
pub use target_tracking::TargetTracking;
pub use termination::{Instance, Origin, TerminationPolicy, terminate};
pub use warm_up::{Capacity, DEFAULT_COOLDOWN, Member, warm_up};
pub use zones::{Rebalance, Zone, ZoneDistribution, next_zone, rebalance, rebalance_margin};
