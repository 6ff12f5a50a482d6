//! What another process can know of a target's health.

use forebay_health::TrackerRecord;

/// What is known of a target's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptHealth {
    /// The group's ARN.
    pub group: String,
    /// The target's id.
    pub target: String,
    /// The port it was registered with.
    pub port: u16,
    /// What its tracker knows.
    pub record: TrackerRecord,
}
