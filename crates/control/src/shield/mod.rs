//! Shield: answers that nobody has subscribed, so that callers ask for no protection.

use crate::api::context::{OperationSpec, View};
use forebay_awswire::ApiError;
use serde_json::{Value, json};

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] =
    &[OperationSpec::read("GetSubscriptionState", subscription_state)];

fn subscription_state(_: &View<'_>) -> Result<Value, ApiError> {
    Ok(json!({"SubscriptionState": "INACTIVE"}))
}

#[cfg(test)]
mod tests {
    use crate::testing::Caller;
    use forebay_awswire::Service;
    use serde_json::json;

    #[test]
    fn nobody_has_subscribed() {
        let answer = Caller::new().call_of(Service::Shield, "GetSubscriptionState", json!({}));
        assert_eq!(answer.unwrap(), json!({"SubscriptionState": "INACTIVE"}));
    }
}
