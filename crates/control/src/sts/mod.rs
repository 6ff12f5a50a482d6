//! Security Token Service: who am I.

mod identity;

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[OperationSpec::read(
    "GetCallerIdentity",
    identity::caller_identity,
)];
