//! Room six: the request goes to its target, the answer comes back. Bodies stream both ways at once.

use crate::choose;
use crate::connection::Next;
use crate::line;
use crate::session::RequestContext;
use crate::wire::Wire;
use forebay_model::ProtocolVersion;
use forebay_node::{Outcome, Reuse, Step, TargetView};
use std::sync::Arc;

mod attempt;
mod extras;
mod outcome;
mod outlive;
mod owed;
mod relay;
mod streams;
mod tunnel;

use attempt::{Attempt, Upload};
use outcome::Instead;

/// Sends the request (its head is in `desk.out`) and passes the answer on.
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
                step = Box::pin(line::wait(context, false, ticket, until)).await;
                context.keep = context.keep && context.session.still_keeps(context.incoming);
                continue;
            }
            let Step::Send { target, reuse } = step else {
                let keep = context.keep && !upload.streamed && upload.is_whole();
                return context.end(&step, keep).await;
            };
            context.aim(&target);
            let passed = if target.version == ProtocolVersion::Http1 {
                context.http1(&target, reuse, &mut upload).await
            } else {
                Box::pin(context.streams(&target, reuse, &mut upload.streamed)).await
            };
            step = match passed {
                Ok(next) => return next,
                Err(Instead::Outcome(outcome)) => context.decide(outcome),
                Err(Instead::Step(instead)) => instead,
            };
        }
    }
}

impl<W: Wire> RequestContext<'_, W> {
    /// Sends the request to a target that speaks HTTP/1.1 and passes the answer on.
    async fn http1(
        &mut self,
        target: &Arc<TargetView>,
        reuse: Reuse,
        upload: &mut Upload,
    ) -> Result<Next, Instead> {
        let mut connection = choose::connection(&self.session, target, reuse).await?;
        if !connection.reused {
            self.connected();
        }
        match self.attempt(&mut connection, upload).await {
            Attempt::Answered(head) => match self.reconsider(&head, upload) {
                Some(instead) => Err(Instead::Step(instead)),
                None => Ok(self.relay(connection.stream, target, upload, head).await),
            },
            Attempt::Failed(outcome) => {
                if let Outcome::Failed(reason) = outcome {
                    self.outlive(connection.stream, reason);
                }
                Err(outcome.into())
            }
        }
    }
}
