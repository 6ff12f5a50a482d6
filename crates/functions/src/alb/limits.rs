//! ALB's limits for requests to functions and their answers.

/// Maximum size of a request's body in bytes; larger ones are answered with 413.
pub const BODY_BYTES: usize = 1024 * 1024;
/// Maximum size of a function's answer in bytes, as a JSON document.
pub const ANSWER_BYTES: usize = 1024 * 1024;
