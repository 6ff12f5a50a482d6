//! Retries on another target after an answer that failed: if the group is configured so, for safe requests, within a
//! budget.

use super::retry_policy::Candidate;
use super::state::Exchange;
use super::step::Step;
use crate::in_flight::InFlight;
use crate::snapshot::{ListenerView, Snapshot};
use crate::stats::BalancerStats;
use crate::stats::count;
use crate::worker_state::WorkerState;
use core::time::Duration;
use forebay_units::Mono;

/// The longest Retry-After that is kept to.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Exchange {
    /// Whether an answer with this status may be withheld from the client and the request sent again. If so, call
    /// [`Exchange::reconsider`] before any part of the answer is passed on.
    pub fn may_reconsider(&self, status: u16) -> bool {
        self.leave.is_push_back(status)
            || (self.leave.retries > 0 && matches!(status, 502..=504))
            || (matches!(status, 400 | 403) && self.permit().is_some())
    }

    /// The step to take instead of passing this answer on, or `None` to pass it on.
    pub fn reconsider(
        &mut self,
        now: Mono,
        answer: Candidate,
        listener: &ListenerView,
        snapshot: &Snapshot,
        worker: &mut WorkerState,
    ) -> Option<Step> {
        let stats = listener.balancer.stats.of(self.zone, worker.index);
        if answer.permit_refused && self.permit().is_some() {
            // The agent has answered about the permit: returning it as well would be pointless.
            if let Some(guard) = self.in_flight.as_mut().and_then(InFlight::guard) {
                guard.seen();
            }
            let again = answer
                .replayable
                .then(|| self.requeue(now, snapshot, worker, stats));
            return Some(again.flatten().unwrap_or_else(|| self.permit_refused()));
        }
        let pushed = self.leave.is_push_back(answer.status);
        if pushed {
            self.wait = answer.retry_after.map(|wait| wait.min(LONGEST_WAIT));
        }
        let failed = self.leave.retries > 0 && matches!(answer.status, 502..=504);
        // Push-back says that nothing was done, so any method may be sent again; after a failure only a safe one may.
        if !(answer.replayable && (pushed || (self.safe && failed))) {
            return None;
        }
        // Kept for the counters below: sending the request again overwrites both.
        let failed = self.record.target.clone();
        let took = self.record.sent.map(|sent| now.since(sent));
        // An open gate has no slots that push-back could take.
        let limited = snapshot
            .group(self.record.group?)
            .is_some_and(|group| group.is_limited());
        let step = if pushed && limited && self.line.is_some() {
            self.push_back(now, snapshot)?;
            self.requeue(now, snapshot, worker, stats)?
        } else {
            self.again(now, snapshot, worker, stats)?
        };
        if let Some(failed) = failed {
            failed
                .stats
                .count_answer(answer.status, took, self.zone, worker.index);
        }
        count(&stats.answer_retries);
        Some(step)
    }

    /// Sends a request that its target failed to another one, if there is one and the budget allows it.
    pub(super) fn again(
        &mut self,
        now: Mono,
        snapshot: &Snapshot,
        worker: &mut WorkerState,
        stats: &BalancerStats,
    ) -> Option<Step> {
        let group = snapshot.group(self.record.group?)?;
        let failed = self.record.target.as_ref()?.id;
        if self.leave.retries == 0 {
            return None;
        }
        // Before the choice, so that the failed target is not chosen again.
        self.refused.push(failed);
        if self.line.is_some() && group.is_limited() {
            if !worker.may_retry(now, group.id) {
                return None;
            }
            self.leave.retries -= 1;
            self.lose(now, worker);
            return self.requeue(now, snapshot, worker, stats);
        }
        let slot = worker.choose(now, group, self.zone, &self.refused)?;
        // The budget is spent only once there is a target to send the request to.
        if !worker.may_retry(now, group.id) {
            return None;
        }
        self.leave.retries -= 1;
        self.lose(now, worker);
        let reuse = self.reuse();
        Some(self.send(now, slot, reuse, worker))
    }
}

#[cfg(test)]
mod tests;
