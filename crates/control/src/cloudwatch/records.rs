//! Records of alarms, dashboards and insight rules, and the form in which calls name metrics.

use forebay_signals::alarm;
use forebay_units::Wall;
use serde::{Deserialize, Serialize};

/// A dimension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Dimension {
    /// The dimension's name.
    pub name: String,
    /// The dimension's value.
    pub value: String,
}

/// A metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metric {
    /// The namespace.
    #[serde(default)]
    pub namespace: String,
    /// The metric's name.
    #[serde(default)]
    pub metric_name: String,
    /// The dimensions, in the order in which they were given.
    #[serde(default)]
    pub dimensions: Vec<Dimension>,
}

/// A statistic of a metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetricStat {
    /// The metric.
    pub metric: Metric,
    /// The period in seconds.
    pub period: u32,
    /// CloudWatch's name of the statistic.
    pub stat: String,
    /// The unit, if only values with it count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// A query of GetMetricData, or of an alarm on metric math.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetricQuery {
    /// The name by which expressions refer to it.
    pub id: String,
    /// The statistic of a metric, unless there is an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_stat: Option<MetricStat>,
    /// The expression, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// The label for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether the query's result is returned, or only used by others. Defaults to true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_data: Option<bool>,
    /// The period of an expression, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<u32>,
}

impl MetricQuery {
    pub(crate) fn returns(&self) -> bool {
        self.return_data.unwrap_or(true)
    }
}

/// An alarm on a metric, or a composite alarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// The name, unique in the region.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The description.
    pub description: Option<String>,
    /// Whether its actions are run.
    pub actions_enabled: bool,
    /// The actions that are run on entering OK.
    pub ok_actions: Vec<String>,
    /// The actions that are run on entering ALARM.
    pub alarm_actions: Vec<String>,
    /// The actions that are run on entering INSUFFICIENT_DATA.
    pub insufficient_data_actions: Vec<String>,
    /// What it watches.
    pub watches: Watches,
    /// When it was last created or updated.
    pub configured: Wall,
    /// The current state.
    #[serde(with = "state_name")]
    pub state: alarm::State,
    /// The reason for the state.
    pub reason: String,
    /// The reason for programs, as JSON.
    pub reason_data: Option<String>,
    /// The previous state.
    #[serde(default, with = "state_name")]
    pub previous_state: alarm::State,
    /// When the state was last set.
    pub updated: Wall,
    /// When it last entered another state.
    pub transitioned: Wall,
    /// Whether the actions of the current state are still to be run.
    pub actions_due: bool,
    /// The number of its next history entry.
    pub next_entry: u64,
    /// The newest value in an evaluation, which scaling policies use.
    #[serde(default)]
    pub newest: Option<f64>,
}

/// What an alarm watches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Watches {
    /// A metric, or an expression over metrics.
    Metric(Box<MetricRule>),
    /// Other alarms: the rule as given.
    Composite(String),
}

/// When a metric breaches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricRule {
    /// What is compared with the threshold.
    pub source: Source,
    /// CloudWatch's name of the comparison operator.
    pub comparison: String,
    /// The threshold.
    pub threshold: f64,
    /// How many periods are evaluated.
    pub evaluation_periods: u32,
    /// How many of them must breach, if set.
    pub datapoints_to_alarm: Option<u32>,
    /// How missing data is treated, if set.
    pub treat_missing_data: Option<String>,
    /// How percentiles of few values are treated, if set. Only stored and shown.
    pub evaluate_low_sample_count_percentile: Option<String>,
}

/// What an alarm compares with its threshold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A statistic of one metric.
    Stat(MetricStat),
    /// Queries, exactly one of which returns data.
    Queries(Vec<MetricQuery>),
}

impl Alarm {
    /// The actions of a state.
    pub(crate) fn actions(&self, state: alarm::State) -> &[String] {
        match state {
            alarm::State::Ok => &self.ok_actions,
            alarm::State::Alarm => &self.alarm_actions,
            alarm::State::InsufficientData => &self.insufficient_data_actions,
        }
    }

    /// AWS's name of the alarm's type.
    pub(crate) const fn kind(&self) -> &'static str {
        match self.watches {
            Watches::Metric(_) => "MetricAlarm",
            Watches::Composite(_) => "CompositeAlarm",
        }
    }
}

impl MetricRule {
    /// The rule that decides, in terms of points.
    pub(crate) fn rule(&self) -> Option<alarm::Rule> {
        let periods = self.evaluation_periods as usize;
        let missing_data = self.treat_missing_data.as_deref();
        Some(alarm::Rule {
            comparison: alarm::Comparison::named(&self.comparison)?,
            threshold: self.threshold,
            evaluation_periods: periods,
            datapoints_to_alarm: self.datapoints_to_alarm.map_or(periods, |points| points as usize),
            missing_data: missing_data
                .map_or(Some(alarm::MissingData::default()), alarm::MissingData::named)?,
        })
    }

    /// The period between points, in seconds.
    pub(crate) fn period(&self) -> u32 {
        match &self.source {
            Source::Stat(stat) => stat.period,
            Source::Queries(queries) => period(queries),
        }
    }
}

/// The longest period of metrics; if there are none, that of expressions.
pub(crate) fn period(queries: &[MetricQuery]) -> u32 {
    let stats = queries.iter().filter_map(|query| query.metric_stat.as_ref());
    let own = queries.iter().filter_map(|query| query.period);
    stats
        .map(|stat| stat.period)
        .max()
        .or_else(|| own.max())
        .unwrap_or(60)
}

/// One entry of an alarm's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The alarm's name.
    pub alarm_name: String,
    /// AWS's name of the alarm's type.
    pub alarm_type: String,
    /// The time of the entry.
    pub at: Wall,
    /// AWS's name of the entry's type.
    pub kind: String,
    /// The summary for people.
    pub summary: String,
    /// The data for programs, as JSON.
    pub data: String,
}

/// A dashboard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dashboard {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The body: its widgets, as JSON.
    pub body: String,
    /// When it was last changed.
    pub modified: Wall,
}

/// A Contributor Insights rule. Only stored and described.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsightRule {
    /// The name, unique in the region.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The definition, as JSON.
    pub definition: String,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Whether it applies to transformed logs.
    pub on_transformed_logs: bool,
}

/// Serializes a state by CloudWatch's name.
mod state_name {
    use forebay_signals::alarm::State;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(state: &State, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(state.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<State, D::Error> {
        let name = String::deserialize(from)?;
        State::named(&name).ok_or_else(|| D::Error::custom("no state of an alarm has this name"))
    }
}
