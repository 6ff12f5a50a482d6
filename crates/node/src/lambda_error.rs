//! ALB's names for failures of requests to functions.

use crate::reason::Reason;

/// The failure of a request to a function, in ALB's words (access logs, "Error reason codes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LambdaError {
    /// The code in access logs.
    pub code: &'static str,
    /// Whether `LambdaUserError` counts it; otherwise `LambdaInternalError` does.
    pub is_users: bool,
}

impl Reason {
    /// ALB's name for it, if it is a failure of a request to a function.
    pub const fn lambda_error(self) -> Option<LambdaError> {
        let (code, is_users) = match self {
            Reason::BodyTooLarge => ("LambdaRequestTooLarge", true),
            Reason::WebSocketToFunction => ("LambdaWebsocketNotSupported", true),
            Reason::NotUtf8 => ("LambdaBadRequest", true),
            Reason::FunctionFailed => ("LambdaUnhandled", true),
            Reason::FunctionThrottled => ("LambdaThrottling", true),
            Reason::FunctionNotFound => ("LambdaResourceNotFound", true),
            Reason::FunctionsUnavailable => ("LambdaConnectionError", false),
            Reason::BadFunctionAnswer => ("LambdaInvalidResponse", true),
            Reason::FunctionAnswerTooLarge => ("LambdaResponseTooLarge", true),
            Reason::FunctionSilent => ("LambdaConnectionTimeout", false),
            _ => return None,
        };
        Some(LambdaError { code, is_users })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The access log page's "Error reason codes" for Lambda functions, with the metric that counts each.
    #[test]
    fn codes_are_those_of_albs_logs() {
        let codes = Reason::IN_PLACE_OF_A_TARGET
            .into_iter()
            .chain([Reason::BodyTooLarge, Reason::WebSocketToFunction, Reason::NotUtf8])
            .filter_map(Reason::lambda_error);
        let (users, internal): (Vec<_>, Vec<_>) = codes.partition(|error| error.is_users);
        let sorted = |errors: Vec<LambdaError>| {
            let mut codes: Vec<&str> = errors.iter().map(|error| error.code).collect();
            codes.sort_unstable();
            codes
        };
        let of_users = [
            "LambdaBadRequest",
            "LambdaInvalidResponse",
            "LambdaRequestTooLarge",
            "LambdaResourceNotFound",
            "LambdaResponseTooLarge",
            "LambdaThrottling",
            "LambdaUnhandled",
            "LambdaWebsocketNotSupported",
        ];
        assert_eq!(sorted(users), of_users);
        assert_eq!(
            sorted(internal),
            ["LambdaConnectionError", "LambdaConnectionTimeout"]
        );
        assert_eq!(Reason::BadAnswer.lambda_error(), None);
    }
}
