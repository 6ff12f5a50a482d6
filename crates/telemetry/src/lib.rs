//! Shows what the process does: Prometheus text and a health page on the admin address, and ALB's logs.
//! Never counts what others do: their counters are kept where the work is done, and read here.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admin;
mod handshakes;
mod histogram;
pub mod logs;
mod metrics;
mod plain;
mod queues;
pub mod spans;

pub use admin::{Health, Source, Standing, answer, forbidden, health};
pub use metrics::{Own, render};
