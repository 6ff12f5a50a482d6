//! Names of metrics that other code reads from the page.

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
/// Response times of a target.
pub const TARGET_RESPONSE_SECONDS: &str = "forebay_target_response_seconds";
/// Weight of a target, after slow start and mitigation.
pub const TARGET_WEIGHT: &str = "forebay_target_weight";
/// Requests that wait for a slot.
pub const SURGE_QUEUE_LENGTH: &str = "forebay_surge_queue_length";
/// Slots in use, and free ones.
pub const SLOTS: &str = "forebay_slots";
/// Requests that were refused a slot.
pub const SPILLOVER: &str = "forebay_spillover";
/// Requests that waited and got a slot.
pub const QUEUED: &str = "forebay_queued";
/// Requests whose client left while they waited.
pub const QUEUE_LEFT: &str = "forebay_queue_left";
/// Waits of requests for a slot.
pub const QUEUE_WAIT_SECONDS: &str = "forebay_queue_wait_seconds";
/// Open control channels.
pub const TARGET_CONTROL_ACTIVE_CHANNELS: &str = "forebay_target_control_active_channels";
/// Desired capacity of a planned group.
pub const PLANNER_DESIRED: &str = "forebay_planner_desired_capacity";
/// Capacity that its planner finds necessary.
pub const PLANNER_NEEDED: &str = "forebay_planner_needed_capacity";
/// Capacity in service.
pub const PLANNER_READY: &str = "forebay_planner_ready_capacity";
/// Capacity that was ordered and is not in service yet.
pub const PLANNER_PENDING: &str = "forebay_planner_pending_capacity";
/// Time from a change of the load until there are slots for it.
pub const PLANNER_LEAD_SECONDS: &str = "forebay_planner_lead_seconds";
/// Requests a second that arrive.
pub const PLANNER_ARRIVAL_RATE: &str = "forebay_planner_arrival_rate";
/// The longest wait that is predicted.
pub const PLANNER_LONGEST_WAIT_SECONDS: &str = "forebay_planner_longest_wait_seconds";
/// By how much that wait may grow before a request is refused.
pub const PLANNER_MARGIN_SECONDS: &str = "forebay_planner_margin_seconds";
/// The prefix of all metrics of groups that are sized by a backlog.
pub const BACKLOG: &str = "forebay_backlog_";
/// Messages that may be received from such a group's queue.
pub const BACKLOG_VISIBLE: &str = "forebay_backlog_visible_messages";
/// Messages that were received from it and not deleted yet.
pub const BACKLOG_IN_FLIGHT: &str = "forebay_backlog_in_flight_messages";
/// Visible messages that will be late.
pub const BACKLOG_LATE: &str = "forebay_backlog_late_messages";
/// Time from a message's receive to its delete.
pub const BACKLOG_PROCESSING_SECONDS: &str = "forebay_backlog_processing_seconds";
/// Visible messages per instance.
pub const BACKLOG_PER_INSTANCE: &str = "forebay_backlog_per_instance";
/// Messages that an instance can process within the target latency.
pub const BACKLOG_ACCEPTABLE_PER_INSTANCE: &str = "forebay_backlog_acceptable_per_instance";
/// Desired capacity of the group.
pub const BACKLOG_DESIRED: &str = "forebay_backlog_desired_capacity";
/// Capacity that its backlog needs.
pub const BACKLOG_NEEDED: &str = "forebay_backlog_needed_capacity";
/// Capacity in service.
pub const BACKLOG_READY: &str = "forebay_backlog_ready_capacity";
/// Capacity that was ordered and is not in service yet.
pub const BACKLOG_PENDING: &str = "forebay_backlog_pending_capacity";
