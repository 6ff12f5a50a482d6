//! The errors that several operations give.

use forebay_awswire::ApiError;

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

/// AWS's words for a value that its enum does not hold.
pub(crate) fn not_in(value: &str, path: &str, words: &[&str]) -> ApiError {
    validation(format!(
        "1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
        words.join(", ")
    ))
}
