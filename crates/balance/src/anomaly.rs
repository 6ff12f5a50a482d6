//! Finds targets that behave unlike their peers, and sets the weights that this leaves them (user guide for Application
//! Load Balancers, "Automatic Target Weights"). Runs every five seconds while at least three targets are healthy.
//!
//! In reading order: `record` (what is kept of a target), `judge` (one look at a group), `evidence` (the statistical
//! test), `latencies` (latencies in classes, for medians).

mod evidence;
mod judge;
mod latencies;
mod record;
#[cfg(test)]
mod tests;

pub use judge::{Policy, Subject, look};
pub use latencies::{CLASSES, Latencies, class_end, latency_class};
pub use record::{Change, Counts, Evidence, FEWEST_HEALTHY, LOOK, PeerRecord, Signal, Why};
