//! Errors as the AWS APIs give them.

use core::fmt;

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The caller's: the same call will fail again.
    Sender,
    /// Ours.
    Receiver,
}

/// An error as a caller of the API sees it. Display prints `code: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// AWS's code, such as `LoadBalancerNotFound`.
    pub code: String,
    /// Text for people (and for clients that search it).
    pub message: String,
    /// HTTP status of the answer.
    pub status: u16,
    /// Whose fault it is.
    pub blame: Blame,
}

impl ApiError {
    /// The caller's error, with status 400.
    pub fn sender(code: impl Into<String>, message: impl Into<String>) -> ApiError {
        ApiError { code: code.into(), message: message.into(), status: 400, blame: Blame::Sender }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl core::error::Error for ApiError {}
