//! Security Token Service: answers who the caller is. The operation is in `identity`.

mod identity;

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[OperationSpec::read(
    "GetCallerIdentity",
    identity::caller_identity,
)];
