//! The outcome of one try to send a request, whatever its target speaks.

use crate::choose::Missing;
use crate::connection::Next;
use crate::deadlines::Ended;
use crate::queue;
use crate::respond;
use crate::session::RequestContext;
use crate::wire::Wire;
use forebay_node::{Answer, Outcome, Reason, Step, TargetView};
use forebay_units::Mono;
use std::sync::Arc;

/// How a try ended that got no answer to pass on.
pub(super) enum Instead {
    /// The try failed or died.
    Outcome(Outcome),
    /// An answer came and is dropped in favour of this step.
    Step(Step),
}

impl From<Outcome> for Instead {
    fn from(outcome: Outcome) -> Instead {
        Instead::Outcome(outcome)
    }
}

impl From<Missing> for Instead {
    fn from(missing: Missing) -> Instead {
        match missing {
            Missing::Error(error) => Outcome::NotConnected(error).into(),
            Missing::Ended(ended) => Outcome::Failed(reason(ended)).into(),
        }
    }
}

/// The reason for a failure, by what ended the wait.
pub(super) fn reason(ended: Ended) -> Reason {
    match ended {
        Ended::Late => Reason::TargetSilent,
        Ended::Cut | Ended::Closing => Reason::DeregistrationOver,
    }
}

impl<W: Wire> RequestContext<'_, W> {
    pub(super) fn now(&self) -> Mono {
        self.session.worker.now()
    }

    pub(super) fn touch(&self) {
        let until = self.session.worker.recent() + self.idle_timeout();
        self.session.deadline.arm(until, false);
    }

    /// Notes that the request goes to this target next.
    pub(super) fn aim(&mut self, target: &TargetView) {
        self.session.deadline.watch(Some(Arc::clone(&target.stats)));
        if let Some(permit) = self.exchange.permit() {
            queue::stamp(self.session.buffers, permit);
        }
    }

    /// Notes that a fresh connection to the target was made.
    pub(super) fn connected(&mut self) {
        let began = self.exchange.connected(self.session.worker.now());
        if let Some(span) = &mut self.session.buffers.request_log.span {
            span.connecting = began;
        }
    }

    /// Decides on this outcome by the snapshot in force.
    pub(super) fn decide(&mut self, outcome: Outcome) -> Step {
        let worker = self.session.worker;
        let snapshot = worker.snapshot();
        let state = &mut worker.state.borrow_mut();
        self.exchange
            .on(worker.now(), outcome, self.listener, &snapshot, state)
    }

    /// Sends an answer of our own.
    async fn answer(&mut self, answer: &Answer, keep: bool) -> Next {
        // Boxed: what only a few requests need must not enlarge the future of every request.
        Box::pin(respond::own_answer(self, answer, keep)).await
    }

    /// Ends a request that no target answers.
    pub(super) async fn end(&mut self, step: &Step, keep: bool) -> Next {
        if let Step::Answer(answer) = step {
            return self.answer(answer, keep).await;
        }
        self.log(self.now());
        Next::Close
    }

    /// Ends the exchange for this reason, before an answer has begun.
    pub(super) async fn fail(&mut self, reason: Reason, keep: bool) -> Next {
        let Step::Answer(answer) = self.decide(Outcome::Failed(reason)) else {
            self.log(self.now());
            return Next::Close;
        };
        self.answer(&answer, keep).await
    }
}
