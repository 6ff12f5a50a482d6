//! Decides which target gets a request, from the targets that may get one.
//! Never counts, probes or connects: what it needs to know comes in.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod round_robin;

pub use round_robin::RoundRobin;
