//! The table of all metrics. Prometheus' text, `forebay top`, `docs/metrics.md` and CloudWatch's datapoints are made from
//! it. A
//! new metric is a row of the table, and a line where it is counted.
//!
//! `row` is how rows are written and `names` the names that others use; `server`, `nodes`, `planners`, `backlogs`,
//! `process` and `agent` hold the rows, and `not_reported` AWS's metrics that have none.

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

/// All metrics of all programs, in the order of pages.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    server::ROWS
        .iter()
        .chain(planners::ROWS)
        .chain(backlogs::ROWS)
        .chain(nodes::ROWS)
        .chain(process::ROWS)
        .chain(agent::ROWS)
}
