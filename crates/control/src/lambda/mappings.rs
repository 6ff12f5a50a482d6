//! Event source mappings: messages of a queue are received in batches and given to a function.

use super::errors::{conflict, invalid, no_function, not_found};
use super::functions::{page, with_marker};
use super::lookup::named;
use super::records::{Function, Mapping};
use super::tags;
use crate::api::arns::own_arn;
use crate::api::context::{Answered, Tx, View};
use crate::api::tagging::put_tags;
use crate::ids::uuid;
use forebay_awswire::ApiError;
use serde_json::{Value, json};
use std::sync::Arc;

/// The most mappings of a region.
const MAPPINGS: usize = 1000;

/// Parameters that do not apply to queues, or are not implemented.
const REFUSED: [&str; 18] = [
    "FilterCriteria",
    "DestinationConfig",
    "StartingPosition",
    "Topics",
    "Queues",
    "SelfManagedEventSource",
    "SourceAccessConfigurations",
    "DocumentDBEventSourceConfig",
    "ProvisionedPollerConfig",
    "KMSKeyArn",
    "MetricsConfig",
    "ParallelizationFactor",
    "TumblingWindowInSeconds",
    "BisectBatchOnFunctionError",
    "MaximumRetryAttempts",
    "MaximumRecordAgeInSeconds",
    "StartingPositionTimestamp",
    "LoggingConfig",
];

fn is_there(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => members.values().any(is_there),
        // Defaults, which some tools send: not to bisect, and no limit.
        Value::Bool(is_set) => *is_set,
        Value::Number(number) => number.as_i64() != Some(-1),
    }
}

pub(super) fn create(tx: &mut Tx<'_>) -> Answered {
    let input = tx.request.input.clone();
    refuse(&input)?;
    let function = named(tx)?;
    let source = input["EventSourceArn"].as_str().unwrap_or_default().to_owned();
    if source.is_empty() {
        return Err(invalid(
            "Unrecognized event source. Only queues of SQS are served: give EventSourceArn.",
        ));
    }
    if !tx.region().queues.values().any(|queue| queue.arn == source) {
        return Err(invalid(format!(
            "Error occurred while ReceiveMessage. SQS Error Message: The specified queue does not exist: {source}"
        )));
    }
    refuse_second(tx, &source, &function, None)?;
    if tx.region().mappings.len() >= MAPPINGS {
        return Err(invalid(format!(
            "A region has {MAPPINGS} event source mappings at most."
        )));
    }
    let id = uuid(tx.rng);
    let mut mapping = Mapping {
        arn: own_arn(tx, "lambda", &format!("event-source-mapping:{id}")),
        id: id.clone(),
        source,
        function: function.arn.clone(),
        enabled: true,
        batch: 10,
        window_s: 0,
        concurrency: None,
        reports_failures: false,
        modified: tx.request.now,
    };
    set(tx, &mut mapping)?;
    let wanted = tags::checked(&input["Tags"])?;
    let answer = shown(&mapping, "Creating");
    put_tags(tx.region_mut(), &mapping.arn, wanted);
    tx.region_mut().mappings.insert(id, Arc::new(mapping));
    Ok(answer)
}

/// Refuses a mapping of a queue and a function that have one already, other than the one with the id `own`.
fn refuse_second(
    view: &View<'_>,
    source: &str,
    function: &Function,
    own: Option<&str>,
) -> Result<(), ApiError> {
    let mut known = view.region().mappings.values();
    let is_same = |known: &&Arc<Mapping>| known.source == source && known.function == function.arn;
    match known.find(|known| is_same(known) && own != Some(known.id.as_str())) {
        Some(known) => Err(conflict(format!(
            "An event source mapping with SQS arn (\" {source} \") and function (\" {} \") already exists. Please update or delete the \
             existing mapping with UUID {}",
            function.name, known.id
        ))),
        None => Ok(()),
    }
}

/// Refuses parameters that are not implemented. Stored and ignored, they would make callers believe in filters or
/// destinations that do not exist.
fn refuse(input: &Value) -> Result<(), ApiError> {
    if let Some(name) = REFUSED.iter().find(|name| is_there(&input[**name])) {
        return Err(invalid(format!(
            "{name} is not supported by Forebay for queues: leave it out."
        )));
    }
    Ok(())
}

/// Applies the input's members, and checks the result as a whole.
fn set(view: &View<'_>, mapping: &mut Mapping) -> Result<(), ApiError> {
    let input = &view.request.input;
    let number = |name: &str| input[name].as_u64().and_then(|number| u32::try_from(number).ok());
    mapping.enabled = input["Enabled"].as_bool().unwrap_or(mapping.enabled);
    mapping.batch = number("BatchSize").unwrap_or(mapping.batch);
    mapping.window_s = number("MaximumBatchingWindowInSeconds").unwrap_or(mapping.window_s);
    if let Some(scaling) = input["ScalingConfig"].as_object() {
        let most = scaling.get("MaximumConcurrency").and_then(Value::as_u64);
        mapping.concurrency = most.and_then(|most| u32::try_from(most).ok());
    }
    if let Some(types) = input["FunctionResponseTypes"].as_array() {
        mapping.reports_failures = types.iter().any(|kind| kind == "ReportBatchItemFailures");
    }
    let fifo = mapping.source.ends_with(".fifo");
    if fifo && (mapping.batch > 10 || mapping.window_s > 0) {
        return Err(invalid(
            "Batching window is not supported for FIFO queues, and a batch of one has 10 messages at most.",
        ));
    }
    // A larger batch needs time to gather: a single receive returns at most 10 messages.
    if mapping.batch > 10 && mapping.window_s == 0 {
        return Err(invalid(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
        ));
    }
    let queue = view
        .region()
        .queues
        .values()
        .find(|queue| queue.arn == mapping.source);
    let function = super::lookup::by_arn(view.region(), &mapping.function);
    if let (Some(queue), Some(function)) = (queue, function) {
        // A shorter visibility timeout would make messages visible again, and have them processed twice, while the
        // function is still working on them.
        let visibility = crate::sqs::visibility_s(queue);
        if visibility < u64::from(function.timeout_s) {
            return Err(invalid(format!(
                "Queue visibility timeout: {visibility} seconds is less than Function timeout: {} seconds",
                function.timeout_s
            )));
        }
    }
    Ok(())
}

/// A mapping as answers show it.
fn shown(mapping: &Mapping, state: &str) -> Value {
    let mut shown = json!({
        "UUID": mapping.id,
        "EventSourceMappingArn": mapping.arn,
        "BatchSize": mapping.batch,
        "MaximumBatchingWindowInSeconds": mapping.window_s,
        "EventSourceArn": mapping.source,
        "FunctionArn": mapping.function,
        "LastModified": mapping.modified.seconds(),
        "State": state,
        "StateTransitionReason": "USER_INITIATED",
        "FunctionResponseTypes": if mapping.reports_failures { json!(["ReportBatchItemFailures"]) } else { json!([]) },
    });
    if let Some(most) = mapping.concurrency {
        shown["ScalingConfig"] = json!({"MaximumConcurrency": most});
    }
    shown
}

fn at_rest(mapping: &Mapping) -> &'static str {
    if mapping.enabled { "Enabled" } else { "Disabled" }
}

fn of_id(view: &View<'_>) -> Result<Arc<Mapping>, ApiError> {
    let id = view.request.input["UUID"].as_str().unwrap_or_default();
    let found = view.region().mappings.get(id).cloned();
    found.ok_or_else(|| not_found("The resource you requested does not exist."))
}

pub(super) fn get(view: &View<'_>) -> Answered {
    let mapping = of_id(view)?;
    Ok(shown(&mapping, at_rest(&mapping)))
}

pub(super) fn list(view: &View<'_>) -> Answered {
    let input = &view.request.input;
    let function = match input["FunctionName"].as_str() {
        None => None,
        // AWS also lists mappings of a deleted function. Here they are only found without the function's name.
        Some(_) => Some(named(view)?.arn.clone()),
    };
    let source = input["EventSourceArn"].as_str();
    let wanted = |mapping: &&Arc<Mapping>| {
        function.as_ref().is_none_or(|arn| *arn == mapping.function)
            && source.is_none_or(|arn| arn == mapping.source)
    };
    let found: Vec<_> = view.region().mappings.values().filter(wanted).cloned().collect();
    let (held, next) = page(view, found, |mapping| mapping.id.clone())?;
    let shown: Vec<Value> = held
        .iter()
        .map(|mapping| shown(mapping, at_rest(mapping)))
        .collect();
    Ok(with_marker(json!({"EventSourceMappings": shown}), next))
}

pub(super) fn update(tx: &mut Tx<'_>) -> Answered {
    refuse(&tx.request.input)?;
    let mut mapping = (*of_id(tx)?).clone();
    if tx.request.input["FunctionName"].is_string() {
        let function = named(tx)?;
        refuse_second(tx, &mapping.source, &function, Some(&mapping.id))?;
        mapping.function.clone_from(&function.arn);
    }
    set(tx, &mut mapping)?;
    if super::lookup::by_arn(tx.region(), &mapping.function).is_none() {
        return Err(no_function(&mapping.function));
    }
    mapping.modified = tx.request.now;
    let answer = shown(&mapping, "Updating");
    tx.region_mut()
        .mappings
        .insert(mapping.id.clone(), Arc::new(mapping));
    Ok(answer)
}

pub(super) fn delete(tx: &mut Tx<'_>) -> Answered {
    let mapping = of_id(tx)?;
    let region = tx.region_mut();
    region.mappings.remove(&mapping.id);
    region.tags.remove(&mapping.arn);
    Ok(shown(&mapping, "Deleting"))
}
