//! Shield: answers that nobody has subscribed, so that callers ask for no protection.

mod subscription;

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[OperationSpec::read(
    "GetSubscriptionState",
    subscription::subscription_state,
)];
