//! The error of an API call.

use std::borrow::Cow;

/// Who is at fault; AWS calls this the error's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The caller sent something wrong.
    Sender,
    /// The server failed.
    Receiver,
}

/// AWS's error code and message, with the HTTP status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The code that clients match on, such as `LoadBalancerNotFound`.
    pub code: String,
    /// The message for people.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
    /// Who is at fault.
    pub blame: Blame,
}

impl ApiError {
    /// An error caused by the caller, with status 400.
    pub fn sender(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> ApiError {
        ApiError {
            code: code.into().into_owned(),
            message: message.into(),
            status: 400,
            blame: Blame::Sender,
        }
    }

    /// An error of the server, such as `InternalFailure` with 500 or `ServiceUnavailable` with 503.
    pub fn receiver(status: u16, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> ApiError {
        ApiError {
            code: code.into().into_owned(),
            message: message.into(),
            status,
            blame: Blame::Receiver,
        }
    }

    /// The error with another HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> ApiError {
        self.status = status;
        self
    }

    /// A body that does not fit its model, in the words of JSON and CBOR: `SerializationException`.
    pub(crate) fn serialization(message: impl Into<String>) -> ApiError {
        ApiError::sender("SerializationException", message)
    }

    /// A parameter that violates a rule, in the words of AWS Query: `ValidationError`.
    pub fn validation(message: impl Into<String>) -> ApiError {
        ApiError::sender("ValidationError", message)
    }
}
