//! Errors that several operations return, with AWS's codes: first those of no particular service, then Elastic Load
//! Balancing's, then EC2's.

use forebay_awswire::ApiError;

pub(crate) fn error(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::sender(code, message)
}

/// AWS's error for a value that a JSON service does not accept.
pub(crate) fn invalid_parameter(message: impl Into<String>) -> ApiError {
    error("InvalidParameterException", message)
}

pub(crate) fn validation(message: impl Into<String>) -> ApiError {
    ApiError::sender("ValidationError", message)
}

pub(crate) fn configuration(message: impl Into<String>) -> ApiError {
    ApiError::sender("InvalidConfigurationRequest", message)
}

pub(crate) fn not_permitted(message: impl Into<String>) -> ApiError {
    ApiError::sender("OperationNotPermitted", message)
}

pub(crate) fn balancer_missing(arn: &str) -> ApiError {
    ApiError::sender("LoadBalancerNotFound", format!("Load balancer '{arn}' not found"))
}

pub(crate) fn balancers_missing(names: &[&str]) -> ApiError {
    ApiError::sender(
        "LoadBalancerNotFound",
        format!("Load balancers '[{}]' not found", names.join(", ")),
    )
}

pub(crate) fn listener_missing() -> ApiError {
    ApiError::sender("ListenerNotFound", "One or more listeners not found")
}

pub(crate) fn rule_missing() -> ApiError {
    ApiError::sender("RuleNotFound", "One or more rules not found")
}

pub(crate) fn groups_missing() -> ApiError {
    ApiError::sender("TargetGroupNotFound", "One or more target groups not found")
}

/// AWS's error for a value outside an enum.
pub(crate) fn not_in(value: &str, path: &str, words: &[&str]) -> ApiError {
    validation(format!(
        "1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
        words.join(", ")
    ))
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
