//! Errors of Lambda.

use crate::api::errors::error;
use forebay_awswire::ApiError;

pub(super) fn no_function(arn: &str) -> ApiError {
    error("ResourceNotFoundException", format!("Function not found: {arn}")).with_status(404)
}

pub(super) fn not_found(message: impl Into<String>) -> ApiError {
    error("ResourceNotFoundException", message).with_status(404)
}

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    error("InvalidParameterValueException", message)
}

pub(super) fn conflict(message: impl Into<String>) -> ApiError {
    error("ResourceConflictException", message).with_status(409)
}

pub(super) fn other_revision() -> ApiError {
    error(
        "PreconditionFailedException",
        "The RevisionId provided does not match the latest RevisionId. Call the GetFunction/GetAlias API to retrieve the latest \
         RevisionId",
    )
    .with_status(412)
}
