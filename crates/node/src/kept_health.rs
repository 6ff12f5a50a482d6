//! A target's health, as another process can take it over.

use forebay_health::TrackerRecord;

/// The health of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptHealth {
    /// The group's ARN.
    pub group: String,
    /// The id that the target was registered with.
    pub target: String,
    /// The port it was registered with.
    pub port: u16,
    /// The state of its tracker.
    pub record: TrackerRecord,
}
