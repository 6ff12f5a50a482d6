//! Metrics: a snapshot of figures, the table of what is read of it, and its text for Prometheus.

mod metric;
mod snapshot;
mod table;
mod text;

pub use metric::{
    CloudWatch, Dimension, Dimensions, Kind, Metric, NAMESPACE, Part, Read, Sample, Statistic, Unit, Value,
    Values,
};
pub use snapshot::{AgentMetrics, MetricsSnapshot, Own, ServerMetrics};
pub use table::{all, names};
pub use text::render;

#[cfg(test)]
mod tests;
