//! Requests that are sent to another target because one failed them: by tag, only what is safe, and within a budget.

use super::counts::{count, count_answer};
use super::retry_policy::Candidate;
use super::state::Exchange;
use super::step::Step;
use crate::in_flight::InFlight;
use crate::snapshot::{ListenerView, Snapshot};
use crate::stats::BalancerStats;
use crate::worker_state::WorkerState;
use core::time::Duration;
use forebay_units::Mono;

/// The longest time for which a target's Retry-After keeps a slot from being used.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Exchange {
    /// Whether an answer with this status may be kept from the client and the request be sent again: then ask
    /// [`Exchange::reconsider`] before anything of it goes on.
    pub fn may_reconsider(&self, status: u16) -> bool {
        self.leave.is_push_back(status)
            || (self.leave.retries > 0 && matches!(status, 502..=504))
            || (matches!(status, 400 | 403) && self.permit().is_some())
    }

    /// What to do instead of passing this answer on; none to pass it on.
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
        if !(answer.replayable && (pushed || (self.safe && failed))) {
            return None;
        }
        let failed = self.record.target.clone();
        let took = self.record.sent.map(|sent| now.since(sent));
        // An open gate has no slots, so nothing to push back to.
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
            count_answer(&failed, answer.status, took, self.zone, worker);
        }
        count(&stats.answer_retries);
        Some(step)
    }

    /// Sends the request, which its target failed, to another one: if there is one, and it may.
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
