//! Shield: answers that there is no subscription, so that clients do not ask for protections. The operation is in
//! `subscription`.

mod subscription;

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[OperationSpec::read(
    "GetSubscriptionState",
    subscription::subscription_state,
)];
