//! Metrics of planned Auto Scaling groups.

use super::names;
use super::row::{LEVELS, counter, gauge, sum};
use crate::metrics::dimension::Dimension::{self, AutoScalingGroup};
use crate::metrics::metric::{Metric, Read, Unit};

/// CloudWatch's dimensions: by group.
const G: &[&[Dimension]] = &[&[AutoScalingGroup]];

pub(super) const ROWS: &[Metric] = &[
    gauge(
        names::PLANNER_DESIRED,
        "Desired capacity of a planned group",
        Read::Planner(|of, to| to.add(u64::from(of.plan.fleet.desired))),
    )
    .cloudwatch(&[sum("PlannerDesiredCapacity", G).own().with(LEVELS).always()]),
    gauge(
        names::PLANNER_NEEDED,
        "Capacity that its planner finds necessary, before the group's minimum and maximum apply",
        Read::Planner(|of, to| to.add(u64::from(of.plan.needed))),
    )
    .cloudwatch(&[sum("PlannerNeededCapacity", G).own().with(LEVELS).always()]),
    gauge(
        names::PLANNER_READY,
        "Capacity in service",
        Read::Planner(|of, to| to.add(u64::from(of.plan.fleet.ready))),
    )
    .cloudwatch(&[sum("PlannerReadyCapacity", G).own().with(LEVELS).always()]),
    gauge(
        names::PLANNER_PENDING,
        "Capacity that was ordered and is not in service yet",
        Read::Planner(|of, to| to.add(of.plan.fleet.pending.len() as u64)),
    )
    .cloudwatch(&[sum("PlannerPendingCapacity", G).own().with(LEVELS).always()]),
    gauge(
        names::PLANNER_LEAD_SECONDS,
        "Time from a change of the load until there are slots for it: the 99th percentile of start-ups, and the interval between looks",
        Read::Planner(|of, to| to.add(of.plan.lead.as_secs_f64())),
    )
    .unit(Unit::Seconds)
    .cloudwatch(&[sum("PlannerLeadTime", G).own().with(LEVELS).always()]),
    counter(
        "forebay_planner_orders",
        "How often capacity was added",
        Read::Planner(|of, to| to.add(of.orders)),
    )
    .cloudwatch(&[sum("PlannerOrders", G).own()]),
    counter(
        "forebay_planner_releases",
        "How often capacity was removed",
        Read::Planner(|of, to| to.add(of.releases)),
    )
    .cloudwatch(&[sum("PlannerReleases", G).own()]),
    gauge(
        names::PLANNER_ARRIVAL_RATE,
        "Requests a second that arrive at a target group of a planned group",
        Read::Flow(|of, to| to.add(of.rate.per_second)),
    ),
    gauge(
        "forebay_planner_arrival_slope",
        "Growth of that rate, in requests a second each second",
        Read::Flow(|of, to| to.add(of.rate.slope)),
    ),
    gauge(
        "forebay_planner_service_seconds",
        "Time that a request holds its slot",
        Read::Flow(|of, to| {
            if let Some(time) = of.service_time {
                to.add(time);
            }
        }),
    )
    .unit(Unit::Seconds),
    gauge(
        "forebay_planner_load_slots",
        "Slots that the load needs now",
        Read::Flow(|of, to| to.add(of.load)),
    ),
    gauge(
        "forebay_planner_load_ahead_slots",
        "Slots that the load will need when capacity ordered now comes into service",
        Read::Flow(|of, to| to.add(of.load_ahead)),
    ),
    gauge(
        "forebay_planner_headroom_slots",
        "Slots in reserve for random variation of the load",
        Read::Flow(|of, to| to.add(of.headroom)),
    ),
    gauge(
        "forebay_planner_backlog_slots",
        "Slots that work off the queue",
        Read::Flow(|of, to| to.add(of.backlog)),
    ),
    gauge(
        "forebay_planner_needed_slots",
        "Slots needed in total",
        Read::Flow(|of, to| to.add(of.needed_slots)),
    ),
    gauge(
        names::PLANNER_LONGEST_WAIT_SECONDS,
        "The longest wait predicted, with the capacity in service, the capacity on its way and what is ordered now",
        Read::Flow(|of, to| to.add(of.longest_wait)),
    )
    .unit(Unit::Seconds),
    gauge(
        names::PLANNER_MARGIN_SECONDS,
        "By how much that wait may grow before a request is refused",
        Read::Flow(|of, to| {
            if let Some(margin) = of.margins.wait {
                to.add(margin);
            }
        }),
    )
    .unit(Unit::Seconds),
    gauge(
        "forebay_planner_margin_slots",
        "Slots beyond the load that the group's maximum still allows",
        Read::Flow(|of, to| to.add(of.margins.slots)),
    ),
    gauge(
        "forebay_planner_forecast_error_ratio",
        "Mean error of forecasts of the load one lead time ahead, as a share of the load",
        Read::Flow(|of, to| {
            if let Some(error) = of.forecast_error {
                to.add(error);
            }
        }),
    )
    .unit(Unit::Ratio),
];
