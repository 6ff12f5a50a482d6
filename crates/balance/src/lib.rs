//! Decides which target gets a request, from the targets that may get one, and which of them behave unlike their peers.
//! Never counts, probes or connects: what it needs to know comes in.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod anomaly;
mod chooser;
mod eligible;
mod least_loaded;
mod least_outstanding_requests;
mod peak_ewma;
mod power_of_two;
mod prequal;
mod retry_budget;
mod round_robin;
mod sample;
mod service_time;
mod slow_start;
mod sticky;
#[cfg(test)]
mod testing;
mod weight;
mod weighted_random;

pub use chooser::Chooser;
pub use eligible::{Choose, EligibleTargets};
pub use least_loaded::LeastLoadedIndex;
pub use least_outstanding_requests::LeastOutstandingRequests;
pub use peak_ewma::{PeakEwma, PeakLatency};
pub use power_of_two::PowerOfTwo;
pub use prequal::{LOADS, MedianLatency, Prequal, load_class};
pub use retry_budget::RetryBudget;
pub use round_robin::RoundRobin;
pub use service_time::ServiceTime;
pub use slow_start::Ramp;
pub use sticky::{COOKIE_LENGTH, Keys, Mark, Opened, Scope};
pub use weight::Weight;
pub use weighted_random::WeightedRandom;
