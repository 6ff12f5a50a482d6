//! The state of a process in a word.

use hyper::StatusCode;

/// The states of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is served yet.
    Starting,
    /// Everything is served.
    Ok,
    /// Not everything is served, but sending traffic elsewhere would not help what is.
    Impaired,
    /// No change can be stored.
    CannotStore,
    /// It finishes its requests and then ends.
    Draining,
}

impl Standing {
    /// All states, in the order of a process's life.
    pub const ALL: [Standing; 5] = [
        Standing::Starting,
        Standing::Ok,
        Standing::Impaired,
        Standing::CannotStore,
        Standing::Draining,
    ];

    /// The word on the health page.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Starting => "starting",
            Standing::Ok => "ok",
            Standing::Impaired => "impaired",
            Standing::CannotStore => "cannot-store",
            Standing::Draining => "draining",
        }
    }

    /// The status that a probe gets.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Standing::Ok | Standing::Impaired => StatusCode::OK,
            Standing::Starting | Standing::CannotStore | Standing::Draining => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}
