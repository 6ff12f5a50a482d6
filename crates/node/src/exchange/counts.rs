//! Counting, into what only this worker writes.

use crate::reason::Reason;
use crate::stats::BalancerStats;
use crate::sync::AtomicU64;
use crate::target::TargetView;
use crate::worker_state::WorkerState;
use core::sync::atomic::Ordering::Relaxed;

/// Adds one to a counter that only this worker writes.
pub(super) fn count(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

pub(super) fn count_answer(target: &TargetView, status: u16, worker: &WorkerState) {
    let answers = &target.stats.totals.of(worker.index).answers;
    count(&answers[usize::from(status / 100).min(answers.len() - 1)]);
}

pub(super) fn count_own(stats: &BalancerStats, status: u16) {
    count(&stats.own[usize::from(status / 100).min(stats.own.len() - 1)]);
}

/// Counts an answer made in place of a target's, and one for which no memory was left.
pub(super) fn count_reason(stats: &BalancerStats, reason: Option<Reason>) {
    let place = |reason| Reason::IN_PLACE_OF_A_TARGET.iter().position(|one| *one == reason);
    if let Some(place) = reason.and_then(place) {
        count(&stats.failures[place]);
    }
    if reason == Some(Reason::MemoryCeiling) {
        count(&stats.no_memory);
    }
}
