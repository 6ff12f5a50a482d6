//! Why the load balancer answered by itself, or an exchange ended early.

/// Every way in which a request does not get its target's answer. Logs, metrics and tests use these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The rule's action is a fixed response.
    FixedResponse,
    /// The rule's action is a redirect.
    Redirect,
    /// The redirect's Location would be too long.
    RedirectTooLong,
    /// The request is not HTTP, or exceeds a limit.
    Malformed,
    /// Servers differ on what the path names, and the load balancer requires unambiguous paths.
    AmbiguousPath,
    /// The request line is longer than 16 KiB.
    UriTooLong,
    /// TRACE is not allowed.
    TraceNotAllowed,
    /// More than 30 addresses in X-Forwarded-For.
    TooManyForwarded,
    /// A transfer coding other than chunked or identity.
    TransferEncoding,
    /// An HTTP version that is not supported here.
    Version,
    /// The client sent nothing until its timeout.
    ClientSilent,
    /// The client left before its answer was complete.
    ClientGone,
    /// The client's body broke off or was malformed.
    BodyBroken,
    /// The group has no target (in this zone), or every weight is 0.
    NoTarget,
    /// The rule's action, the listener or the group needs something that this version does not support.
    NotServed,
    /// The client's protocol version does not fit the group's.
    ProtocolMismatch,
    /// A transform's result cannot be sent.
    TransformFailed,
    /// Every target that was tried refused the connection.
    Refused,
    /// The TLS handshake with the target failed.
    TargetHandshake,
    /// A target did not accept the connection in time.
    ConnectTimeout,
    /// The target closed or reset the connection before its answer was complete.
    TargetClosed,
    /// The target's answer is not HTTP, or exceeds a limit.
    BadAnswer,
    /// The target sent nothing until the idle timeout.
    TargetSilent,
    /// The target's deregistration delay ended before its answer.
    DeregistrationOver,
    /// The maximum number of client connections was open.
    TooManyConnections,
    /// Buffers used as much memory as they may.
    MemoryCeiling,
    /// No file descriptor or local port was left for a connection.
    OutOfResources,
    /// No target had a slot, and the group has no queue.
    NoSlot,
    /// The maximum number of requests was waiting for a slot.
    QueueFull,
    /// The wait for a slot would have been longer than allowed.
    PredictedWait,
    /// The wait for a slot reached its limit.
    QueueWait,
    /// A class with less than its share of the queue needed the place.
    Displaced,
    /// Groups with a target control port do not carry WebSockets.
    WebSocketNotServed,
    /// The agents of all targets that were tried refused the request's permit.
    PermitRefused,
    /// The body is larger than a function accepts.
    BodyTooLarge,
    /// Functions do not carry WebSockets.
    WebSocketToFunction,
    /// The request contains bytes that are not UTF-8 and so cannot be put into an event.
    NotUtf8,
    /// The function failed: it reported an error, exceeded its time, or exited.
    FunctionFailed,
    /// The maximum number of invocations was running.
    FunctionThrottled,
    /// The function does not exist.
    FunctionNotFound,
    /// Functions are not run here, or could not be invoked.
    FunctionsUnavailable,
    /// The function's answer is malformed.
    BadFunctionAnswer,
    /// The function's answer is larger than it may be.
    FunctionAnswerTooLarge,
    /// The function did not answer until the idle timeout.
    FunctionSilent,
    /// Beside an agent: the request carries no permit.
    WorkIdMissing,
    /// Beside an agent: the request's permit is not one of this agent's, or was used or revoked.
    WorkIdUnknown,
}

impl Reason {
    /// The reasons with status 502, 503 or 504: a target should have answered and did not.
    pub const IN_PLACE_OF_A_TARGET: [Reason; 24] = [
        Reason::NoTarget,
        Reason::Refused,
        Reason::TargetHandshake,
        Reason::ConnectTimeout,
        Reason::TargetClosed,
        Reason::BadAnswer,
        Reason::TargetSilent,
        Reason::DeregistrationOver,
        Reason::TooManyConnections,
        Reason::MemoryCeiling,
        Reason::OutOfResources,
        Reason::NoSlot,
        Reason::QueueFull,
        Reason::PredictedWait,
        Reason::QueueWait,
        Reason::Displaced,
        Reason::PermitRefused,
        Reason::FunctionFailed,
        Reason::FunctionThrottled,
        Reason::FunctionNotFound,
        Reason::FunctionsUnavailable,
        Reason::BadFunctionAnswer,
        Reason::FunctionAnswerTooLarge,
        Reason::FunctionSilent,
    ];

    /// The word for logs and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Reason::FixedResponse => "fixed-response",
            Reason::Redirect => "redirect",
            Reason::RedirectTooLong => "redirect-too-long",
            Reason::Malformed => "malformed",
            Reason::AmbiguousPath => "ambiguous-path",
            Reason::UriTooLong => "uri-too-long",
            Reason::TraceNotAllowed => "trace-not-allowed",
            Reason::TooManyForwarded => "too-many-forwarded",
            Reason::TransferEncoding => "transfer-encoding",
            Reason::Version => "version",
            Reason::ClientSilent => "client-silent",
            Reason::ClientGone => "client-gone",
            Reason::BodyBroken => "body-broken",
            Reason::NoTarget => "no-target",
            Reason::NotServed => "not-served",
            Reason::ProtocolMismatch => "protocol-mismatch",
            Reason::TransformFailed => "transform-failed",
            Reason::Refused => "refused",
            Reason::TargetHandshake => "target-handshake",
            Reason::ConnectTimeout => "connect-timeout",
            Reason::TargetClosed => "target-closed",
            Reason::BadAnswer => "bad-answer",
            Reason::TargetSilent => "target-silent",
            Reason::DeregistrationOver => "deregistration-over",
            Reason::TooManyConnections => "too-many-connections",
            Reason::MemoryCeiling => "memory-ceiling",
            Reason::OutOfResources => "out-of-resources",
            Reason::NoSlot => "no-slot",
            Reason::QueueFull => "queue-full",
            Reason::PredictedWait => "predicted-wait",
            Reason::QueueWait => "queue-wait",
            Reason::Displaced => "displaced",
            Reason::WebSocketNotServed => "websocket-not-served",
            Reason::PermitRefused => "permit-refused",
            Reason::BodyTooLarge => "body-too-large",
            Reason::WebSocketToFunction => "websocket-to-function",
            Reason::NotUtf8 => "not-utf-8",
            Reason::FunctionFailed => "function-failed",
            Reason::FunctionThrottled => "function-throttled",
            Reason::FunctionNotFound => "function-not-found",
            Reason::FunctionsUnavailable => "functions-unavailable",
            Reason::BadFunctionAnswer => "bad-function-answer",
            Reason::FunctionAnswerTooLarge => "function-answer-too-large",
            Reason::FunctionSilent => "function-silent",
            Reason::WorkIdMissing => "work-id-missing",
            Reason::WorkIdUnknown => "work-id-unknown",
        }
    }

    /// Whether the target is to blame, so that its slot counts as failed.
    pub const fn blames_target(self) -> bool {
        matches!(
            self,
            Reason::Refused
                | Reason::TargetHandshake
                | Reason::ConnectTimeout
                | Reason::TargetClosed
                | Reason::BadAnswer
                | Reason::TargetSilent
                | Reason::FunctionFailed
                | Reason::FunctionThrottled
                | Reason::FunctionNotFound
                | Reason::FunctionsUnavailable
                | Reason::BadFunctionAnswer
                | Reason::FunctionAnswerTooLarge
                | Reason::FunctionSilent
        )
    }

    /// An agent's word about a request's permit, so that its node may send the request again: the application saw
    /// nothing of it.
    pub const fn work_refused(self) -> Option<&'static str> {
        match self {
            Reason::WorkIdMissing => Some("missing"),
            Reason::WorkIdUnknown => Some("unknown"),
            _ => None,
        }
    }

    /// The status that the client gets. 460 appears only in logs.
    pub const fn status(self) -> u16 {
        match self {
            Reason::FixedResponse => 200,
            Reason::Redirect => 302,
            Reason::RedirectTooLong => 507,
            Reason::Malformed
            | Reason::AmbiguousPath
            | Reason::BodyBroken
            | Reason::WebSocketToFunction
            | Reason::NotUtf8
            | Reason::WorkIdMissing => 400,
            Reason::WorkIdUnknown => 403,
            Reason::BodyTooLarge => 413,
            Reason::UriTooLong => 414,
            Reason::TraceNotAllowed => 405,
            Reason::TooManyForwarded => 463,
            Reason::ProtocolMismatch => 464,
            Reason::TransferEncoding | Reason::WebSocketNotServed => 501,
            Reason::Version => 505,
            Reason::ClientSilent => 408,
            Reason::ClientGone => 460,
            Reason::NoTarget
            | Reason::TooManyConnections
            | Reason::MemoryCeiling
            | Reason::OutOfResources
            | Reason::NoSlot
            | Reason::QueueFull
            | Reason::PredictedWait
            | Reason::QueueWait
            | Reason::Displaced
            | Reason::PermitRefused => 503,
            Reason::NotServed | Reason::TransformFailed => 500,
            Reason::Refused
            | Reason::TargetHandshake
            | Reason::TargetClosed
            | Reason::BadAnswer
            | Reason::DeregistrationOver
            | Reason::FunctionFailed
            | Reason::FunctionThrottled
            | Reason::FunctionNotFound
            | Reason::FunctionsUnavailable
            | Reason::BadFunctionAnswer
            | Reason::FunctionAnswerTooLarge => 502,
            Reason::ConnectTimeout | Reason::TargetSilent | Reason::FunctionSilent => 504,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_in_place_of_a_target_have_a_gateways_status() {
        for (place, reason) in Reason::IN_PLACE_OF_A_TARGET.into_iter().enumerate() {
            assert!((502..=504).contains(&reason.status()), "{}", reason.word());
            let first = Reason::IN_PLACE_OF_A_TARGET.iter().position(|one| *one == reason);
            assert_eq!(first, Some(place));
        }
    }
}
