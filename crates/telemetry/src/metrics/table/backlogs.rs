//! Metrics of Auto Scaling groups that are sized by their workers' queue. While the queue does not exist, only orders are
//! shown.

use super::names;
use super::row::{LEVELS, counter, gauge, sum};
use crate::backlog::BacklogMetrics;
use crate::metrics::dimension::Dimension::{self, AutoScalingGroup};
use crate::metrics::metric::{Metric, Read, Unit, Values};
use forebay_scaling::backlog::Plan;

/// CloudWatch's dimensions: by group.
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
        "Messages that were received from it and not deleted yet",
        Read::Backlog(|of, to| plan(of, to, |plan| plan.work.in_flight as f64)),
    ),
    gauge(
        names::BACKLOG_LATE,
        "Visible messages that will not be processed within the target latency, whatever is ordered",
        Read::Backlog(|of, to| plan(of, to, |plan| plan.guard.late as f64)),
    ),
    gauge(
        names::BACKLOG_PROCESSING_SECONDS,
        "Time from a message's receive to its delete",
        Read::Backlog(|of, to| plan(of, to, |plan| plan.processing)),
    )
    .unit(Unit::Seconds)
    .cloudwatch(&[sum("BacklogProcessingTime", G).own().with(LEVELS).always()]),
    gauge(
        "forebay_backlog_lead_seconds",
        "Time from a change of the queue until a new instance works: the 99th percentile of start-ups, and the interval between looks",
        Read::Backlog(|of, to| plan(of, to, |plan| plan.lead.as_secs_f64())),
    )
    .unit(Unit::Seconds),
    gauge(
        names::BACKLOG_PER_INSTANCE,
        "Visible messages per instance in service; all of them if there is no instance",
        Read::Backlog(|of, to| {
            plan(of, to, |plan| {
                plan.work.visible as f64 / f64::from(plan.workers.fleet.ready.max(1))
            });
        }),
    )
    .cloudwatch(&[sum("BacklogPerInstance", G).own().with(LEVELS).always()]),
    gauge(
        names::BACKLOG_ACCEPTABLE_PER_INSTANCE,
        "Messages that an instance ordered now can process within the target latency",
        Read::Backlog(|of, to| {
            plan(of, to, |plan| {
                f64::from(plan.rounds) * f64::from(plan.settings.concurrency)
            });
        }),
    )
    .cloudwatch(&[sum("AcceptableBacklogPerInstance", G).own().with(LEVELS).always()]),
    gauge(
        names::BACKLOG_DESIRED,
        "Desired capacity of the group",
        Read::Backlog(|of, to| plan(of, to, |plan| f64::from(plan.workers.fleet.desired))),
    )
    .cloudwatch(&[sum("BacklogDesiredCapacity", G).own().with(LEVELS).always()]),
    gauge(
        names::BACKLOG_NEEDED,
        "Capacity that its backlog needs, before the group's minimum and maximum apply",
        Read::Backlog(|of, to| plan(of, to, |plan| f64::from(plan.needed))),
    )
    .cloudwatch(&[sum("BacklogNeededCapacity", G).own().with(LEVELS).always()]),
    gauge(
        names::BACKLOG_READY,
        "Capacity in service",
        Read::Backlog(|of, to| plan(of, to, |plan| f64::from(plan.workers.fleet.ready))),
    )
    .cloudwatch(&[sum("BacklogReadyCapacity", G).own().with(LEVELS).always()]),
    gauge(
        names::BACKLOG_PENDING,
        "Capacity that was ordered and is not in service yet",
        Read::Backlog(|of, to| plan(of, to, |plan| plan.workers.fleet.pending.len() as f64)),
    ),
    counter(
        "forebay_backlog_orders",
        "How often capacity was added",
        Read::Backlog(|of, to| to.add(of.orders)),
    )
    .cloudwatch(&[sum("BacklogOrders", G).own()]),
    counter(
        "forebay_backlog_releases",
        "How often capacity was removed",
        Read::Backlog(|of, to| to.add(of.releases)),
    )
    .cloudwatch(&[sum("BacklogReleases", G).own()]),
];
