//! Security Token Service: who am I.

use crate::api::arns::arn_of;
use crate::api::context::{OperationSpec, View};
use forebay_awswire::ApiError;
use serde_json::{Value, json};

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[OperationSpec::read("GetCallerIdentity", caller_identity)];

/// There are no users here, only keys: a key's user bears its name.
fn caller_identity(view: &View<'_>) -> Result<Value, ApiError> {
    let (account, caller) = (view.request.account, view.request.caller);
    let tail = caller.strip_prefix("AKIA").unwrap_or(caller);
    Ok(json!({
        "Account": account,
        "UserId": format!("AIDA{tail}"),
        "Arn": arn_of("iam", "", account, &format!("user/{caller}")),
    }))
}
