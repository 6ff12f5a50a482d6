//! Decides which of the eligible targets gets a request, and which targets behave unlike their peers. Never counts,
//! probes or connects: everything it needs to know is passed in.
//!
//! In reading order:
//! - `eligible`: the targets as an algorithm sees them (`EligibleTargets`), and what an algorithm is (`Choose`);
//!   `weight`: a target's share.
//! - `chooser`: the algorithms behind one type: `round_robin`, `least_outstanding_requests` (over `least_loaded`),
//!   `weighted_random`, `power_of_two`, `peak_ewma`, `prequal`; `sample` draws by weight.
//! - `slow_start`, `anomaly`: what reduces a target's weight.
//! - `service_time`, `retry_budget`, `sticky`: failed slots, retries, sticky cookies.
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
