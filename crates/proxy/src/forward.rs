//! Stage six: the request goes to its target and the answer comes back. Both bodies may stream at once.
//!
//! In reading order: `attempt` (one try with one target, whatever it speaks), `http1`, `http2` and `lambda` (the three
//! kinds of target), `upload` and `relay` (the bodies of HTTP/1.1), `body` (those of HTTP/2), `tunnel` and `frame_bounds`
//! (WebSockets), `function_answer`, `extras` (fields added to answers), `outcome`, `owed` (a client's minimum rate),
//! `outlive` (a slot kept after its client left).

use crate::connection::Next;
use crate::queue;
use crate::session::RequestContext;
use crate::wire::Wire;
use forebay_model::ProtocolVersion;
use forebay_node::Step;

mod attempt;
mod body;
mod extras;
mod frame_bounds;
mod function_answer;
mod http1;
mod http2;
mod lambda;
mod outcome;
mod outlive;
mod owed;
mod relay;
mod tunnel;
mod upload;

use http1::Http1;
use http2::Http2;
use lambda::Lambda;
use outcome::Instead;

/// Sends the request, whose head is in `buffers.out`, and passes the answer on. `step` is what the exchange decided first.
#[expect(
    clippy::manual_async_fn,
    reason = "an `async fn` stores its arguments twice in its future"
)]
pub(crate) fn forward<W: Wire>(
    context: &mut RequestContext<'_, W>,
    mut step: Step,
) -> impl Future<Output = Next> {
    async move {
        let to_function = matches!(&step, Step::Send { target, .. } if target.is_function());
        let mut upload = match context.prepare(to_function).await {
            Ok(upload) => upload,
            Err(reason) => {
                // A body that is too large counts as a failure of its function's group; with any other failure no target
                // was involved.
                if reason.lambda_error().is_none() {
                    context.exchange.withdraw();
                }
                return context.fail(reason, false).await;
            }
        };
        loop {
            if let Step::Wait { ticket, until } = step {
                step = Box::pin(queue::wait(context, false, ticket, until)).await;
                // The wait may have outlasted the keep-alive time or the start of a drain. An answer that promises to keep
                // a connection which is then closed costs the client its next request.
                context.keep = context.keep && context.session.still_keeps(context.incoming);
                continue;
            }
            let Step::Send { target, reuse } = step else {
                // A body that was only partly read would be parsed as the client's next request.
                let keep = context.keep && !upload.streamed && upload.is_whole();
                return context.end(&step, keep).await;
            };
            context.aim(&target);
            let passed = match target.version {
                ProtocolVersion::Http1 => context.attempt::<Http1>(&target, reuse, &mut upload).await,
                ProtocolVersion::Http2 | ProtocolVersion::Grpc => {
                    Box::pin(context.attempt::<Http2>(&target, reuse, &mut upload)).await
                }
                ProtocolVersion::Lambda => {
                    Box::pin(context.attempt::<Lambda>(&target, reuse, &mut upload)).await
                }
            };
            step = match passed {
                Ok(next) => return next,
                Err(Instead::Outcome(outcome)) => context.decide(outcome),
                Err(Instead::Step(instead)) => instead,
            };
        }
    }
}
