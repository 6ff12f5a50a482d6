//! Requests that end before any rule is asked.

use super::{Exchange, Record, Speaks, count, count_own};
use crate::answer::Answer;
use crate::mind::Mind;
use crate::picture::{ListenerView, ZoneId};
use crate::reason::Reason;
use crate::stats::BalancerStats;
use forebay_units::Mono;

impl Exchange {
    /// A request that was refused before routing (malformed, too long, ...). Its connection ends with it.
    pub fn refused(now: Mono, reason: Reason, listener: &ListenerView, mind: &Mind) -> Record {
        let stats = listener.balancer.stats.of(mind.worker);
        count(&stats.requests);
        count_own(stats, reason.status());
        count_reason(stats, Some(reason));
        Record::begun(now, Some(reason))
    }

    /// A sound request that is not routed for a reason of ours; it gets this answer, and its connection may be kept.
    pub fn turned_away(
        now: Mono,
        speaks: Speaks,
        zone: ZoneId,
        reason: Reason,
        listener: &ListenerView,
        mind: &Mind,
    ) -> (Exchange, Box<Answer>) {
        count(&listener.balancer.stats.of(mind.worker).requests);
        let exchange = Exchange {
            record: Record::begun(now, Some(reason)),
            zone,
            speaks,
            safe: false,
            refused: Vec::new(),
            attempts: 0,
            in_flight: None,
            sticky: None,
            leave: super::again::Leave::default(),
            wait: None,
            open: None,
            line: None,
            working: None,
        };
        (exchange, Box::new(Answer::page(reason)))
    }
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
