//! What several controllers aim at.

/// The share of an instance's slots that peers keep busy, where they keep a share: 70 per cent, which is Knative's default
/// (`container-concurrency-target-percentage`) and usual elsewhere.
pub const TARGET: f64 = 0.7;
