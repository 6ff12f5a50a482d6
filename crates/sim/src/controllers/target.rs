//! The target that several controllers share.

/// The share of an instance's slots that other controllers keep busy, if they have such a target: 70 per cent, which is
/// Knative's default (`container-concurrency-target-percentage`) and common elsewhere.
pub const TARGET: f64 = 0.7;
