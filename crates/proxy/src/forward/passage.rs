//! Everything about one request on its way to a target, and what all ways there need.

use super::outlive;
use crate::buffers::Desk;
use crate::connection::{Next, Visit};
use crate::head::RequestHead;
use crate::line;
use crate::log::{self, Closing};
use crate::request::Incoming;
use crate::respond;
use crate::sweep::{Ended, Slot};
use crate::tls::TargetStream;
use crate::wire::Wire;
use crate::worker::Worker;
use forebay_node::{Answer, Exchange, ListenerView, Outcome, Reason, Step, TargetView};
use forebay_units::Mono;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Everything about one request in this room.
pub(super) struct Passage<'a, W> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) client: &'a mut W,
    pub(super) visit: &'a Visit,
    pub(super) slot: &'a Slot,
    pub(super) desk: &'a mut Desk,
    pub(super) head: RequestHead,
    pub(super) incoming: &'a Incoming,
    pub(super) listener: &'a ListenerView,
    pub(super) idle_timeout: Duration,
}

/// How a try to get an answer ended without one that goes on.
pub(super) enum Instead {
    /// This came of it.
    Outcome(Outcome),
    /// An answer came and is dropped: this is done instead.
    Step(Step),
}

impl From<Outcome> for Instead {
    fn from(outcome: Outcome) -> Instead {
        Instead::Outcome(outcome)
    }
}

/// Why a request failed whose wait was ended so.
pub(super) fn reason(ended: Ended) -> Reason {
    match ended {
        Ended::Late => Reason::TargetSilent,
        Ended::Cut | Ended::Closing => Reason::DeregistrationOver,
    }
}

impl<W: Wire> Passage<'_, W> {
    pub(super) fn now(&self) -> Mono {
        self.worker.now()
    }

    pub(super) fn touch(&self) {
        self.slot.arm(self.worker.recent() + self.idle_timeout, false);
    }

    /// The request goes to this target next.
    pub(super) fn aim(&mut self, exchange: &Exchange, target: &TargetView) {
        self.slot.watch(Some(Arc::clone(&target.stats)));
        if let Some(permit) = exchange.permit() {
            line::stamp(self.desk, permit);
        }
    }

    /// A fresh connection to the target stands.
    pub(super) fn connected(&mut self, exchange: &mut Exchange) {
        let began = exchange.connected(self.worker.now());
        if let Some(span) = &mut self.desk.note.span {
            span.connecting = began;
        }
    }

    /// The target's connection ends before its answer does.
    pub(super) fn outlive(&self, exchange: &mut Exchange, stream: TargetStream, reason: Reason) {
        if self.listener.turnstile.is_some() {
            let (worker, place) = (self.worker, self.visit.place);
            outlive::outlive(worker, place, exchange, stream, reason, self.idle_timeout);
        }
    }

    /// What to do about this outcome, by the picture in force.
    pub(super) fn decide(&self, exchange: &mut Exchange, outcome: Outcome) -> Step {
        let picture = self.worker.picture();
        let mind = &mut self.worker.mind.borrow_mut();
        exchange.on(self.now(), outcome, self.listener, &picture, mind)
    }

    /// Settles, and writes the line of a request that a target answered or nobody did.
    pub(super) fn log(&mut self, exchange: &mut Exchange, now: Mono) {
        let record = exchange.settle(now, None, self.listener, &mut self.worker.mind.borrow_mut());
        let closing = Closing::relayed(record);
        log::log(self.worker, self.visit, self.listener, self.desk, record, closing);
    }

    /// Sends an answer of our own.
    pub(super) async fn answer(&mut self, exchange: &mut Exchange, answer: &Answer, keep: bool) -> Next {
        let (incoming, listener) = (self.incoming, self.listener);
        // Boxed: what only a few requests need must not make the future of all requests larger.
        Box::pin(respond::own_answer(
            self.worker,
            self.client,
            self.visit,
            self.slot,
            self.desk,
            incoming,
            listener,
            exchange,
            answer,
            keep,
        ))
        .await
    }

    /// Ends a request that no target answers.
    pub(super) async fn end(&mut self, exchange: &mut Exchange, step: &Step, keep: bool) -> Next {
        if let Step::Answer(answer) = step {
            return self.answer(exchange, answer, keep).await;
        }
        let now = self.now();
        self.log(exchange, now);
        Next::Close
    }

    /// Ends the exchange for this reason, before an answer has begun.
    pub(super) async fn fail(&mut self, reason: Reason, exchange: &mut Exchange, keep: bool) -> Next {
        let Step::Answer(answer) = self.decide(exchange, Outcome::Failed(reason)) else {
            let now = self.now();
            self.log(exchange, now);
            return Next::Close;
        };
        self.answer(exchange, &answer, keep).await
    }
}
