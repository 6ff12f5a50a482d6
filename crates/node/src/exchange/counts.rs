//! Counting, in counters that only this worker writes.

use crate::ids::ZoneId;
use crate::reason::Reason;
use crate::stats::{BalancerStats, ERRORS, GroupStats};
use crate::sync::AtomicU64;
use crate::target::TargetView;
use crate::worker_state::WorkerState;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;

/// Rules evaluated per request that AWS does not charge for (Elastic Load Balancing pricing, "LCU details").
const FREE_RULES: u64 = 10;

/// Adds one to a counter that only this worker writes.
pub(super) fn count(counter: &AtomicU64) {
    count_many(counter, 1);
}

/// Adds `more` to a counter that only this worker writes.
pub(super) fn count_many(counter: &AtomicU64, more: u64) {
    // A load and a store instead of a locked addition: correct because each worker has counters of its own.
    counter.store(counter.load(Relaxed) + more, Relaxed);
}

/// Counts a target's answer to a request of this zone's node; its head arrived after `took`.
pub(super) fn count_answer(
    target: &TargetView,
    status: u16,
    took: Option<Duration>,
    zone: ZoneId,
    worker: &WorkerState,
) {
    let answers = &target.stats.totals.of(worker.index).answers;
    let hundred = usize::from(status / 100).min(answers.len() - 1);
    count(&answers[hundred]);
    let group = target.stats.group.of(zone, worker.index);
    count(&group.answers[hundred]);
    if let Some(took) = took {
        group.times.record(hundred, took);
    }
}

/// Counts a request of this zone's node that ended well after `held` at its target.
pub(super) fn count_completed(target: &TargetView, held: Duration, zone: ZoneId, worker: &WorkerState) {
    let group = target.stats.group.of(zone, worker.index);
    count(&group.completed);
    count_many(
        &group.held_us,
        held.as_secs() * 1_000_000 + u64::from(held.subsec_micros()),
    );
}

pub(super) fn count_own(stats: &BalancerStats, status: u16) {
    count(&stats.own[usize::from(status / 100).min(stats.own.len() - 1)]);
    if let Some(place) = ERRORS.iter().position(|&error| error == status) {
        count(&stats.errors[place]);
    }
}

/// Counts answers made in place of a target's, answers for lack of memory, and answers of rules.
pub(super) fn count_reason(stats: &BalancerStats, reason: Option<Reason>) {
    let place = |reason| Reason::IN_PLACE_OF_A_TARGET.iter().position(|one| *one == reason);
    if let Some(place) = reason.and_then(place) {
        count(&stats.failures[place]);
    }
    match reason {
        Some(Reason::MemoryCeiling) => count(&stats.no_memory),
        Some(Reason::FixedResponse) => count(&stats.fixed),
        Some(Reason::Redirect) => count(&stats.redirects),
        Some(Reason::RedirectTooLong) => count(&stats.redirects_too_long),
        _ => {}
    }
}

/// Counts a failed request to a function as a user's or an internal error, as the CloudWatch metrics of ALB do.
pub(super) fn count_lambda_error(reason: Reason, group: &GroupStats) {
    match reason.lambda_error() {
        Some(error) if error.is_users => count(&group.lambda_user_errors),
        Some(_) => count(&group.lambda_internal_errors),
        None => {}
    }
}

/// Counts the rules that were evaluated for a request.
pub(super) fn count_rules(stats: &BalancerStats, looked_at: u64) {
    count_many(&stats.rule_evaluations, looked_at);
    if looked_at > FREE_RULES {
        count_many(&stats.charged_evaluations, looked_at - FREE_RULES);
    }
}
