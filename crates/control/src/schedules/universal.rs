//! Universal targets: `arn:aws:scheduler:::aws-sdk:SERVICE:ACTION` calls any operation that writes.

use crate::api::context::{Find, OperationSpec};
use forebay_awswire::Service;

/// The prefix of universal targets' ARNs.
const PREFIX: &str = "arn:aws:scheduler:::aws-sdk:";

/// The prefixes of operations that only read, which AWS refuses.
const READING: [&str; 17] = [
    "get",
    "describe",
    "list",
    "poll",
    "receive",
    "search",
    "scan",
    "query",
    "select",
    "read",
    "lookup",
    "discover",
    "validate",
    "batchget",
    "batchdescribe",
    "batchread",
    "retrieve",
];

/// An operation that a universal target calls.
#[derive(Clone, Copy)]
pub(super) struct Universal {
    pub(super) service: Service,
    pub(super) operation: &'static OperationSpec,
}

/// The operation of an ARN, or why it cannot be called; `None` if the ARN is not a universal target's.
pub(super) fn universal(arn: &str, find: Find) -> Option<Result<Universal, String>> {
    let rest = arn.strip_prefix(PREFIX)?;
    let (name, action) = rest.split_once(':').unwrap_or((rest, ""));
    Some(read(name, action, find))
}

fn read(name: &str, action: &str, find: Find) -> Result<Universal, String> {
    let Some(service) = Service::from_sdk_name(name) else {
        return Err(format!(
            "The target's service {name} is not supported by Forebay, or AWS's SDKs have another name for it."
        ));
    };
    let lower = action.to_lowercase();
    if READING.iter().any(|word| lower.starts_with(word)) {
        return Err(format!(
            "{action} only reads: universal targets call operations that write."
        ));
    }
    // AWS requires the action to begin with a lower-case letter; upper case is accepted as well.
    let operation = find(service, action);
    let operation =
        operation.ok_or_else(|| format!("Forebay does not support the action {action} of {name}."))?;
    if ["CreateFunction", "UpdateFunctionCode"].contains(&operation.name()) {
        return Err(format!("{action} brings code, which no schedule does."));
    }
    Ok(Universal { service, operation })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::find_any;

    #[test]
    fn operations_that_write_are_found_and_no_others() {
        let of = |arn: &str| universal(arn, find_any).map(|found| found.map(|found| found.operation.name()));
        assert_eq!(
            of("arn:aws:scheduler:::aws-sdk:elasticloadbalancingv2:modifyCapacityReservation"),
            Some(Ok("ModifyCapacityReservation"))
        );
        assert_eq!(of("arn:aws:sqs:local-1:123456789012:q"), None);
        for refused in [
            "sqs:receiveMessage",
            "elasticloadbalancingv2:describeLoadBalancers",
            "lambda:createFunction",
            "dynamodb:putItem",
            "sqs:nothing",
            "sqs",
        ] {
            assert!(
                matches!(of(&format!("{PREFIX}{refused}")), Some(Err(_))),
                "{refused}"
            );
        }
    }
}
