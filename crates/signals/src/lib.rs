//! Decides what measured values mean, as CloudWatch defines it: periods, statistics, alarms and metric math. Points are
//! passed in, values and verdicts are returned. Never collects a point and never reads a clock: the caller brings both.
//!
//! In reading order: `summary` and `statistic` (what is kept of many values), `series` (points by time), `alarm` and
//! `composite` (alarms), `math` and `search` (expressions over series).
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod alarm;
pub mod composite;
pub mod math;
pub mod search;
pub mod series;
mod statistic;
mod summary;

pub use statistic::{Statistic, StatisticError};
pub use summary::{PERCENTILE_ERROR, Summary};
