//! Checks what a schedule calls when the schedule is created.

use super::events::sample_input;
use super::records::Target;
use super::universal::universal;
use crate::api::context::View;
use forebay_schedules::RetryPolicy;
use serde_json::Value;

/// The most bytes of an input (AWS: 256 KB).
const INPUT_BYTES: usize = 256 * 1024;

/// Checks a target. The error is for people.
pub(crate) fn check(view: &View<'_>, target: &Target, of_rule: bool) -> Result<(), String> {
    let region = view.region();
    if let Some(arn) = &target.dead_letter {
        match region.queues.values().find(|queue| queue.arn == *arn) {
            None => return Err(format!("The dead-letter queue {arn} does not exist.")),
            Some(queue) if queue.fifo() => {
                return Err(format!(
                    "The dead-letter queue {arn} is a FIFO queue: only a standard queue can be one."
                ));
            }
            Some(_) => {}
        }
    }
    if target
        .input
        .as_ref()
        .is_some_and(|input| input.len() > INPUT_BYTES)
    {
        return Err(format!("The input of a target has at most {INPUT_BYTES} bytes."));
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
        let input: Value = serde_json::from_str(&sample_input(target).unwrap_or_else(|| "{}".to_owned()))
            .map_err(|why| format!("Invalid RequestJson provided. Reason: {why}"))?;
        return forebay_awswire::input_of(found.service, found.operation.name(), &input)
            .map(|_| ())
            .map_err(|error| format!("Invalid RequestJson provided. Reason: {}", error.message));
    }
    if arn.contains(":function:") {
        return match crate::lambda::by_arn(region, arn) {
            // What a function is invoked with is JSON.
            Some(_) => match sample_input(target) {
                Some(input) => serde_json::from_str::<serde::de::IgnoredAny>(&input)
                    .map(|_| ())
                    .map_err(|why| format!("Provided Input is not well-formed JSON. Reason: {why}")),
                None => Ok(()),
            },
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
