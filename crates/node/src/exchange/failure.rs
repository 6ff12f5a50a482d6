//! Connections that fail: what may be sent again, over which connection and to which target.

use super::outcome::{ConnectError, Death, Sent};
use super::state::{ATTEMPTS, Exchange};
use super::step::Step;
use crate::in_flight::InFlight;
use crate::reason::Reason;
use crate::reuse::Reuse;
use crate::snapshot::Snapshot;
use crate::stats::BalancerStats;
use crate::stats::count;
use crate::target::TargetView;
use crate::worker_state::WorkerState;
use core::time::Duration;
use forebay_units::Mono;
use std::sync::Arc;

/// A pooled connection that was closing when the request was sent dies about one round trip later. One that dies after
/// this time died of something else, and the target may have been processing the request.
const STALE_WINDOW: Duration = Duration::from_secs(1);

/// How often a request is sent that no target processes. Each time may cost a new connection.
const UNPROCESSED_ATTEMPTS: usize = 5;

impl Exchange {
    pub(super) fn not_connected(
        &mut self,
        now: Mono,
        error: ConnectError,
        snapshot: &Snapshot,
        worker: &mut WorkerState,
        stats: &BalancerStats,
    ) -> Step {
        if let Some(target) = &self.record.target {
            let totals = target.stats.totals.of(worker.index);
            let group = target.stats.group.of(self.zone, worker.index);
            let (errors, of_group) = match error {
                ConnectError::Handshake => (&totals.tls_errors, &group.tls_errors),
                _ => (&totals.connect_errors, &group.connect_errors),
            };
            count(errors);
            count(of_group);
            self.refused.push(target.id);
        }
        // The slot of a target that refuses connections is not held for as long as a success would take: health checks
        // decide when the target is back.
        let free = error == ConnectError::Refused && self.line.is_some();
        if free && self.permit().is_none() {
            // Otherwise the next waiting request would be sent to it too, although a slot elsewhere becomes free.
            self.rest(now, snapshot);
        }
        // Running out of descriptors here is not the target's fault.
        if error != ConnectError::OutOfResources && !free {
            self.lose(now, worker);
        }
        match error {
            // Nothing was sent, so any request may go to another target.
            ConnectError::Refused => {
                count(&stats.connect_retries);
                self.choose(now, snapshot, worker, stats)
            }
            ConnectError::TimedOut => self.answer(Reason::ConnectTimeout),
            // Answered, as ALB does, instead of tried elsewhere: a client whose Host matches no target's certificate
            // would cause a handshake with each target.
            ConnectError::Handshake => self.answer(Reason::TargetHandshake),
            ConnectError::OutOfResources => self.answer(Reason::OutOfResources),
        }
    }

    pub(super) fn died(
        &mut self,
        now: Mono,
        death: Death,
        snapshot: &Snapshot,
        worker: &mut WorkerState,
        stats: &BalancerStats,
    ) -> Step {
        let unprocessed = death.sent == Sent::Unprocessed;
        let unsent = death.sent == Sent::Nothing;
        let quick = self
            .record
            .sent
            .is_some_and(|sent| now.since(sent) < STALE_WINDOW);
        // A replayed request may run twice. So either nothing of it was sent, or it is safe and the death looks like a
        // race with the target's keep-alive timeout.
        let stale = death.reused && death.replayable && !unprocessed && (unsent || (self.safe && quick));
        match self.record.target.clone() {
            Some(target) if unprocessed && death.replayable && self.attempts < UNPROCESSED_ATTEMPTS => {
                count(&stats.stale_retries);
                self.elsewhere(now, target, snapshot, worker, stats)
            }
            Some(target) if stale && self.attempts < ATTEMPTS => {
                count(&stats.stale_retries);
                self.resend(now, target, Reuse::Never, snapshot, worker, stats)
            }
            target => {
                if let Some(target) = target {
                    count(&target.stats.totals.of(worker.index).died);
                }
                let harmless = death.replayable && (unsent || unprocessed || self.safe);
                if let Some(step) = harmless
                    .then(|| self.again(now, snapshot, worker, stats))
                    .flatten()
                {
                    count(&stats.answer_retries);
                    return step;
                }
                self.lose(now, worker);
                self.answer(Reason::TargetClosed)
            }
        }
    }

    /// Sends a request that this target did not process to another one, in the end to one that was tried before. It
    /// goes to the same target again if there is no other or if a slot is held there. Pooled and new connections
    /// alternate, because a target may refuse requests on one and not on the other.
    fn elsewhere(
        &mut self,
        now: Mono,
        target: Arc<TargetView>,
        snapshot: &Snapshot,
        worker: &mut WorkerState,
        stats: &BalancerStats,
    ) -> Step {
        self.refused.push(target.id);
        let group = self.record.group.and_then(|group| snapshot.group(group));
        let other = group
            .filter(|group| self.line.is_none() || !group.is_limited())
            .and_then(|group| {
                let fresh = worker.choose(now, group, self.zone, &self.refused);
                fresh.or_else(|| worker.choose(now, group, self.zone, &[target.id]))
            });
        let reuse = if self.attempts.is_multiple_of(2) {
            Reuse::Never
        } else {
            self.reuse()
        };
        match other {
            Some(slot) => self.send(now, slot, reuse, worker),
            None => self.resend(now, target, reuse, snapshot, worker, stats),
        }
    }

    /// Sends the request again: to the same target if that still gets traffic, else to another.
    fn resend(
        &mut self,
        now: Mono,
        target: Arc<TargetView>,
        reuse: Reuse,
        snapshot: &Snapshot,
        worker: &mut WorkerState,
        stats: &BalancerStats,
    ) -> Step {
        let group = self.record.group.and_then(|group| snapshot.group(group));
        // It may have been drained or found unhealthy since.
        let still = group.is_some_and(|group| {
            group
                .eligible(self.zone)
                .targets
                .iter()
                .any(|&index| group.targets[index as usize].id == target.id)
        });
        if still {
            let slot = self.in_flight.take().unwrap_or_else(|| InFlight::new(target));
            self.send(now, slot, reuse, worker)
        } else {
            self.choose(now, snapshot, worker, stats)
        }
    }
}
