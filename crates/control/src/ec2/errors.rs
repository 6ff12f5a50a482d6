//! EC2's errors.

use forebay_awswire::ApiError;

pub(crate) fn error(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::sender(code, message)
}

pub(crate) fn bad(message: String) -> ApiError {
    error("InvalidParameterValue", message)
}

pub(crate) fn missing(parameter: &str) -> ApiError {
    error(
        "MissingParameter",
        format!("The request must contain the parameter {parameter}"),
    )
}

pub(crate) fn no_vpc(id: &str) -> ApiError {
    error(
        "InvalidVpcID.NotFound",
        format!("The vpc ID '{id}' does not exist"),
    )
}

pub(crate) fn no_subnet(id: &str) -> ApiError {
    error(
        "InvalidSubnetID.NotFound",
        format!("The subnet ID '{id}' does not exist"),
    )
}

pub(crate) fn no_group(id: &str) -> ApiError {
    error(
        "InvalidGroup.NotFound",
        format!("The security group '{id}' does not exist"),
    )
}

pub(crate) fn depended_on(noun: &str, id: &str) -> ApiError {
    error(
        "DependencyViolation",
        format!("The {noun} '{id}' has dependencies and cannot be deleted."),
    )
}
