//! GetSubscriptionState: there is no subscription.

use crate::api::context::View;
use forebay_awswire::ApiError;
use serde_json::{Value, json};

pub(crate) fn subscription_state(_: &View<'_>) -> Result<Value, ApiError> {
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
