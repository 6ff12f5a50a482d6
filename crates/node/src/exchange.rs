//! One request's life: route, choose, send, perhaps retry, settle. The caller carries out each step and reports its
//! outcome.
//!
//! In reading order: `state` (a request's state), `step` and `outcome` (the caller's next action, and its report),
//! `own` (answers of rules), `slots` and `slot_claim` (requests that need a slot), `failure` (connections that fail),
//! `again` and `retry_policy` (retries after an answer), `stickiness` (which target a client stays with) and `cookies` (its values, read and set), `refusal` (requests that
//! are never routed), `record` (what logs and metrics get to know of it).

use crate::answer::Answer;
use crate::ids::GroupId;
use crate::in_flight::InFlight;
use crate::permit_issuer::WorkGuard;
use crate::reason::Reason;
use crate::request::{Request, Speaks};
use crate::reuse::Reuse;
use crate::snapshot::{GroupView, ListenerView, Snapshot};
use crate::stats::{BalancerStats, count};
use crate::worker_state::WorkerState;
use forebay_health::RoutingReason;
use forebay_model::{Concurrency, ProtocolVersion, Stickiness};
use forebay_routing::{Facts, Route};
use forebay_units::Mono;
use retry_policy::RetryPolicy;
use slot_claim::SlotClaim;
use state::{ATTEMPTS, ATTEMPTS_FAIL_OPEN};
use std::sync::Arc;

mod again;
mod cookies;
mod failure;
mod outcome;
mod own;
mod record;
mod refusal;
mod retry_policy;
mod slot_claim;
mod slots;
mod state;
mod step;
mod stickiness;

pub use cookies::{CookieValue, Cookies, cookie};
pub use outcome::{ConnectError, Death, Outcome, Sent};
pub use record::{Record, Taken};
pub use retry_policy::Candidate;
pub use state::Exchange;
pub use step::{Rewritten, Step};

/// Safe methods (RFC 9110 section 9.2.1): a client asks for no effect, so sending one twice does no harm.
fn is_safe(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS")
}

impl Exchange {
    /// Starts an exchange for a request whose head is complete.
    pub fn begin(
        now: Mono,
        request: &Request<'_>,
        listener: &ListenerView,
        snapshot: &Snapshot,
        worker: &mut WorkerState,
    ) -> (Exchange, Step) {
        let mut exchange = Exchange {
            record: Record::begun(now, None),
            zone: request.zone,
            speaks: request.speaks,
            safe: is_safe(request.facts.method),
            refused: Vec::new(),
            attempts: 0,
            in_flight: None,
            sticky: None,
            leave: RetryPolicy::default(),
            wait: None,
            open: None,
            line: None,
            work_guard: None,
        };
        let stats = listener.balancer.stats.of(request.zone, worker.index);
        count(&stats.requests);
        // Before routing: a request without a permit must not reach the application.
        if let Some(permit_issuer) = &listener.permit_issuer {
            match permit_issuer.admit(now, request) {
                Ok(work_guard) => exchange.work_guard = Some(work_guard),
                Err(reason) => {
                    exchange.record.reason = Some(reason);
                    return (exchange, Step::Answer(Box::new(Answer::work_refused(reason))));
                }
            }
        }
        let step = exchange.route(now, request, listener, snapshot, worker, stats);
        (exchange, step)
    }

    /// The request as changed by transforms, if any changed it.
    pub fn rewritten(&self) -> Option<&Rewritten> {
        self.record.rewritten.as_deref()
    }

    fn route(
        &mut self,
        now: Mono,
        request: &Request<'_>,
        listener: &ListenerView,
        snapshot: &Snapshot,
        worker: &mut WorkerState,
        stats: &BalancerStats,
    ) -> Step {
        let facts = Facts {
            path: request.rule_path.unwrap_or(request.facts.path),
            ..request.facts
        };
        let Some(won) = listener.rules.as_ref().and_then(|rules| rules.decide(&facts)) else {
            self.record.rule_error = true;
            return self.answer(Reason::NotServed);
        };
        self.record.priority = Some(won.priority);
        stats.count_rules(u64::from(won.evaluated));
        if let Some(transforms) = won.transforms {
            let rewritten = own::rewrite(transforms, &request.facts);
            self.record.transform = Some(rewritten.as_ref().map(|_| ()).map_err(|&error| error));
            match rewritten {
                Ok(rewritten) => self.record.rewritten = rewritten,
                Err(_) => return self.answer(Reason::TransformFailed),
            }
        }
        self.record.action = match won.route {
            Route::Forward(_) => Some(Taken::Forward),
            Route::Redirect(_) => Some(Taken::Redirect),
            Route::Fixed(_) => Some(Taken::Fixed),
            Route::Unsupported(_) => None,
        };
        match won.route {
            Route::Forward(split) => {
                // The group's cookie goes before the weights, so that a client stays with its group.
                let stays = self.sticky_group(request, split, listener, snapshot, worker);
                let Some(group) = stays.or_else(|| split.pick(|| worker.draw()).copied()) else {
                    return self.answer(Reason::NoTarget);
                };
                self.record.group = Some(group);
                if let Some(group) = snapshot.group(group) {
                    // Before anything can refuse it, because the planner goes by all arrivals, also those that get no
                    // slot.
                    count(&group.counters.of(self.zone, worker.index).arrivals);
                    if request.upgrade && group.blueprint.version == ProtocolVersion::Lambda {
                        let reason = Reason::WebSocketToFunction;
                        group
                            .counters
                            .of(self.zone, worker.index)
                            .count_lambda_error(reason);
                        return self.answer(reason);
                    }
                    self.note_target(request, group, worker);
                    if let Some(queue) = &group.settings().queue {
                        if queue.concurrency == Concurrency::Agent && request.upgrade {
                            return self.answer(Reason::WebSocketNotServed);
                        }
                        self.line = Some(Box::new(SlotClaim::of(
                            now,
                            request,
                            queue,
                            listener,
                            won.priority,
                        )));
                    }
                }
                self.choose(now, snapshot, worker, stats)
            }
            Route::Redirect(template) => self.redirect(template, request, listener.blueprint.port),
            Route::Fixed(fixed) => self.fixed(fixed),
            Route::Unsupported(_) => self.answer(Reason::NotServed),
        }
    }

    /// Picks a target of the chosen group that was not tried yet.
    fn choose(
        &mut self,
        now: Mono,
        snapshot: &Snapshot,
        worker: &mut WorkerState,
        stats: &BalancerStats,
    ) -> Step {
        // Frees the slot at the last target first, so that this request is not part of the loads that the choice
        // compares.
        self.in_flight = None;
        let group = self.record.group.and_then(|group| snapshot.group(group));
        let Some(group) = group else {
            return self.answer(Reason::NoTarget);
        };
        if !self.speaks.fits(group.blueprint.version) {
            return self.answer(Reason::ProtocolMismatch);
        }
        // A group that fails open may have no live target at all, so its attempts are bounded more tightly.
        let fails_open = group.eligible(self.zone).reason != RoutingReason::EnoughHealthy;
        let limit = if fails_open { ATTEMPTS_FAIL_OPEN } else { ATTEMPTS };
        if self.attempts < limit
            && let Some(gate) = group
                .gate
                .as_ref()
                .filter(|_| self.line.is_some() && group.is_limited())
        {
            return self.admit(now, gate, group, worker, stats);
        }
        let slot = (self.attempts < limit)
            .then(|| {
                self.sticky_target(group)
                    .or_else(|| worker.choose(now, group, self.zone, &self.refused))
            })
            .flatten();
        let Some(slot) = slot else {
            // A group without a limit queues only while it has no target; after a first attempt the request is answered
            // instead.
            if self.attempts == 0
                && let Some(gate) = group.gate.as_ref().filter(|_| self.line.is_some())
            {
                return self.admit(now, gate, group, worker, stats);
            }
            let reason = if self.attempts == 0 {
                Reason::NoTarget
            } else {
                Reason::Refused
            };
            return self.answer(reason);
        };
        if self.attempts == 0 {
            self.first(group, &slot, worker, stats);
        }
        let reuse = self.reuse();
        self.send(now, slot, reuse, worker)
    }

    /// Records what only the first target of a request changes.
    fn first(&mut self, group: &GroupView, slot: &InFlight, worker: &mut WorkerState, stats: &BalancerStats) {
        self.leave = RetryPolicy::of(group);
        if self.leave.earns() {
            worker.earn(group.id);
        }
        let counters = group.counters.of(self.zone, worker.index);
        count(&counters.requests);
        if matches!(self.speaks, Speaks::Http2 { grpc: true, .. }) {
            count(&counters.grpc_requests);
        }
        let reason = group.eligible(self.zone).reason;
        if reason != RoutingReason::EnoughHealthy {
            count(&stats.fail_open);
            count(&counters.fail_open);
            self.open = group.settings().fail_open_header.then_some(reason);
        }
        if self.is_astray(slot.target()) {
            count(&stats.non_sticky);
            if matches!(group.settings().stickiness, Stickiness::App { .. }) {
                count(&stats.app_non_sticky);
            }
        }
    }

    fn reuse(&self) -> Reuse {
        if self.safe { Reuse::Any } else { Reuse::Careful }
    }

    fn send(&mut self, now: Mono, mut slot: InFlight, reuse: Reuse, worker: &WorkerState) -> Step {
        if let Some(guard) = slot.guard() {
            guard.sending();
        }
        let target = Arc::clone(slot.target());
        self.attempts += 1;
        self.record.sent = Some(now);
        self.record.retries = u32::try_from(self.attempts - 1).unwrap_or(u32::MAX);
        count(&target.stats.totals.of(worker.index).requests);
        self.in_flight = Some(slot);
        self.record.target = Some(Arc::clone(&target));
        Step::Send { target, reuse }
    }

    /// Takes the outcome of the last step and returns the next one.
    pub fn on(
        &mut self,
        now: Mono,
        outcome: Outcome,
        listener: &ListenerView,
        snapshot: &Snapshot,
        worker: &mut WorkerState,
    ) -> Step {
        let (zone, index) = (self.zone, worker.index);
        // Looked up only where it is used: most requests get here only for their answer.
        let stats = || listener.balancer.stats.of(zone, index);
        match outcome {
            // Once the client has seen part of an answer, no other answer may follow, whatever the outcome.
            Outcome::NotConnected(_) | Outcome::Died(_) if self.record.answered.is_some() => {
                self.record.reason = Some(Reason::TargetClosed);
                Step::Abort
            }
            Outcome::Released => self.released(now, snapshot, worker, stats()),
            Outcome::Late => self.late(now, snapshot, worker, stats()),
            Outcome::Answered(status) => {
                // An answer below 400 shows that the agent has seen the permit. A refusal may have been made before the
                // agent looked at it, so the permit is returned; an agent that has seen it ignores that.
                let guard = self.in_flight.as_mut().and_then(InFlight::guard);
                if let Some(guard) = guard.filter(|_| status < 400) {
                    guard.seen();
                }
                self.record.answered = Some(now);
                self.record.target_status = Some(status);
                Step::Relay
            }
            Outcome::NotConnected(error) => self.not_connected(now, error, snapshot, worker, stats()),
            Outcome::Died(death) => self.died(now, death, snapshot, worker, stats()),
            Outcome::Failed(reason) => {
                self.record.reason = Some(reason);
                self.leave_line(now);
                if reason.blames_target() {
                    self.lose(now, worker);
                }
                if self.record.answered.is_some() || reason == Reason::ClientGone {
                    Step::Abort
                } else {
                    self.answer(reason)
                }
            }
        }
    }

    /// The target has failed the request. Its slot goes on counting for as long as a success would have kept it, or a
    /// target that fails quickly would draw all traffic.
    fn lose(&mut self, now: Mono, worker: &mut WorkerState) {
        if let (Some(slot), Some(group)) = (self.in_flight.take(), self.record.group) {
            let start = self.record.sent.unwrap_or(now);
            worker.failed(now, group, slot, start, self.wait.take());
        }
    }

    /// Why all targets of its group get traffic, if the client is to be told.
    pub fn fail_open(&self) -> Option<&'static str> {
        self.open.map(RoutingReason::word)
    }

    fn answer(&mut self, reason: Reason) -> Step {
        self.in_flight = None;
        if let Some(line) = &mut self.line {
            line.leave();
        }
        self.record.reason = Some(reason);
        Step::Answer(Box::new(Answer::page(reason)))
    }

    /// The request turned out to be invalid before any of it was sent: no target is involved.
    pub fn withdraw(&mut self) {
        self.in_flight = None;
        self.record.sent = None;
        self.record.target = None;
    }

    /// A new connection is established, so the request is sent only now. Returns when connecting began.
    pub fn connected(&mut self, now: Mono) -> Option<Mono> {
        self.record.sent.replace(now)
    }

    /// The chosen group.
    pub fn group(&self) -> Option<GroupId> {
        self.record.group
    }

    /// The connection to the target has ended, if there was one: the request is no longer in flight there.
    pub fn release(&mut self) {
        self.in_flight = None;
    }

    /// Ends the target's part in the exchange. Its outcome decides how long the slot goes on counting.
    fn part(&mut self, now: Mono, worker: &mut WorkerState) {
        let record = &self.record;
        // Push-back counts as a failure, so that the slot rests for as long as the target asked.
        let failed = record
            .target_status
            .is_some_and(|status| status >= 500 || self.leave.is_push_back(status))
            || record.reason.is_some_and(Reason::blames_target);
        if failed {
            self.lose(now, worker);
        } else if let (Some(slot), Some(group), Some(sent), Some(answered), None) = (
            &mut self.in_flight,
            record.group,
            record.sent,
            record.answered,
            record.reason,
        ) {
            worker.succeeded(now, group, slot, sent, answered.since(sent));
            let group = slot.target().stats.group.of(self.zone, worker.index);
            group.count_completed(now.since(sent));
            if let Some(guard) = slot.guard() {
                guard.ends(now, Some(now.since(sent)));
            }
        } else if let Some(guard) = self.in_flight.as_mut().and_then(InFlight::guard) {
            guard.ends(now, None);
        }
        self.in_flight = None;
    }

    /// At an agent: the slot that the request holds, to be kept while the target may still be working for a client that
    /// left.
    pub fn take_work_guard(&mut self) -> Option<WorkGuard> {
        self.work_guard.take()
    }

    /// Ends the exchange and counts it. `own` is the status of an answer made here.
    pub fn settle(
        &mut self,
        now: Mono,
        own: Option<u16>,
        listener: &ListenerView,
        worker: &mut WorkerState,
    ) -> &Record {
        self.part(now, worker);
        // Freed before the client's connection is closed, which may take time.
        self.work_guard = None;
        self.record.ended = now;
        if let Some(status) = own {
            let stats = listener.balancer.stats.of(self.zone, worker.index);
            stats.count_own(status);
            stats.count_reason(self.record.reason);
            if let (Some(reason), Some(target)) = (self.record.reason, &self.record.target) {
                target
                    .stats
                    .group
                    .of(self.zone, worker.index)
                    .count_lambda_error(reason);
            }
        }
        if let (Some(status), Some(target)) = (self.record.target_status, &self.record.target) {
            let took = self.record.answered.zip(self.record.sent);
            let took = took.map(|(answered, sent)| answered.since(sent));
            target.stats.count_answer(status, took, self.zone, worker.index);
        }
        &self.record
    }
}

#[cfg(test)]
mod tests;
