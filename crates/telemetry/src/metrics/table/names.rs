//! Names by which others read the page.

/// Whether a target is healthy.
pub const TARGET_HEALTHY: &str = "forebay_target_healthy";
/// Requests under way at a target.
pub const TARGET_IN_FLIGHT: &str = "forebay_target_in_flight";
/// Requests sent to a target.
pub const TARGET_REQUESTS: &str = "forebay_target_requests";
/// Connections to a target that failed.
pub const TARGET_CONNECTION_ERRORS: &str = "forebay_target_connection_errors";
/// Answers of a target.
pub const TARGET_ANSWERS: &str = "forebay_target_answers";
/// How long a target takes.
pub const TARGET_RESPONSE_SECONDS: &str = "forebay_target_response_seconds";
/// What is left of a target's weight.
pub const TARGET_WEIGHT: &str = "forebay_target_weight";
/// Requests that wait.
pub const SURGE_QUEUE_LENGTH: &str = "forebay_surge_queue_length";
/// Slots in use and free.
pub const SLOTS: &str = "forebay_slots";
/// Requests that were refused a slot.
pub const SPILLOVER: &str = "forebay_spillover";
/// Requests that waited.
pub const QUEUED: &str = "forebay_queued";
/// Requests whose client left.
pub const QUEUE_LEFT: &str = "forebay_queue_left";
/// How long requests waited.
pub const QUEUE_WAIT_SECONDS: &str = "forebay_queue_wait_seconds";
/// Control channels that stand.
pub const TARGET_CONTROL_ACTIVE_CHANNELS: &str = "forebay_target_control_active_channels";
