//! Metrics: a snapshot of all figures, the table of what is read from it, and what is made of both.
//!
//! In reading order: `snapshot`; `metric` and `dimension` (what a row of the table says), `table`; `lines` and `text`
//! (Prometheus' page); `cloudwatch`, `datapoints` and `lcu` (what CloudWatch's API has).

mod cloudwatch;
mod datapoints;
mod dimension;
mod lcu;
mod lines;
mod metric;
mod snapshot;
mod table;
mod text;

pub use cloudwatch::{CloudWatch, NAMESPACE, OWN_NAMESPACE, Part, Statistic};
pub use datapoints::{Datapoint, DatapointValue, datapoints};
pub use dimension::Dimension;
pub use lcu::{CONSUMED, PEAK, Usage, capacity_datapoints};
pub(crate) use lines::{Labels, lines};
pub use metric::{Dimensions, Kind, Metric, Read, Sample, Unit, Value, Values};
pub use snapshot::{AgentMetrics, ExpiryMetrics, MetricsSnapshot, Own, PlannerMetrics, ServerMetrics};
pub use table::{NOT_REPORTED, all, names};
pub use text::render;

#[cfg(test)]
mod tests;
