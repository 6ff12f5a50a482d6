//! Errors of this crate are read by people, so they are texts: what was tried, and the system's error.

/// Adds what was tried to an error.
pub(crate) trait Tried<T> {
    /// The value, or a text of both.
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, String>;
}

impl<T, E: core::fmt::Display> Tried<T> for Result<T, E> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, String> {
        self.map_err(|error| format!("cannot {}: {error}", what()))
    }
}
