//! Metrics of planned Auto Scaling groups.

use super::names;
use super::row::{LEVELS, counter, gauge, sum};
use crate::metrics::dimension::Dimension::{self, AutoScalingGroup};
use crate::metrics::metric::{Metric, Read, Unit};

/// CloudWatch's set of dimensions: by group.
const G: &[&[Dimension]] = &[&[AutoScalingGroup]];

pub(super) const ROWS: &[Metric] = &[
    gauge(
        names::PLANNER_DESIRED,
        "Capacity that a planned group wants",
        Read::Planner(|of, to| to.add(u64::from(of.plan.fleet.desired))),
    )
    .cloudwatch(&[sum("PlannerDesiredCapacity", G).own().with(LEVELS).always()]),
    gauge(
        names::PLANNER_NEEDED,
        "Capacity that its planner finds needed, within no bounds",
        Read::Planner(|of, to| to.add(u64::from(of.plan.needed))),
    )
    .cloudwatch(&[sum("PlannerNeededCapacity", G).own().with(LEVELS).always()]),
    gauge(
        names::PLANNER_READY,
        "Capacity that serves",
        Read::Planner(|of, to| to.add(u64::from(of.plan.fleet.ready))),
    )
    .cloudwatch(&[sum("PlannerReadyCapacity", G).own().with(LEVELS).always()]),
    gauge(
        names::PLANNER_PENDING,
        "Capacity that was ordered and does not serve yet",
        Read::Planner(|of, to| to.add(of.plan.fleet.pending.len() as u64)),
    )
    .cloudwatch(&[sum("PlannerPendingCapacity", G).own().with(LEVELS).always()]),
    gauge(
        names::PLANNER_LEAD_SECONDS,
        "From a change of the load to slots for it: the 99th percentile of start-ups, and a look",
        Read::Planner(|of, to| to.add(of.plan.lead.as_secs_f64())),
    )
    .unit(Unit::Seconds)
    .cloudwatch(&[sum("PlannerLeadTime", G).own().with(LEVELS).always()]),
    counter(
        "forebay_planner_orders",
        "Times that more was ordered",
        Read::Planner(|of, to| to.add(of.orders)),
    )
    .cloudwatch(&[sum("PlannerOrders", G).own()]),
    counter(
        "forebay_planner_releases",
        "Times that something was taken away",
        Read::Planner(|of, to| to.add(of.releases)),
    )
    .cloudwatch(&[sum("PlannerReleases", G).own()]),
    gauge(
        names::PLANNER_ARRIVAL_RATE,
        "Requests a second that come to a target group of a planned group",
        Read::Flow(|of, to| to.add(of.rate.per_second)),
    ),
    gauge(
        "forebay_planner_arrival_slope",
        "By how many requests a second that grows each second",
        Read::Flow(|of, to| to.add(of.rate.slope)),
    ),
    gauge(
        "forebay_planner_service_seconds",
        "For how long a request holds its slot",
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
        "Slots that it will need once an order of now can serve",
        Read::Flow(|of, to| to.add(of.load_ahead)),
    ),
    gauge(
        "forebay_planner_headroom_slots",
        "Slots for chance",
        Read::Flow(|of, to| to.add(of.headroom)),
    ),
    gauge(
        "forebay_planner_backlog_slots",
        "Slots that drain the queue",
        Read::Flow(|of, to| to.add(of.backlog)),
    ),
    gauge(
        "forebay_planner_needed_slots",
        "Slots in all that are needed",
        Read::Flow(|of, to| to.add(of.needed_slots)),
    ),
    gauge(
        names::PLANNER_LONGEST_WAIT_SECONDS,
        "The longest wait that is foretold, with what serves, what is on its way and what is ordered now",
        Read::Flow(|of, to| to.add(of.longest_wait)),
    )
    .unit(Unit::Seconds),
    gauge(
        names::PLANNER_MARGIN_SECONDS,
        "By how much that wait may grow before someone is refused",
        Read::Flow(|of, to| {
            if let Some(margin) = of.margins.wait {
                to.add(margin);
            }
        }),
    )
    .unit(Unit::Seconds),
    gauge(
        "forebay_planner_margin_slots",
        "Slots beyond the load that the group's maximum allows",
        Read::Flow(|of, to| to.add(of.margins.slots)),
    ),
    gauge(
        "forebay_planner_forecast_error_ratio",
        "By how much forecasts of the load one lead ahead were wrong, of the load, on average",
        Read::Flow(|of, to| {
            if let Some(error) = of.forecast_error {
                to.add(error);
            }
        }),
    )
    .unit(Unit::Ratio),
];
