//! Invokes a function that is a target.

use forebay_functions::alb::function_of;
use forebay_functions::{Functions, Invocation, InvokeError, Invoked};
use tokio::sync::oneshot;

/// The result of an invocation, once it has come. If it is dropped the function runs on, but nobody waits for it.
pub(crate) type Pending = oneshot::Receiver<Result<Invoked, InvokeError>>;

/// Invokes the function that this target's ARN names.
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
    // Sending fails if the client has left; nobody waits then.
    functions.invoke(invocation, Box::new(move |result| drop(done.send(result))));
    pending
}
