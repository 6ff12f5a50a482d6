//! Requests that need a slot: asking for one, waiting for one, and the outcome.

use super::state::{ATTEMPTS, Exchange};
use super::step::Step;
use crate::answer::Answer;
use crate::gate::GroupGate;
use crate::in_flight::InFlight;
use crate::reason::Reason;
use crate::snapshot::{GroupView, Snapshot};
use crate::stats::BalancerStats;
use crate::stats::count;
use crate::waiting::Arrived;
use crate::worker_state::WorkerState;
use core::time::Duration;
use forebay_admission::permits::WorkId;
use forebay_admission::{Arrival, Refusal, Why};
use forebay_model::Concurrency;
use forebay_units::Mono;
use std::sync::Arc;

/// How long a target that pushes a request back without a Retry-After has one slot less.
const PUSHED: Duration = Duration::from_secs(1);

/// The shortest such pause.
const LEAST_REST: Duration = Duration::from_millis(100);
/// Push-backs after which the fault is taken to be the request's, not the targets'.
const MOST_PUSHED: u8 = 5;

impl Exchange {
    /// Asks the gate for a slot.
    pub(super) fn admit(
        &mut self,
        now: Mono,
        gate: &Arc<GroupGate>,
        group: &GroupView,
        worker: &mut WorkerState,
        stats: &BalancerStats,
    ) -> Step {
        // Failed slots that have been held long enough are freed at the gate first; this request may get one.
        worker.expire(now);
        let prefers = self.sticky_choice(group).map(|target| target.id.0);
        let Some(line) = &mut self.line else {
            // The group got its gate only after the request had arrived.
            return self.answer(Reason::NoTarget);
        };
        let avoid: Vec<u64> = self.refused.iter().map(|target| target.0).collect();
        let arrival = Arrival {
            // Passed even where all zones are used: cross-zone may be switched off while the request waits.
            zone: self.zone.0,
            class: line.class,
            weight: line.weight,
            since: line.since,
            deadline: line.deadline,
            front: line.front,
            avoid: &avoid,
            prefers,
        };
        // Whenever it asks again, it comes back from a slot: it then goes to the front, whatever the queue's length.
        line.front = true;
        self.record.waited.get_or_insert_default();
        match gate.arrive(now, &arrival, &mut worker.rng, &group.counters, worker.index) {
            Arrived::Admitted(slot) => self.go(now, slot, group, worker, stats),
            Arrived::Waits(waiting) => {
                let (ticket, until) = (waiting.ticket(), waiting.until());
                line.waiting = Some(waiting);
                Step::Wait { ticket, until }
            }
            Arrived::Refused(refusal) => self.turn_away(&refusal, group, worker),
        }
    }

    fn go(
        &mut self,
        now: Mono,
        slot: InFlight,
        group: &GroupView,
        worker: &mut WorkerState,
        stats: &BalancerStats,
    ) -> Step {
        if self.attempts == 0 {
            self.first(group, &slot, worker, stats);
        }
        let reuse = self.reuse();
        self.send(now, slot, reuse, worker)
    }

    /// Takes the outcome of a wait that is over.
    pub(super) fn released(
        &mut self,
        now: Mono,
        snapshot: &Snapshot,
        worker: &mut WorkerState,
        stats: &BalancerStats,
    ) -> Step {
        let group = self.record.group.and_then(|group| snapshot.group(group));
        let over = self.line.as_mut().and_then(|line| {
            let over = line.waiting.as_mut()?.over();
            line.waiting = None;
            over
        });
        let (Some(group), Some((waited, outcome))) = (group, over) else {
            return self.answer(Reason::NoTarget);
        };
        // Counted from the arrival, however often the request was queued again.
        self.record.waited = self.record.waited.max(Some(waited));
        match outcome {
            Ok(slot) => self.go(now, slot, group, worker, stats),
            Err(refusal) => self.turn_away(&refusal, group, worker),
        }
    }

    /// The deadline of a wait has passed, perhaps together with the arrival of a slot.
    pub(super) fn late(
        &mut self,
        now: Mono,
        snapshot: &Snapshot,
        worker: &mut WorkerState,
        stats: &BalancerStats,
    ) -> Step {
        let group = self.record.group.and_then(|group| snapshot.group(group));
        let refusal = self.line.as_mut().and_then(|line| {
            let refusal = line.waiting.as_mut()?.late(now)?;
            line.waiting = None;
            self.record.waited = Some(now.since(line.since));
            Some(refusal)
        });
        match (refusal, group) {
            (Some(refusal), Some(group)) => self.turn_away(&refusal, group, worker),
            (Some(_), None) => self.answer(Reason::NoTarget),
            // The wait was over before its deadline was noticed: a slot that was handed out is used.
            (None, _) => self.released(now, snapshot, worker, stats),
        }
    }

    /// Leaves the queue because the client left or there is no memory to go on, and records the wait so far.
    pub(super) fn leave_line(&mut self, now: Mono) {
        if let Some(line) = &mut self.line
            && line.waiting.take().is_some()
        {
            self.record.waited = self.record.waited.max(Some(now.since(line.since)));
        }
    }

    fn turn_away(&mut self, refusal: &Refusal, group: &GroupView, worker: &WorkerState) -> Step {
        count(&group.counters.of(self.zone, worker.index).spillover[refusal.why as usize]);
        let reason = match refusal.why {
            Why::NoSlot if group.eligible(self.zone).targets.is_empty() => Reason::NoTarget,
            Why::NoSlot => Reason::NoSlot,
            Why::Full => Reason::QueueFull,
            Why::TooLong => Reason::PredictedWait,
            Why::Late => Reason::QueueWait,
            Why::Displaced => Reason::Displaced,
        };
        let agents = group
            .blueprint
            .settings
            .queue
            .as_ref()
            .map(|queue| queue.concurrency)
            == Some(Concurrency::Agent);
        self.in_flight = None;
        self.record.reason = Some(reason);
        Step::Answer(Box::new(match reason {
            Reason::NoSlot if agents => Answer::no_slot(),
            Reason::NoTarget => Answer::page(reason),
            _ => Answer {
                // Rounded up: a client that returns a moment too early is refused again.
                retry_after: Some(refusal.retry_after.as_millis().div_ceil(1000).max(1) as u64),
                ..Answer::page(reason)
            },
        }))
    }

    /// Puts the request back at the front of the queue, if its group counts slots: its target had no slot after all, or
    /// its agent did not know its permit.
    pub(super) fn requeue(
        &mut self,
        now: Mono,
        snapshot: &Snapshot,
        worker: &mut WorkerState,
        stats: &BalancerStats,
    ) -> Option<Step> {
        let group = snapshot.group(self.record.group?)?;
        let gate = group.gate.as_ref().filter(|_| group.is_limited())?;
        self.line.as_ref().filter(|_| self.attempts < ATTEMPTS)?;
        // Before asking again: in a group with a single slot the request would otherwise wait for itself.
        self.in_flight = None;
        Some(self.admit(now, gate, group, worker, stats))
    }

    /// Records that the target pushed the request back: the target has one slot less for a while and is avoided. `None`
    /// after too many push-backs of this request, because the request itself must then be the cause.
    pub(super) fn push_back(&mut self, now: Mono, snapshot: &Snapshot) -> Option<()> {
        let line = self.line.as_mut()?;
        line.pushed = line
            .pushed
            .checked_add(1)
            .filter(|&pushed| pushed <= MOST_PUSHED)?;
        self.rest(now, snapshot);
        self.refused
            .extend(self.record.target.as_ref().map(|target| target.id));
        Some(())
    }

    /// Takes one slot from its target for a while.
    pub(super) fn rest(&mut self, now: Mono, snapshot: &Snapshot) {
        let group = self.record.group.and_then(|group| snapshot.group(group));
        if let (Some(gate), Some(target)) = (group.and_then(|group| group.gate.as_ref()), &self.record.target)
        {
            let asked = self.wait.take().unwrap_or(PUSHED);
            gate.pause(now, target.id, now + asked.max(LEAST_REST));
        }
    }

    /// Answers a request whose permit the agent did not know and that cannot be sent again.
    pub(super) fn permit_refused(&mut self) -> Step {
        self.in_flight = None;
        self.record.reason = Some(Reason::PermitRefused);
        Step::Answer(Box::new(Answer {
            retry_after: Some(1),
            ..Answer::page(Reason::PermitRefused)
        }))
    }

    /// The permit to send with the request, if an agent counts the target's slots.
    pub fn permit(&self) -> Option<WorkId> {
        self.in_flight.as_ref()?.permit()
    }
}

#[cfg(test)]
mod tests;
