//! CloudWatch: datapoints, alarms and their evaluation, dashboards, graphs, and stored insight rules.
//!
//! Read `records` and `metric`. Datapoints: `put_data`, `list`, `statistics`, `queries`, `metric_data`. Alarms:
//! `put_alarm`, `composite`, `evaluate` (which alarms are due), `changes` (what a new state leads to), `alarm_state`,
//! `history`, `notification`, `describe`. Then `dashboards`, `widget` (graphs as images), `insight_rules` and `tags`.

pub(crate) mod alarm_state;
pub mod changes;
mod composite;
mod dashboards;
mod describe;
pub(crate) mod evaluate;
mod history;
mod insight_rules;
mod list;
mod metric;
mod metric_data;
mod notification;
pub(crate) mod put_alarm;
mod put_data;
mod queries;
pub mod records;
mod statistics;
pub(crate) mod tags;
#[cfg(test)]
mod tests;
pub mod widget;

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec::write("DeleteAlarms", alarm_state::delete),
    OperationSpec::write("DeleteDashboards", dashboards::delete),
    OperationSpec::write("DeleteInsightRules", insight_rules::delete),
    OperationSpec::read("DescribeAlarmHistory", history::describe),
    OperationSpec::read("DescribeAlarms", describe::describe),
    OperationSpec::read("DescribeAlarmsForMetric", describe::describe_for_metric),
    OperationSpec::read("DescribeInsightRules", insight_rules::describe),
    OperationSpec::write("DisableAlarmActions", alarm_state::disable_actions),
    OperationSpec::write("DisableInsightRules", insight_rules::disable),
    OperationSpec::write("EnableAlarmActions", alarm_state::enable_actions),
    OperationSpec::write("EnableInsightRules", insight_rules::enable),
    OperationSpec::read("GetDashboard", dashboards::show),
    OperationSpec::datapoints("GetMetricData", metric_data::metric_data),
    OperationSpec::datapoints("GetMetricStatistics", statistics::statistics),
    OperationSpec::datapoints("GetMetricWidgetImage", widget::image),
    OperationSpec::read("ListDashboards", dashboards::list),
    OperationSpec::datapoints("ListMetrics", list::list),
    OperationSpec::read("ListTagsForResource", tags::list),
    OperationSpec::write("PutCompositeAlarm", put_alarm::put_composite_alarm),
    OperationSpec::write("PutDashboard", dashboards::put),
    OperationSpec::write("PutInsightRule", insight_rules::put),
    OperationSpec::write("PutMetricAlarm", put_alarm::put_metric_alarm),
    OperationSpec::datapoints("PutMetricData", put_data::put),
    OperationSpec::write("SetAlarmState", alarm_state::set_alarm_state),
    OperationSpec::write("TagResource", tags::tag),
    OperationSpec::write("UntagResource", tags::untag),
];
