//! Functions as targets: what is checked before one is registered.

use crate::api::context::View;
use crate::elbv2::records::TargetGroup;
use crate::state::Dialect;
use forebay_awswire::ApiError;

pub(super) fn invalid_target(text: impl Into<String>) -> ApiError {
    ApiError::sender("InvalidTarget", text)
}

/// A function must exist, and its policy must permit load balancers to invoke it.
pub(super) fn check_function(view: &View<'_>, group: &TargetGroup, id: &str) -> Result<(), ApiError> {
    if view.dialect() == Dialect::Moto {
        return Ok(());
    }
    let Some(function) = crate::lambda::by_arn(view.region(), id) else {
        return Err(invalid_target(format!(
            "The Lambda function '{id}' does not exist in this region"
        )));
    };
    if crate::lambda::permits(function, "elasticloadbalancing.amazonaws.com", &group.arn) {
        return Ok(());
    }
    let text = format!(
        "elasticloadbalancing principal does not have permission to invoke {id} from target group {}",
        group.arn
    );
    Err(ApiError::sender("AccessDenied", text).with_status(403))
}
