//! What this crate needs from its caller: observations, datapoints, a journal, and what carries out actions.

use crate::State;
use crate::elbv2::draining::Drain;
use crate::fleet::{Image, SeenInstance, Shape};
use forebay_model::{Anomaly, TargetHealth};
use forebay_signals::Summary;
use forebay_signals::alarm;
use forebay_units::Wall;
use std::sync::Arc;

/// What the data plane and the launcher have observed. It is not part of the state.
pub trait Observations: Send + Sync {
    /// A target's health; `None` if it is not watched (yet).
    fn target_health(&self, group_arn: &str, target_id: &str, port: u16) -> Option<TargetHealth>;

    /// How a target compares with its peers; `None` if it is not compared.
    fn target_anomaly(&self, _group_arn: &str, _target_id: &str, _port: u16) -> Option<Anomaly> {
        None
    }

    /// What is still in flight at each of these targets. `None` for a target that the data plane does not know to be
    /// draining (yet): it may still pick it.
    fn left_in_flight(&self, drains: &[Drain]) -> Vec<Option<Left>> {
        vec![None; drains.len()]
    }

    /// How a launcher last saw an instance; `None` if it does not know the instance (any more).
    fn instance(&self, _id: &str) -> Option<SeenInstance> {
        None
    }

    /// The images that instances can be started from.
    fn images(&self) -> Vec<Image> {
        Vec::new()
    }

    /// The shapes that instances can have; empty if none are configured.
    fn shapes(&self) -> Vec<Shape> {
        Vec::new()
    }

    /// Why user data may not be run here; `None` if it may.
    fn refuses_user_data(&self) -> Option<String> {
        None
    }

    /// How many requests are in flight at each of these instances, or at the targets that are registered by these ids,
    /// in all groups together.
    fn in_flight(&self, target_ids: &[&str]) -> Vec<u32> {
        vec![0; target_ids.len()]
    }
}

/// What is still in flight at a draining target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// The number of requests in flight.
    pub in_flight: u32,
    /// Whether the delay is over by the data plane's monotonic clock, so that requests in flight are being aborted.
    pub is_cut: bool,
}

/// An observer that has seen nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingObserved;

impl Observations for NothingObserved {
    fn target_health(&self, _group_arn: &str, _target_id: &str, _port: u16) -> Option<TargetHealth> {
        None
    }
}

/// A series: the values of one metric with one set of dimensions over time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// The region it was put in.
    pub region: String,
    /// CloudWatch's namespace, such as `AWS/ApplicationELB`.
    pub namespace: String,
    /// The metric's name.
    pub name: String,
    /// Dimensions as names and values, sorted by name; no name occurs twice.
    pub dimensions: Vec<(String, String)>,
}

/// The values of a series at one time.
#[derive(Clone, Debug)]
pub struct Datapoint {
    /// The series.
    pub series: Series,
    /// The time of the values.
    pub at: Wall,
    /// CloudWatch's name of the unit; `None` for values without a unit, which CloudWatch also calls `None`.
    pub unit: Option<String>,
    /// The values.
    pub summary: Summary,
    /// Whether it is stored with a resolution of one second rather than one minute.
    pub high_resolution: bool,
}

/// Selects series. Fields that are not set match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesFilter {
    /// Only series of this namespace.
    pub namespace: Option<String>,
    /// Only series of this name.
    pub name: Option<String>,
    /// Only series with all of these dimensions, with any value where none is given. They may have further dimensions.
    pub dimensions: Vec<(String, Option<String>)>,
    /// Only series with datapoints at this time or later.
    pub active_since: Option<Wall>,
}

impl SeriesFilter {
    /// Whether it matches a series. `active_since` is not considered.
    pub fn fits(&self, series: &Series) -> bool {
        let is = |wanted: &Option<String>, found: &String| wanted.as_ref().is_none_or(|name| name == found);
        is(&self.namespace, &series.namespace)
            && is(&self.name, &series.name)
            && self.dimensions.iter().all(|(name, value)| {
                let mut dimensions = series.dimensions.iter();
                dimensions.any(|(found, of)| name == found && is(value, of))
            })
    }
}

/// Datapoints could not be stored.
#[derive(Debug, thiserror::Error)]
#[error("the datapoints could not be stored")]
pub struct PutError {
    /// The underlying error.
    #[source]
    pub cause: Box<dyn core::error::Error + Send + Sync>,
}

/// Stores datapoints. They are not part of the state: they come by the thousand, and none is worth a synced
/// transaction.
pub trait Datapoints: Send + Sync {
    /// Stores datapoints.
    fn put(&self, points: Vec<Datapoint>) -> Result<(), PutError>;

    /// The values of a series in periods of `period_seconds` from `from` to `to`, ascending, each with the period's
    /// beginning. `from` is a whole second, or a whole minute where periods are minutes. Empty periods are left out. If
    /// `unit` is given, only values with that unit count (`None` is one, too); otherwise all do.
    fn read(
        &self,
        series: &Series,
        from: Wall,
        to: Wall,
        period_seconds: u32,
        unit: Option<&str>,
    ) -> Vec<(Wall, Summary)>;

    /// The units that a series' values have, including `None`.
    fn units(&self, series: &Series) -> Vec<String>;

    /// The series of a region that match the filter, sorted.
    fn list(&self, region: &str, filter: &SeriesFilter) -> Vec<Series>;

    /// Deletes everything.
    fn clear(&self);
}

/// Stores no datapoints.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDatapoints;

impl Datapoints for NoDatapoints {
    fn put(&self, _points: Vec<Datapoint>) -> Result<(), PutError> {
        Err(PutError {
            cause: "datapoints are not stored here".into(),
        })
    }

    fn read(&self, _: &Series, _: Wall, _: Wall, _: u32, _: Option<&str>) -> Vec<(Wall, Summary)> {
        Vec::new()
    }

    fn units(&self, _series: &Series) -> Vec<String> {
        Vec::new()
    }

    fn list(&self, _region: &str, _filter: &SeriesFilter) -> Vec<Series> {
        Vec::new()
    }

    fn clear(&self) {}
}

/// An action that an alarm requests because of its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmAction {
    /// The alarm's region.
    pub region: String,
    /// The alarm's name.
    pub alarm_name: String,
    /// The state that the alarm is in.
    pub state: alarm::State,
    /// The ARN of the action.
    pub arn: String,
    /// The text for subscribers of a topic.
    pub notification: Notification,
}

/// What a topic's subscribers are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The subject line.
    pub subject: String,
    /// The full text: JSON in CloudWatch's format.
    pub message: String,
    /// When the state changed, in AWS's time format.
    pub timestamp: String,
}

/// An action could not be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ActionError(pub String);

/// Carries out the actions of alarms. Called before the alarm's new state is on disk: if writing fails, it is called
/// again.
pub trait Actions: Send + Sync {
    /// Carries an action out, or arranges for it, without waiting.
    fn run(&self, action: &AlarmAction) -> Result<(), ActionError>;

    /// Sends a notification to a topic, or arranges for it, without waiting.
    fn tell(&self, topic: &str, notification: &Notification) -> Result<(), ActionError>;
}

/// Ignores all actions.
#[derive(Clone, Copy, Debug, Default)]
pub struct NobodyActs;

impl Actions for NobodyActs {
    fn run(&self, _action: &AlarmAction) -> Result<(), ActionError> {
        Err(ActionError(
            "Forebay carries out no action of this kind yet".to_owned(),
        ))
    }

    fn tell(&self, _topic: &str, _notification: &Notification) -> Result<(), ActionError> {
        Err(ActionError(
            "notifications cannot be sent to topics here".to_owned(),
        ))
    }
}

/// What operations see besides the state.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// What the data plane has observed.
    pub observations: &'a dyn Observations,
    /// Where datapoints are kept.
    pub datapoints: &'a dyn Datapoints,
}

impl Ports<'static> {
    /// Nothing was observed, and no datapoints are stored.
    pub const NOTHING: Ports<'static> = Ports {
        observations: &NothingObserved,
        datapoints: &NoDatapoints,
    };
}

/// A change could not be made durable, and has no effect.
#[derive(Debug, thiserror::Error)]
#[error("the change could not be written to disk")]
pub struct JournalError {
    /// The underlying error.
    #[source]
    pub cause: Box<dyn core::error::Error + Send + Sync>,
}

/// Makes changes durable.
pub trait Journal: Send {
    /// Writes the difference between two states. When this returns, all of it is on disk, or nothing if it failed.
    fn commit(&mut self, old: &State, new: &State) -> Result<(), JournalError>;

    /// Hands the files over to another process. The next commit takes them back, and makes its state the stored one
    /// whatever is stored by then.
    fn release(&mut self) {}
}

/// Makes the data plane serve a state.
pub trait Publish: Send + Sync {
    /// Returns once every worker uses the new state.
    fn publish(&self, state: &Arc<State>);
}
