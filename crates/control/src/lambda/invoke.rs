//! Invoke: synchronously, asynchronously, or as a dry run.

use super::errors::invalid;
use super::events::Event;
use super::lookup::{LATEST, named};
use super::records::Function;
use crate::api::context::View;
use crate::api::errors::error;
use crate::ids::uuid;
use crate::messages::{Asked, MessageOrder, MessageOutcome, NotSent};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use forebay_awswire::ApiError;
use forebay_functions::{Invocation, InvokeError, Invoked};
use forebay_queues::{Letter, MessageId};
use forebay_units::Rng;
use serde_json::{Value, json};

/// The largest payload of a synchronous invocation.
pub(super) const AT_ONCE: usize = 6 << 20;
/// The largest payload of an asynchronous invocation. (AWS: 1 MB.)
const LATER: usize = 1_000_000;

pub(super) fn invoke(view: &View<'_>, rng: &mut Rng) -> Result<Asked, ApiError> {
    let function = named(view)?;
    let input = &view.request.input;
    let payload = payload(&input["Payload"])?;
    match input["InvocationType"].as_str() {
        Some("DryRun") => Ok(Asked::answered(json!({"StatusCode": 204}))),
        Some("Event") => later(view, &function, payload, rng, || json!({"StatusCode": 202})),
        _ => at_once(view, &function, payload),
    }
}

pub(super) fn invoke_async(view: &View<'_>, rng: &mut Rng) -> Result<Asked, ApiError> {
    let function = named(view)?;
    let payload = payload(&view.request.input["InvokeArgs"])?;
    later(view, &function, payload, rng, || json!({"Status": 202}))
}

fn payload(given: &Value) -> Result<Vec<u8>, ApiError> {
    let bytes = STANDARD
        .decode(given.as_str().unwrap_or_default())
        .unwrap_or_default();
    if bytes.is_empty() {
        return Ok(b"{}".to_vec());
    }
    if bytes.len() > AT_ONCE {
        return Err(too_large(AT_ONCE));
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(&bytes) {
        Ok(_) => Ok(bytes),
        Err(why) => Err(error(
            "InvalidRequestContentException",
            format!("Could not parse request body into json: {why}"),
        )),
    }
}

fn too_large(most: usize) -> ApiError {
    let text = format!("Request must be smaller than {most} bytes for the InvokeFunction operation");
    error("RequestTooLargeException", text).with_status(413)
}

fn at_once(view: &View<'_>, function: &Function, payload: Vec<u8>) -> Result<Asked, ApiError> {
    let input = &view.request.input;
    let client_context = match input["ClientContext"].as_str() {
        None => None,
        Some(packed) => {
            let text = STANDARD
                .decode(packed)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            Some(text.ok_or_else(|| {
                error(
                    "InvalidRequestContentException",
                    "Client context must be a valid Base64-encoded JSON object.",
                )
            })?)
        }
    };
    let invocation = Invocation {
        function: function.arn.clone(),
        payload,
        trace: None,
        client_context,
        wants_log: input["LogType"] == "Tail",
        // The answer's id is the one that the function and its log have.
        request_id: own_id(view),
        begin: None,
    };
    Ok(Asked::invoke(invocation, |done| answer(done.map_err(not_asked)?)))
}

fn answer(invoked: Invoked) -> Result<Value, ApiError> {
    let mut answer = json!({
        "StatusCode": 200,
        "ExecutedVersion": LATEST,
        "Payload": STANDARD.encode(invoked.payload),
    });
    if invoked.error.is_some() {
        answer["FunctionError"] = json!("Unhandled");
    }
    if let Some(log) = invoked.log {
        answer["LogResult"] = json!(STANDARD.encode(log));
    }
    Ok(answer)
}

/// The call's id, if it came from outside.
fn own_id(view: &View<'_>) -> Option<String> {
    let id = view.request.request_id;
    (!id.is_empty()).then(|| id.to_owned())
}

/// The error of a call whose function was not invoked.
fn not_asked(why: InvokeError) -> ApiError {
    match why {
        InvokeError::NotFound => super::errors::not_found("The function is not there any more."),
        InvokeError::ReservedConcurrency | InvokeError::Concurrency => {
            error("TooManyRequestsException", "Rate Exceeded.").with_status(429)
        }
        InvokeError::TooLarge(most) => too_large(most),
        InvokeError::Unwanted => {
            ApiError::receiver(500, "ServiceException", "The call was not wanted any more.")
        }
        InvokeError::Unavailable(why) => ApiError::receiver(500, "ServiceException", why),
    }
}

fn later(
    view: &View<'_>,
    function: &Function,
    payload: Vec<u8>,
    rng: &mut Rng,
    told: fn() -> Value,
) -> Result<Asked, ApiError> {
    if payload.len() > LATER {
        return Err(too_large(LATER));
    }
    let event = Event {
        id: own_id(view).unwrap_or_else(|| uuid(rng)),
        attempt: 0,
        sent: view.request.now,
        trace: None,
        sender: None,
        payload,
    };
    let letter = Letter {
        id: MessageId(u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())),
        group: None,
        deduplication: None,
        delay: None,
        body: event.bytes(),
    };
    let order = MessageOrder::Send {
        queue: function.events,
        letters: vec![letter],
    };
    Ok(Asked::order(order, move |outcome| match outcome {
        MessageOutcome::Sent(sent) => match sent.into_iter().next() {
            Some(Ok(_)) => Ok(told()),
            Some(Err(NotSent::Full)) => {
                Err(error("TooManyRequestsException", "Rate Exceeded.").with_status(429))
            }
            Some(Err(NotSent::Refused(why))) => Err(invalid(why.to_string())),
            None => Err(MessageOutcome::Sent(Vec::new()).unexpected()),
        },
        other => Err(other.unexpected()),
    }))
}
