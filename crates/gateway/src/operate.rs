//! The operate stage: reads answer from a snapshot at once, as do calls about datapoints; writes go through the one writer.

use crate::authenticate::Caller;
use crate::clock::now;
use crate::commit::{QueuedCall, guarded};
use crate::context::ApiContext;
use crate::front::FrontConnection;
use forebay_awswire::{ApiError, Call, HttpRequest};
use forebay_control::{Asked, MessageError, MessageOrder, MessageOutcome};
use forebay_units::Rng;
use http::header::HOST;
use serde_json::Value;

/// Carries an authenticated call out.
pub(crate) async fn operate(
    context: &ApiContext,
    client: &FrontConnection,
    request: &HttpRequest<'_>,
    call: &Call,
    caller: Caller,
) -> Result<Value, ApiError> {
    let Some(operation) = forebay_control::find(call.service, &call.operation) else {
        return Err(call.service.unsupported(call.protocol, &call.operation));
    };
    let order = QueuedCall {
        service: call.service,
        operation,
        region: caller.region,
        account: context.options.account.clone(),
        caller: caller.access_key,
        instance: caller.instance,
        endpoint: endpoint(client, request),
        input: call.input(request)?,
    };
    if operation.changes_state() {
        return context.writer.order(order).await;
    }
    if operation.asks_messages() {
        return ask(context, client, order).await;
    }
    // A read draws nothing that is kept.
    let mut rng = Rng::named(0, "reads");
    let state = context.writer.state();
    order
        .run(&state, &context.writer.ports(), now(), &mut rng)
        .map(|outcome| outcome.answer)
}

/// Where the caller reached us, by its own word if that is a host.
fn endpoint(client: &FrontConnection, request: &HttpRequest<'_>) -> String {
    let named = request.headers.get(HOST).and_then(|host| host.to_str().ok());
    let fits = |host: &&str| {
        !host.is_empty()
            && host.len() <= 255
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".:-[]_".contains(&byte))
    };
    match named.filter(fits) {
        Some(host) => format!("http://{host}"),
        None => format!("http://{}", client.local()),
    }
}

/// Has a call about messages carried out.
async fn ask(context: &ApiContext, client: &FrontConnection, order: QueuedCall) -> Result<Value, ApiError> {
    let state = context.writer.state();
    let asked = order.ask(&state, &context.writer.ports(), now(), &mut context.drawn())?;
    let (order, answer) = match asked {
        Asked::Answered(answer) => return Ok(answer),
        Asked::Order(order, answer) => (order, answer),
    };
    let waits = matches!(&order, MessageOrder::Receive { wait, .. } if !wait.is_zero());
    let outcome = if waits {
        poll(context, client, order).await?
    } else {
        context.messages.ask(order).await?
    };
    guarded("answer", || answer(outcome)).and_then(|answer| answer)
}

/// Waits for messages, until we stop at most.
async fn poll(
    context: &ApiContext,
    client: &FrontConnection,
    order: MessageOrder,
) -> Result<MessageOutcome, ApiError> {
    let Some(_waits) = client.poll() else {
        return Err(MessageError::Busy.into());
    };
    let mut stopping = context.stopping.subscribe();
    let outcome = tokio::select! {
        biased;
        outcome = context.messages.ask(order) => outcome?,
        _ = stopping.wait_for(|stop| *stop) => MessageOutcome::Received(Ok(Vec::new())),
    };
    Ok(outcome)
}

/// Wipes the state and all datapoints, for test suites that ask for it.
pub(crate) async fn reset(context: &ApiContext) -> Result<(), ApiError> {
    if !context.options.allow_reset {
        let message = "Resetting is not enabled: start Forebay with --enable-reset.";
        return Err(ApiError::sender("AccessDenied", message).with_status(403));
    }
    context
        .writer
        .change(Box::new(|state, _| Some(state.reset())))
        .await?;
    context.writer.ports().datapoints.clear();
    Ok(())
}
