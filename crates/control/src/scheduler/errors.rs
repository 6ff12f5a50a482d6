//! Errors of EventBridge Scheduler.

use crate::api::errors::error;
use forebay_awswire::ApiError;

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    error("ValidationException", message)
}

pub(super) fn not_found(noun: &str, name: &str) -> ApiError {
    error(
        "ResourceNotFoundException",
        format!("{noun} {name} does not exist."),
    )
    .with_status(404)
}

pub(super) fn conflict(noun: &str, name: &str) -> ApiError {
    error("ConflictException", format!("{noun} {name} already exists.")).with_status(409)
}

pub(super) fn quota(message: impl Into<String>) -> ApiError {
    error("ServiceQuotaExceededException", message).with_status(402)
}
