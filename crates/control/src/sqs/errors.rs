//! Errors of SQS, with the codes of its Query protocol, which JSON clients get, too.

use crate::api::errors::error;
use crate::messages::MessageError;
use forebay_awswire::ApiError;

pub(super) fn no_queue() -> ApiError {
    error(
        "AWS.SimpleQueueService.NonExistentQueue",
        "The specified queue does not exist.",
    )
}

/// The error for an invalid parameter. AWS uses this code without documenting it.
pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    error("InvalidParameterValue", message)
}

pub(super) fn invalid_value(value: &str, parameter: &str, reason: &str) -> ApiError {
    invalid(format!(
        "Value {value} for parameter {parameter} is invalid. Reason: {reason}"
    ))
}

pub(super) fn unknown_attribute(name: &str) -> ApiError {
    error("InvalidAttributeName", format!("Unknown Attribute {name}."))
}

pub(super) fn wrong_attribute(name: &str, why: &str) -> ApiError {
    let why = if why.is_empty() {
        String::new()
    } else {
        format!(" Reason: {why}")
    };
    error(
        "InvalidAttributeValue",
        format!("Invalid value for the parameter {name}.{why}"),
    )
}

pub(super) fn unsupported(message: impl Into<String>) -> ApiError {
    error("AWS.SimpleQueueService.UnsupportedOperation", message)
}

pub(super) fn missing(parameter: &str) -> ApiError {
    error(
        "MissingParameter",
        format!("The request must contain the parameter {parameter}."),
    )
}

/// In a batch the error contains the handle; otherwise it does not.
pub(super) fn invalid_receipt(handle: Option<&str>) -> ApiError {
    let message = match handle {
        None => "The input receipt handle is invalid.".to_owned(),
        Some(handle) => format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
    };
    error("ReceiptHandleIsInvalid", message)
}

pub(super) fn no_resource(message: impl Into<String>) -> ApiError {
    error("ResourceNotFoundException", message)
}

impl From<MessageError> for ApiError {
    fn from(why: MessageError) -> ApiError {
        let message = match why {
            MessageError::NoQueue => return no_queue(),
            MessageError::Busy => return error("RequestThrottled", "Too many calls wait. Try again."),
            MessageError::Storage => "The messages could not be written or read; nothing was changed.",
            MessageError::Stopping => "The service is stopping.",
            MessageError::Nowhere => "Messages are not available here.",
        };
        ApiError::receiver(503, "ServiceUnavailable", message)
    }
}
