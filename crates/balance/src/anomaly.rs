//! Which targets behave unlike their peers, and what weight that leaves them (alb reference, section 7). Looked at every five
//! seconds, when at least three targets are healthy; see `evidence` for the test.

mod evidence;
mod judge;
mod latencies;
mod record;
#[cfg(test)]
mod tests;

pub use judge::{Policy, Subject, look};
pub use latencies::{CLASSES, Latencies, class_end, latency_class};
pub use record::{Change, Counts, Evidence, FEWEST_HEALTHY, LOOK, PeerRecord, Signal, Why};
