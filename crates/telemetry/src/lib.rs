//! Shows what the process does: Prometheus text and a health page on the admin address, ALB's three logs, and spans.
//! Never counts what others do: their counters are kept where the work is done, and are read here.
//!
//! In reading order:
//! - `metrics`: the snapshot of all figures, the table of metrics, their text and CloudWatch's datapoints
//! - `admin`, `planner`, `backlog`, `standing`: the pages of the admin address (`text`, `plain`: their answers)
//! - `logs`: access, connection and health-check logs, as files and live
//! - `spans`: OpenTelemetry spans; `export`: metrics by remote-write or OTLP (`otlp`: what both share)
//! - `post`, `endpoint`, `exports`: HTTP posts to receivers, their addresses, and what was sent or lost
//! - `process`: the kernel's figures of this process; `histogram`, `labels`: conversions for metrics
#![cfg_attr(test, allow(clippy::too_many_lines, clippy::unwrap_used))]

mod admin;
mod backlog;
mod endpoint;
pub mod export;
mod exports;
mod histogram;
mod labels;
pub mod logs;
pub mod metrics;
mod otlp;
mod plain;
mod planner;
pub mod post;
mod process;
pub mod spans;
mod standing;
mod text;

pub use admin::{Health, Source, answer, forbidden, health, page, snapshot};
pub use backlog::BacklogMetrics;
pub use endpoint::{MetricsEndpoint, NoEndpoint, NoRemoteWriteUrl, NoWebhookUrl, RemoteWriteUrl, WebhookUrl};
pub use exports::{
    DatapointMetrics, ExportCounters, ExportMetrics, NotificationCounters, NotificationMetrics, Receiver,
};
pub use metrics::PlannerMetrics;
pub use process::ProcessMetrics;
pub use standing::Standing;
