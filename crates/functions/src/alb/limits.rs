//! ALB's limits, each way.

/// Bytes of a request's body: more are answered with 413.
pub const BODY_BYTES: usize = 1024 * 1024;
/// Bytes of the JSON document that a function answers with.
pub const ANSWER_BYTES: usize = 1024 * 1024;
