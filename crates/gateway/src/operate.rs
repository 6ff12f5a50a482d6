//! The operate stage: reads answer from a snapshot at once, as do calls about datapoints; writes go through the one writer.

use crate::authenticate::Caller;
use crate::clock::now;
use crate::commit::QueuedCall;
use crate::context::ApiContext;
use forebay_awswire::{ApiError, Call, HttpRequest};
use forebay_units::Rng;
use serde_json::Value;

/// Carries an authenticated call out.
pub(crate) async fn operate(
    context: &ApiContext,
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
        input: call.input(request)?,
    };
    if operation.changes_state() {
        return context.writer.order(order).await;
    }
    // A read draws nothing that is kept.
    let mut rng = Rng::named(0, "reads");
    let state = context.writer.state();
    order
        .run(&state, &context.writer.ports(), now(), &mut rng)
        .map(|outcome| outcome.answer)
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
