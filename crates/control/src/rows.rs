//! Rows, as the store keeps them: what differs between two states, and why stored rows may be no state.

use serde::Serialize;

/// A row that differs between two states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// The table's name.
    pub table: &'static str,
    /// The row's key, unique in the table.
    pub key: String,
    /// Its JSON; none if the row is gone.
    pub value: Option<Vec<u8>>,
}

/// Why stored rows are no state.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// A row's value cannot be read.
    #[error("row '{key}' of table '{table}' cannot be read")]
    Unreadable {
        /// The row's table.
        table: String,
        /// The row's key.
        key: String,
        /// What JSON said.
        #[source]
        cause: serde_json::Error,
    },
    /// A table that this version does not know.
    #[error("table '{0}' is unknown to this version")]
    UnknownTable(String),
    /// A key without a region.
    #[error("row '{key}' of table '{table}' names no region")]
    NoRegion {
        /// The row's table.
        table: String,
        /// The row's key.
        key: String,
    },
    /// The row that holds the state's own facts is missing.
    #[error("the row 'settings' of table 'state' is missing")]
    NoSettings,
}

/// A record's JSON. Our records hold nothing that JSON cannot (no map with keys other than strings).
pub(crate) fn json<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_else(|error| unreachable!("a record that JSON cannot hold: {error}"))
}
