//! How a process is, in a word.

use hyper::StatusCode;

/// The words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is served yet.
    Starting,
    /// Everything is served.
    Ok,
    /// Not everything is served; to send traffic elsewhere would not help what is.
    Impaired,
    /// No change can be stored.
    CannotStore,
    /// It finishes requests, and ends.
    Draining,
}

impl Standing {
    /// Each, in the order of a life.
    pub const ALL: [Standing; 5] = [
        Standing::Starting,
        Standing::Ok,
        Standing::Impaired,
        Standing::CannotStore,
        Standing::Draining,
    ];

    /// As the health page has it.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Starting => "starting",
            Standing::Ok => "ok",
            Standing::Impaired => "impaired",
            Standing::CannotStore => "cannot-store",
            Standing::Draining => "draining",
        }
    }

    /// What a probe is told.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Standing::Ok | Standing::Impaired => StatusCode::OK,
            Standing::Starting | Standing::CannotStore | Standing::Draining => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}
