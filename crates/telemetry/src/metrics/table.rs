//! The table of all metrics: Prometheus' text, `forebay top`, `docs/metrics.md`, CloudWatch's datapoints and whoever else shows
//! metrics read it. A new metric is a row of it, and a line where it is counted.

mod agent;
mod backlogs;
pub mod names;
mod nodes;
mod not_reported;
mod planners;
mod process;
mod row;
mod server;

use super::metric::Metric;
pub use not_reported::NOT_REPORTED;

/// Every metric of every program of Forebay's, in the order of pages.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    server::ROWS
        .iter()
        .chain(planners::ROWS)
        .chain(backlogs::ROWS)
        .chain(nodes::ROWS)
        .chain(process::ROWS)
        .chain(agent::ROWS)
}
