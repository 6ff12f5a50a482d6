//! Shows what the process does: Prometheus text and a health page on the admin address, and ALB's logs.
//! Never counts what others do: their counters are kept where the work is done, and read here.
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
