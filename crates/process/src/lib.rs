//! What every program here does alike: reads its command line, prints, tells what happens on standard error, runs tasks.
//! Never knows what a program is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod log;
pub mod out;
mod runtime;
pub mod values;

pub use runtime::runtime;

/// The version of all programs, and the profile that they were built by: figures count of `dist` alone.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("FOREBAY_PROFILE"), ")");
