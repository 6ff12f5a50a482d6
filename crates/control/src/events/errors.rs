//! Errors of EventBridge.

use crate::api::errors::error;
use forebay_awswire::ApiError;

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    error("ValidationException", message)
}

pub(super) fn no_rule(name: &str) -> ApiError {
    error(
        "ResourceNotFoundException",
        format!("Rule {name} does not exist on EventBus default."),
    )
}

pub(super) fn limit(message: impl Into<String>) -> ApiError {
    error("LimitExceededException", message)
}
