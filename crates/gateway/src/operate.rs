//! The operate stage: reads are answered from a snapshot at once, and so are calls about datapoints; writes go through the
//! one writer.

use crate::authenticate::Caller;
use crate::clock::now;
use crate::commit::{QueuedCall, guarded, unavailable};
use crate::context::ApiContext;
use crate::front::FrontConnection;
use forebay_awswire::{ApiError, Call, HttpRequest};
use forebay_control::lambda::Upload;
use forebay_control::{Asked, MessageError, MessageOrder, MessageOutcome};
use forebay_functions::{Invocation, InvokeError, Invoked};
use forebay_units::Rng;
use http::header::HOST;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Carries out an authenticated call.
pub(crate) async fn operate(
    context: &ApiContext,
    client: &FrontConnection,
    request: &HttpRequest<'_>,
    call: &Call,
    caller: Caller,
    request_id: &str,
) -> Result<Value, ApiError> {
    let Some(operation) = forebay_control::find(call.service, &call.operation) else {
        return Err(call.service.unsupported(call.protocol, &call.operation));
    };
    let mut input = call.input(request)?;
    keep_code(context, call, &mut input).await?;
    let order = QueuedCall {
        service: call.service,
        operation,
        region: caller.region,
        account: context.options.account.clone(),
        caller: caller.access_key,
        instance: caller.instance,
        is_proven: caller.is_proven,
        request_id: request_id.to_owned(),
        endpoint: endpoint(client, request),
        input,
    };
    if operation.changes_state() {
        return context.writer.order(order).await;
    }
    if operation.asks_messages() {
        return ask(context, client, order).await;
    }
    // The random numbers of a read are not kept, so a fixed seed will do.
    let mut rng = Rng::named(0, "reads");
    let state = context.writer.state();
    order
        .run(&state, &context.writer.ports(), now(), &mut rng)
        .map(|outcome| outcome.answer)
}

/// Stores the archive of a function that a call brings. Done first, so that the state never names code that is not on disk.
async fn keep_code(context: &ApiContext, call: &Call, input: &mut Value) -> Result<(), ApiError> {
    let Some(upload) = Upload::take(call.service, &call.operation, input)? else {
        return Ok(());
    };
    let code = Arc::clone(&context.beside.code);
    let kept = tokio::task::spawn_blocking(move || {
        let kept = code.keep(&upload.zip);
        (upload, kept)
    });
    let Ok((upload, kept)) = kept.await else {
        return Err(unavailable("The service is stopping."));
    };
    Upload::kept(upload, &kept?, input);
    Ok(())
}

/// Invokes a function, and waits as long as that takes.
async fn invoke(
    context: &ApiContext,
    client: &FrontConnection,
    invocation: Invocation,
) -> Result<Result<Invoked, InvokeError>, ApiError> {
    let Some(_waits) = client.poll() else {
        return Ok(Err(InvokeError::Concurrency));
    };
    let (tell, told) = oneshot::channel();
    let done = move |done| {
        let _ = tell.send(done);
    };
    context.beside.functions.invoke(invocation, Box::new(done));
    told.await.map_err(|_| unavailable("The service is stopping."))
}

/// The URL by which the caller reached this API, from its Host header if that is valid.
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

/// Carries out a call about messages.
async fn ask(context: &ApiContext, client: &FrontConnection, order: QueuedCall) -> Result<Value, ApiError> {
    let state = context.writer.state();
    let asked = order.ask(&state, &context.writer.ports(), now(), &mut context.drawn())?;
    let (order, answer) = match asked {
        Asked::Answered(answer) => return Ok(answer),
        Asked::Order(order, answer) => (order, answer),
        Asked::Invoke(invocation, answer) => {
            let done = invoke(context, client, invocation).await?;
            return guarded("answer", || answer(done)).and_then(|answer| answer);
        }
    };
    let waits = matches!(&order, MessageOrder::Receive { wait, .. } if !wait.is_zero());
    let outcome = if waits {
        poll(context, client, order).await?
    } else {
        context.beside.messages.ask(order).await?
    };
    guarded("answer", || answer(outcome)).and_then(|answer| answer)
}

/// Waits for messages, at most until this process stops.
async fn poll(
    context: &ApiContext,
    client: &FrontConnection,
    order: MessageOrder,
) -> Result<MessageOutcome, ApiError> {
    let Some(_waits) = client.poll() else {
        return Err(MessageError::Busy.into());
    };
    let mut stopping = context.stopping.subscribe();
    // Biased: messages that were already received must be delivered even if the process stops now.
    let outcome = tokio::select! {
        biased;
        outcome = context.beside.messages.ask(order) => outcome?,
        _ = stopping.wait_for(|stop| *stop) => MessageOutcome::Received(Ok(Vec::new())),
    };
    Ok(outcome)
}

/// Deletes the state and all datapoints, for test suites that ask for it.
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
