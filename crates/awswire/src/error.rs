//! The error that an API call answers with.

use std::borrow::Cow;

/// Whose fault an error is; AWS calls it the error's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The caller sent something wrong.
    Sender,
    /// We failed.
    Receiver,
}

/// AWS's code and message, with the HTTP status that carries them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The code that clients match on, e.g. `LoadBalancerNotFound`.
    pub code: String,
    /// The text for people.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
    /// Whose fault it is.
    pub blame: Blame,
}

impl ApiError {
    /// An error that the caller made: status 400.
    pub fn sender(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> ApiError {
        ApiError {
            code: code.into().into_owned(),
            message: message.into(),
            status: 400,
            blame: Blame::Sender,
        }
    }

    /// An error that we made, e.g. `InternalFailure` with 500 or `ServiceUnavailable` with 503.
    pub fn receiver(status: u16, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> ApiError {
        ApiError {
            code: code.into().into_owned(),
            message: message.into(),
            status,
            blame: Blame::Receiver,
        }
    }

    /// The same error under another HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> ApiError {
        self.status = status;
        self
    }

    /// A body that is not what its model says, in the words of JSON and CBOR: `SerializationException`.
    pub(crate) fn serialization(message: impl Into<String>) -> ApiError {
        ApiError::sender("SerializationException", message)
    }

    /// A parameter that breaks a rule, in AWS Query's words: `ValidationError`.
    pub fn validation(message: impl Into<String>) -> ApiError {
        ApiError::sender("ValidationError", message)
    }
}
