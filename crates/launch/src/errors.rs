//! What goes wrong here is told to people, so an error is a text: what was tried, and what the system said.

/// Puts what was tried before what the system said.
pub(crate) trait Tried<T> {
    /// The value, or a text of both.
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, String>;
}

impl<T, E: core::fmt::Display> Tried<T> for Result<T, E> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, String> {
        self.map_err(|error| format!("cannot {}: {error}", what()))
    }
}
