//! Does what all programs here have in common: reads the command line, prints, logs to standard error, runs tasks.
//! Never knows what a program is for.
//!
//! `values` reads flags and variables, `out` writes standard output, `log` writes standard error, `runtime` runs tasks.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod log;
pub mod out;
mod runtime;
pub mod values;

pub use runtime::runtime;

/// The version of all programs, and the profile that they were built with: only figures from `dist` builds count.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("FOREBAY_PROFILE"), ")");
