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
mod http1;
mod http2;
mod outcome;
mod outlive;
mod owed;
mod relay;
mod tunnel;
mod upload;

use http1::Http1;
use http2::Http2;
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
        let mut upload = match context.prepare().await {
            Ok(upload) => upload,
            Err(reason) => {
                context.exchange.withdraw();
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
            let passed = if target.version == ProtocolVersion::Http1 {
                context.attempt::<Http1>(&target, reuse, &mut upload).await
            } else {
                Box::pin(context.attempt::<Http2>(&target, reuse, &mut upload)).await
            };
            step = match passed {
                Ok(next) => return next,
                Err(Instead::Outcome(outcome)) => context.decide(outcome),
                Err(Instead::Step(instead)) => instead,
            };
        }
    }
}
