//! Checks what a schedule calls when the schedule is created.

use super::records::Target;
use super::universal::universal;
use crate::api::context::View;
use forebay_schedules::RetryPolicy;
use serde_json::Value;

/// Checks a target. The error is for people.
pub(crate) fn check(view: &View<'_>, target: &Target, of_rule: bool) -> Result<(), String> {
    let region = view.region();
    if let Some(arn) = &target.dead_letter
        && !region.queues.values().any(|queue| queue.arn == *arn)
    {
        return Err(format!("The dead-letter queue {arn} does not exist."));
    }
    retry_policy(target).map_err(|why| why.to_string())?;
    let arn = target.arn.as_str();
    if let Some(found) = universal(arn, view.find).filter(|_| !of_rule) {
        let found = found?;
        if found.operation.needs_proof() && !view.request.is_proven {
            return Err(format!(
                "{} changes which code is run: under --no-auth, only a call with a valid signature may schedule it.",
                found.operation.name()
            ));
        }
        let input = target.input.as_deref().unwrap_or("{}");
        let input: Value = serde_json::from_str(input)
            .map_err(|why| format!("Invalid RequestJson provided. Reason: {why}"))?;
        // Placeholders that a run fills in are strings or numbers in any case, so they do not affect the check.
        return forebay_awswire::input_of(found.service, found.operation.name(), &input)
            .map(|_| ())
            .map_err(|error| format!("Invalid RequestJson provided. Reason: {}", error.message));
    }
    if arn.contains(":function:") {
        return match crate::lambda::by_arn(region, arn) {
            Some(_) => Ok(()),
            None => Err(format!("The function {arn} does not exist.")),
        };
    }
    if arn.starts_with("arn:aws:sqs:") {
        let queue = region.queues.values().find(|queue| queue.arn == arn);
        let queue = queue.ok_or_else(|| format!("The queue {arn} does not exist."))?;
        return match (queue.fifo(), &target.message_group) {
            (true, None) => Err("A FIFO queue needs a MessageGroupId in SqsParameters.".to_owned()),
            (false, Some(_)) => Err("Only a FIFO queue has a MessageGroupId.".to_owned()),
            _ => Ok(()),
        };
    }
    Err(format!(
        "Provided Arn is not in correct format, or its target is not supported by Forebay (which has functions, queues{}): {arn}",
        if of_rule {
            ""
        } else {
            ", and arn:aws:scheduler:::aws-sdk:SERVICE:ACTION"
        }
    ))
}

/// The retry policy of a target.
pub(crate) fn retry_policy(target: &Target) -> Result<RetryPolicy, forebay_schedules::RetryError> {
    RetryPolicy::new(target.retries.map(i64::from), target.age_s.map(i64::from))
}
