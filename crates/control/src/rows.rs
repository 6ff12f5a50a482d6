//! Rows as the store keeps them: the difference between two states, and errors of stored rows.

use serde::Serialize;

/// A row that differs between two states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// The table's name.
    pub table: &'static str,
    /// The row's key, unique in the table.
    pub key: String,
    /// Its JSON; `None` if the row was deleted.
    pub value: Option<Vec<u8>>,
}

/// Why stored rows do not make a state.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// A row's value cannot be read.
    #[error("row '{key}' of table '{table}' cannot be read")]
    Unreadable {
        /// The row's table.
        table: String,
        /// The row's key.
        key: String,
        /// The JSON parser's error.
        #[source]
        cause: serde_json::Error,
    },
    /// This version has no such table.
    #[error("table '{0}' is unknown to this version: was the data written by a newer one?")]
    UnknownTable(String),
    /// The row's key has no region.
    #[error("row '{key}' of table '{table}' names no region")]
    NoRegion {
        /// The row's table.
        table: String,
        /// The row's key.
        key: String,
    },
    /// The row of the state's settings is missing.
    #[error("the row 'settings' of table 'state' is missing")]
    NoSettings,
}

/// A record's JSON. This cannot fail: records contain nothing that JSON cannot represent (such as maps whose keys are
/// not strings).
pub(crate) fn json<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_else(|error| unreachable!("a record that JSON cannot hold: {error}"))
}
