//! Requests that end before any rule is asked.

use super::counts::{count, count_own, count_reason};
use super::leave::Leave;
use super::record::Record;
use super::state::Exchange;
use crate::answer::Answer;
use crate::ids::ZoneId;
use crate::mind::Mind;
use crate::picture::ListenerView;
use crate::reason::Reason;
use crate::request::Speaks;
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
            leave: Leave::default(),
            wait: None,
            open: None,
            line: None,
            working: None,
        };
        (exchange, Box::new(Answer::page(reason)))
    }
}
