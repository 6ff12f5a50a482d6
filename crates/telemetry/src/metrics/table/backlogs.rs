//! Metrics of Auto Scaling groups that are sized by their workers' queue. A queue that does not exist has none but its orders.

use super::names;
use super::row::{LEVELS, counter, gauge, sum};
use crate::backlog::BacklogMetrics;
use crate::metrics::dimension::Dimension::{self, AutoScalingGroup};
use crate::metrics::metric::{Metric, Read, Unit, Values};
use forebay_scaling::backlog::Plan;

/// CloudWatch's set of dimensions: by group.
const G: &[&[Dimension]] = &[&[AutoScalingGroup]];

fn plan(of: &BacklogMetrics, to: &mut Values, figure: fn(&Plan) -> f64) {
    if let Some(plan) = &of.plan {
        to.add(figure(plan));
    }
}

pub(super) const ROWS: &[Metric] = &[
    gauge(
        names::BACKLOG_VISIBLE,
        "Messages that may be received from a group's queue",
        Read::Backlog(|of, to| plan(of, to, |plan| plan.work.visible as f64)),
    ),
    gauge(
        names::BACKLOG_IN_FLIGHT,
        "Messages that were received from it and are not done",
        Read::Backlog(|of, to| plan(of, to, |plan| plan.work.in_flight as f64)),
    ),
    gauge(
        names::BACKLOG_LATE,
        "Visible messages that will not be done within the latency, whatever is ordered",
        Read::Backlog(|of, to| plan(of, to, |plan| plan.guard.late as f64)),
    ),
    gauge(
        names::BACKLOG_PROCESSING_SECONDS,
        "From a message's receive to its delete",
        Read::Backlog(|of, to| plan(of, to, |plan| plan.processing)),
    )
    .unit(Unit::Seconds)
    .cloudwatch(&[sum("BacklogProcessingTime", G).own().with(LEVELS).always()]),
    gauge(
        "forebay_backlog_lead_seconds",
        "From a change of the queue to an instance that works: the 99th percentile of start-ups, and a look",
        Read::Backlog(|of, to| plan(of, to, |plan| plan.lead.as_secs_f64())),
    )
    .unit(Unit::Seconds),
    gauge(
        names::BACKLOG_PER_INSTANCE,
        "Visible messages for each instance in service; of all if there is none",
        Read::Backlog(|of, to| {
            plan(of, to, |plan| {
                plan.work.visible as f64 / f64::from(plan.workers.fleet.ready.max(1))
            });
        }),
    )
    .cloudwatch(&[sum("BacklogPerInstance", G).own().with(LEVELS).always()]),
    gauge(
        names::BACKLOG_ACCEPTABLE_PER_INSTANCE,
        "Messages that an instance that is ordered now can do within the latency",
        Read::Backlog(|of, to| {
            plan(of, to, |plan| {
                f64::from(plan.rounds) * f64::from(plan.settings.concurrency)
            });
        }),
    )
    .cloudwatch(&[sum("AcceptableBacklogPerInstance", G).own().with(LEVELS).always()]),
    gauge(
        names::BACKLOG_DESIRED,
        "Capacity that the group wants",
        Read::Backlog(|of, to| plan(of, to, |plan| f64::from(plan.workers.fleet.desired))),
    )
    .cloudwatch(&[sum("BacklogDesiredCapacity", G).own().with(LEVELS).always()]),
    gauge(
        names::BACKLOG_NEEDED,
        "Capacity that its backlog needs, within no bounds",
        Read::Backlog(|of, to| plan(of, to, |plan| f64::from(plan.needed))),
    )
    .cloudwatch(&[sum("BacklogNeededCapacity", G).own().with(LEVELS).always()]),
    gauge(
        names::BACKLOG_READY,
        "Capacity that works",
        Read::Backlog(|of, to| plan(of, to, |plan| f64::from(plan.workers.fleet.ready))),
    )
    .cloudwatch(&[sum("BacklogReadyCapacity", G).own().with(LEVELS).always()]),
    gauge(
        names::BACKLOG_PENDING,
        "Capacity that was ordered and does not work yet",
        Read::Backlog(|of, to| plan(of, to, |plan| plan.workers.fleet.pending.len() as f64)),
    ),
    counter(
        "forebay_backlog_orders",
        "Times that more was ordered",
        Read::Backlog(|of, to| to.add(of.orders)),
    )
    .cloudwatch(&[sum("BacklogOrders", G).own()]),
    counter(
        "forebay_backlog_releases",
        "Times that something was taken away",
        Read::Backlog(|of, to| to.add(of.releases)),
    )
    .cloudwatch(&[sum("BacklogReleases", G).own()]),
];
