//! What is kept of alarms, dashboards and insight rules, and how calls name metrics in them.

use forebay_signals::alarm;
use forebay_units::Wall;
use serde::{Deserialize, Serialize};

/// A dimension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Dimension {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metric {
    /// Its namespace.
    #[serde(default)]
    pub namespace: String,
    /// Its name.
    #[serde(default)]
    pub metric_name: String,
    /// Its dimensions, in the order in which they were given.
    #[serde(default)]
    pub dimensions: Vec<Dimension>,
}

/// A statistic of a metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetricStat {
    /// The metric.
    pub metric: Metric,
    /// Seconds.
    pub period: u32,
    /// CloudWatch's name of the statistic.
    pub stat: String,
    /// Only values that were put with this unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// One of the queries of GetMetricData, or of an alarm on metric math.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetricQuery {
    /// What expressions call it.
    pub id: String,
    /// A metric's statistic; else there is an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_stat: Option<MetricStat>,
    /// An expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether it is answered, or only there for others. True if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_data: Option<bool>,
    /// Of an expression: seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<u32>,
}

impl MetricQuery {
    pub(crate) fn returns(&self) -> bool {
        self.return_data.unwrap_or(true)
    }
}

/// An alarm, of either kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its name, unique in its region.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// What people say of it.
    pub description: Option<String>,
    /// Whether actions are run.
    pub actions_enabled: bool,
    /// What is run when it comes to be OK.
    pub ok_actions: Vec<String>,
    /// What is run when it comes to be in ALARM.
    pub alarm_actions: Vec<String>,
    /// What is run when it comes to have INSUFFICIENT_DATA.
    pub insufficient_data_actions: Vec<String>,
    /// What it watches.
    pub watches: Watches,
    /// When it was last configured.
    pub configured: Wall,
    /// Its state.
    #[serde(with = "state_name")]
    pub state: alarm::State,
    /// Why it has this state.
    pub reason: String,
    /// The same for programs, as JSON.
    pub reason_data: Option<String>,
    /// The state before this one.
    #[serde(default, with = "state_name")]
    pub previous_state: alarm::State,
    /// When its state was last set.
    pub updated: Wall,
    /// When its state last became another.
    pub transitioned: Wall,
    /// Whether the actions of its state are still to be run.
    pub actions_due: bool,
    /// The number of its next entry in the history.
    pub next_entry: u64,
    /// The newest value that an evaluation came to: scaling policies go by it.
    #[serde(default)]
    pub newest: Option<f64>,
}

/// What an alarm watches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Watches {
    /// A metric, or an expression over metrics.
    Metric(Box<MetricRule>),
    /// Other alarms: the rule as it was given.
    Composite(String),
}

/// When a metric is out of bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricRule {
    /// What is compared.
    pub source: Source,
    /// CloudWatch's name of the comparison.
    pub comparison: String,
    /// With what.
    pub threshold: f64,
    /// How many periods are looked at.
    pub evaluation_periods: u32,
    /// How many of them must be beyond the threshold, if it was said.
    pub datapoints_to_alarm: Option<u32>,
    /// What missing points count as, if it was said.
    pub treat_missing_data: Option<String>,
    /// What a percentile of few values counts as, if it was said. Stored and shown.
    pub evaluate_low_sample_count_percentile: Option<String>,
}

/// What an alarm compares with its threshold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A statistic of one metric.
    Stat(MetricStat),
    /// The one of these queries that returns data.
    Queries(Vec<MetricQuery>),
}

impl Alarm {
    /// What is run in a state.
    pub(crate) fn actions(&self, state: alarm::State) -> &[String] {
        match state {
            alarm::State::Ok => &self.ok_actions,
            alarm::State::Alarm => &self.alarm_actions,
            alarm::State::InsufficientData => &self.insufficient_data_actions,
        }
    }

    /// AWS's name of its kind.
    pub(crate) const fn kind(&self) -> &'static str {
        match self.watches {
            Watches::Metric(_) => "MetricAlarm",
            Watches::Composite(_) => "CompositeAlarm",
        }
    }
}

impl MetricRule {
    /// What decides, in terms of points.
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

    /// Seconds from one point to the next.
    pub(crate) fn period(&self) -> u32 {
        match &self.source {
            Source::Stat(stat) => stat.period,
            Source::Queries(queries) => period(queries),
        }
    }
}

/// The longest period of metrics; without any, that of expressions.
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
    /// Which alarm's.
    pub alarm_name: String,
    /// AWS's name of the alarm's kind.
    pub alarm_type: String,
    /// When.
    pub at: Wall,
    /// AWS's name of the entry's kind.
    pub kind: String,
    /// For people.
    pub summary: String,
    /// For programs, as JSON.
    pub data: String,
}

/// A dashboard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dashboard {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// What it shows, as JSON.
    pub body: String,
    /// When it was last changed.
    pub modified: Wall,
}

/// A Contributor Insights rule. It is kept and shown; nothing is analysed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsightRule {
    /// Its name, unique in its region.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// What it would count, as JSON.
    pub definition: String,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Whether it is meant for transformed logs.
    pub on_transformed_logs: bool,
}

/// A state is kept by CloudWatch's name for it.
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
