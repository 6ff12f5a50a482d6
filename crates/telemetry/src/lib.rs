//! Shows what the process does: Prometheus text and a health page on the admin address.
//! Never counts anything itself: counters are kept where the work is done, and read here.

mod admin;
mod metrics;

pub use admin::{Source, serve};
pub use metrics::render;
