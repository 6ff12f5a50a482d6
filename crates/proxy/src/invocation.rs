//! How a function that is a target is asked.

use forebay_functions::alb::function_of;
use forebay_functions::{Functions, Invocation, InvokeError, Invoked};
use tokio::sync::oneshot;

/// What will come of an invocation. Who drops it does not wait any more; the function runs on.
pub(crate) type Pending = oneshot::Receiver<Result<Invoked, InvokeError>>;

/// Asks the function that this target's ARN names.
pub(crate) fn invoke(
    functions: &dyn Functions,
    target: &str,
    payload: Vec<u8>,
    trace: Option<String>,
) -> Pending {
    let (done, pending) = oneshot::channel();
    let invocation = Invocation {
        function: function_of(target).unwrap_or(target).to_owned(),
        payload,
        trace,
        ..Invocation::default()
    };
    // A client that has left does not wait for it.
    functions.invoke(invocation, Box::new(move |result| drop(done.send(result))));
    pending
}
