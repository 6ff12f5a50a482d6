//! Windows, statistics and alarms over what was measured: points in, values and verdicts out, as CloudWatch defines them.
//! Never collects a point and never reads a clock: whoever asks brings both.
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
