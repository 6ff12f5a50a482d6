//! GetCallerIdentity.

use crate::api::arns::arn_of;
use crate::api::context::View;
use forebay_awswire::ApiError;
use serde_json::{Value, json};

/// There are no users here, only access keys: each stands for a user with the key's name.
pub(crate) fn caller_identity(view: &View<'_>) -> Result<Value, ApiError> {
    let (account, caller) = (view.request.account, view.request.caller);
    let tail = caller.strip_prefix("AKIA").unwrap_or(caller);
    Ok(json!({
        "Account": account,
        "UserId": format!("AIDA{tail}"),
        "Arn": arn_of("iam", "", account, &format!("user/{caller}")),
    }))
}

#[cfg(test)]
mod tests {
    use crate::testing::Caller;
    use forebay_awswire::Service;
    use serde_json::json;

    #[test]
    fn callers_are_told_who_they_are() {
        let answer = Caller::new()
            .call_of(Service::Sts, "GetCallerIdentity", json!({}))
            .unwrap();
        assert_eq!(answer["Arn"], "arn:aws:iam::123456789012:user/AKID");
    }
}
