//! Stage six: the request goes to its target, the answer comes back. Bodies stream both ways at once.

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

/// Sends the request (its head is in `buffers.out`) and passes the answer on.
#[expect(
    clippy::manual_async_fn,
    reason = "an asynchronous function holds what it is given twice"
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
                // A body that is too large is a failure of its function's group.
                if reason.lambda_error().is_none() {
                    context.exchange.withdraw();
                }
                return context.fail(reason, false).await;
            }
        };
        loop {
            if let Step::Wait { ticket, until } = step {
                step = Box::pin(queue::wait(context, false, ticket, until)).await;
                context.keep = context.keep && context.session.still_keeps(context.incoming);
                continue;
            }
            let Step::Send { target, reuse } = step else {
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
