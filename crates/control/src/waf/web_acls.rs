//! GetWebACLForResource: there is no web ACL.

use crate::api::context::View;
use crate::elbv2::records::BalancerKind;
use forebay_awswire::{ApiError, Service};
use serde_json::{Value, json};

/// The answer for a resource without a web ACL is empty; one that does not exist, or cannot have a web ACL, is an
/// error.
pub(crate) fn acl_of_resource(view: &View<'_>) -> Result<Value, ApiError> {
    let arn = view.request.input["ResourceArn"].as_str().unwrap_or_default();
    let balancer = view.region().load_balancers.get(arn);
    if balancer.is_some_and(|balancer| balancer.kind == BalancerKind::Application) {
        return Ok(json!({}));
    }
    let is_arn = arn.starts_with("arn:") && arn.split(':').count() >= 6;
    if balancer.is_some() || !is_arn {
        return Err(invalid(view.request.service, arn));
    }
    let text = match view.request.service {
        Service::WafRegional => "The referenced item does not exist.",
        _ => "AWS WAF couldn\u{2019}t perform the operation because your resource doesn\u{2019}t exist.",
    };
    Err(ApiError::sender("WAFNonexistentItemException", text))
}

fn invalid(service: Service, arn: &str) -> ApiError {
    let text = match service {
        Service::WafRegional => format!("The ARN '{arn}' is not one of a resource that can have a web ACL."),
        _ => format!(
            "Error reason: The ARN isn't valid. A valid ARN begins with arn: and includes other information separated by \
             colons or slashes., field: RESOURCE_ARN, parameter: {arn}"
        ),
    };
    ApiError::sender("WAFInvalidParameterException", text)
}

#[cfg(test)]
mod tests {
    use crate::testing::{Caller, text};
    use forebay_awswire::Service;
    use serde_json::json;

    #[test]
    fn no_resource_has_an_acl() {
        let caller = &mut Caller::new();
        let balancer = caller.balancer("one");
        let network = json!({"Name": "net", "Type": "network", "Subnets": caller.subnets()});
        let network = text(&caller.ok("CreateLoadBalancer", network)["LoadBalancers"][0]["LoadBalancerArn"]);
        for service in [Service::Wafv2, Service::WafRegional] {
            let mut ask =
                |arn: &str| caller.call_of(service, "GetWebACLForResource", json!({"ResourceArn": arn}));
            assert_eq!(ask(&balancer).unwrap(), json!({}));
            for (arn, code) in [
                (
                    balancer.replace("/one/", "/two/").as_str(),
                    "WAFNonexistentItemException",
                ),
                (network.as_str(), "WAFInvalidParameterException"),
                ("no arn, but long enough", "WAFInvalidParameterException"),
            ] {
                assert_eq!(ask(arn).unwrap_err().code, code, "{arn}");
            }
        }
    }
}
