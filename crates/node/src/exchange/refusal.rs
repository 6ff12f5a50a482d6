//! Requests that end before routing.

use super::record::Record;
use super::retry_policy::RetryPolicy;
use super::state::Exchange;
use crate::answer::Answer;
use crate::ids::ZoneId;
use crate::reason::Reason;
use crate::request::Speaks;
use crate::snapshot::ListenerView;
use crate::stats::count;
use crate::worker_state::WorkerState;
use forebay_units::Mono;

impl Exchange {
    /// Records a request that was refused before routing (malformed, too long, ...). Its connection ends with it.
    pub fn refused(
        now: Mono,
        reason: Reason,
        zone: ZoneId,
        listener: &ListenerView,
        worker: &WorkerState,
    ) -> Record {
        let stats = listener.balancer.stats.of(zone, worker.index);
        count(&stats.requests);
        stats.count_own(reason.status());
        stats.count_reason(Some(reason));
        Record::begun(now, Some(reason))
    }

    /// A valid request that is not routed because of the load balancer's own state. It gets this answer, and its
    /// connection may stay open.
    pub fn turned_away(
        now: Mono,
        speaks: Speaks,
        zone: ZoneId,
        reason: Reason,
        listener: &ListenerView,
        worker: &WorkerState,
    ) -> (Exchange, Box<Answer>) {
        count(&listener.balancer.stats.of(zone, worker.index).requests);
        let exchange = Exchange {
            record: Record::begun(now, Some(reason)),
            zone,
            speaks,
            safe: false,
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
        (exchange, Box::new(Answer::page(reason)))
    }
}
