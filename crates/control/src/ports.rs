//! What this crate asks of the hands above it.

use crate::State;
use crate::elbv2::draining::Drain;
use crate::fleet::{Image, SeenInstance, Shape};
use forebay_model::{Anomaly, TargetHealth};
use forebay_signals::Summary;
use forebay_signals::alarm;
use forebay_units::Wall;
use std::sync::Arc;

/// Facts observed by the data plane, joined into answers. They are no part of the state.
pub trait Observations: Send + Sync {
    /// What is known of a target's health; none if it is not watched (yet).
    fn target_health(&self, group_arn: &str, target_id: &str, port: u16) -> Option<TargetHealth>;

    /// How a target compares with its peers; none if it is not compared.
    fn target_anomaly(&self, _group_arn: &str, _target_id: &str, _port: u16) -> Option<Anomaly> {
        None
    }

    /// What is left at each of these targets; none of one that the data plane does not know to drain (yet), which it may still pick.
    fn left_in_flight(&self, drains: &[Drain]) -> Vec<Option<Left>> {
        vec![None; drains.len()]
    }

    /// How a launcher saw an instance last; none if it knows nothing of it (any more).
    fn instance(&self, _id: &str) -> Option<SeenInstance> {
        None
    }

    /// The images that instances can be started from.
    fn images(&self) -> Vec<Image> {
        Vec::new()
    }

    /// The shapes that instances can have; empty if none were declared.
    fn shapes(&self) -> Vec<Shape> {
        Vec::new()
    }

    /// Why what users send along (user data) may not be run here; none if it may.
    fn refuses_user_data(&self) -> Option<String> {
        None
    }

    /// Requests in flight at each of these instances, or at whatever is registered by their ids, in all their groups.
    fn in_flight(&self, target_ids: &[&str]) -> Vec<u32> {
        vec![0; target_ids.len()]
    }
}

/// What is left at a target that drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Requests in flight.
    pub in_flight: u32,
    /// Its delay is over by the data plane's own clock, which nobody sets: what is in flight is being ended.
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

/// A metric: values that belong together over time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// The region it was put in.
    pub region: String,
    /// CloudWatch's namespace, such as `AWS/ApplicationELB`.
    pub namespace: String,
    /// The metric's name.
    pub name: String,
    /// Names and values, sorted by name; no name twice.
    pub dimensions: Vec<(String, String)>,
}

/// What became known of a metric at one time.
#[derive(Clone, Debug)]
pub struct Datapoint {
    /// Of which metric.
    pub series: Series,
    /// When.
    pub at: Wall,
    /// CloudWatch's name of the unit; none if it has none, which CloudWatch calls `None`.
    pub unit: Option<String>,
    /// The values.
    pub summary: Summary,
    /// Whether it is to be kept by the second, not by the minute.
    pub high_resolution: bool,
}

/// Which metrics are meant. What is not said fits everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesFilter {
    /// Those of this namespace.
    pub namespace: Option<String>,
    /// Those of this name.
    pub name: Option<String>,
    /// Those with all of these dimensions, with any value where none is said. They may have others too.
    pub dimensions: Vec<(String, Option<String>)>,
    /// Those that got datapoints at this time or later.
    pub active_since: Option<Wall>,
}

impl SeriesFilter {
    /// Whether it fits a metric, as far as the metric itself tells.
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

/// Datapoints could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("the datapoints could not be kept")]
pub struct PutError {
    /// Why.
    #[source]
    pub cause: Box<dyn core::error::Error + Send + Sync>,
}

/// Where datapoints are kept. They are no part of the state: they come by the thousand, and none is worth a synced transaction.
pub trait Datapoints: Send + Sync {
    /// Keeps these.
    fn put(&self, points: Vec<Datapoint>) -> Result<(), PutError>;

    /// A metric's values in periods of `period_seconds`, the first of which begins at `from` (a whole second; a whole minute where
    /// periods are minutes), up to `to`, ascending, each with its beginning. Empty periods are left out. With a unit (`None` is one
    /// too), only what was put with it; without, everything.
    fn read(
        &self,
        series: &Series,
        from: Wall,
        to: Wall,
        period_seconds: u32,
        unit: Option<&str>,
    ) -> Vec<(Wall, Summary)>;

    /// The units that a metric's datapoints have, `None` among them.
    fn units(&self, series: &Series) -> Vec<String>;

    /// The metrics of a region that the filter fits, sorted.
    fn list(&self, region: &str, filter: &SeriesFilter) -> Vec<Series>;

    /// Forgets all.
    fn clear(&self);
}

/// A place where no datapoint is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDatapoints;

impl Datapoints for NoDatapoints {
    fn put(&self, _points: Vec<Datapoint>) -> Result<(), PutError> {
        Err(PutError {
            cause: "nobody keeps datapoints here".into(),
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

/// What an alarm wants done because of its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmAction {
    /// The alarm's region.
    pub region: String,
    /// The alarm's name.
    pub alarm_name: String,
    /// The state that it is in.
    pub state: alarm::State,
    /// What is to be done.
    pub arn: String,
    /// What subscribers are told.
    pub notification: Notification,
}

/// What subscribers of a topic are told of an alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// In a line.
    pub subject: String,
    /// In full: JSON, in CloudWatch's form.
    pub message: String,
    /// Since when it is so, as AWS writes times.
    pub timestamp: String,
}

/// An action was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ActionError(pub String);

/// Who carries out what alarms want done. Called before the alarm's new state is on disk: if that fails, it is called again.
pub trait Actions: Send + Sync {
    /// Carries an action out, or sees to it that it will be, without waiting.
    fn run(&self, action: &AlarmAction) -> Result<(), ActionError>;

    /// Tells a topic something, or sees to it that it will be told, without waiting.
    fn tell(&self, topic: &str, notification: &Notification) -> Result<(), ActionError>;
}

/// Nobody carries out actions.
#[derive(Clone, Copy, Debug, Default)]
pub struct NobodyActs;

impl Actions for NobodyActs {
    fn run(&self, _action: &AlarmAction) -> Result<(), ActionError> {
        Err(ActionError(
            "Forebay carries out no action of this kind yet".to_owned(),
        ))
    }

    fn tell(&self, _topic: &str, _notification: &Notification) -> Result<(), ActionError> {
        Err(ActionError("nobody tells topics anything here".to_owned()))
    }
}

/// What operations see beyond the state.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// What the data plane has observed.
    pub observations: &'a dyn Observations,
    /// Where datapoints are kept.
    pub datapoints: &'a dyn Datapoints,
}

impl Ports<'static> {
    /// Nothing was observed, and no datapoint is kept.
    pub const NOTHING: Ports<'static> = Ports {
        observations: &NothingObserved,
        datapoints: &NoDatapoints,
    };
}

/// Why a change could not be made durable. Nothing of it counts.
#[derive(Debug, thiserror::Error)]
#[error("the change could not be written to disk")]
pub struct JournalError {
    /// What the disk or the file said.
    #[source]
    pub cause: Box<dyn core::error::Error + Send + Sync>,
}

/// Where changes become durable.
pub trait Journal: Send {
    /// Writes what differs between the two. The change is on disk when this returns, whole, or not at all.
    fn commit(&mut self, old: &State, new: &State) -> Result<(), JournalError>;

    /// Leaves what is on disk to another process. The next commit takes it back, and makes it the new state whatever it is by then.
    fn release(&mut self) {}
}

/// Who serves by the state.
pub trait Publish: Send + Sync {
    /// Returns once every worker picks by the new state.
    fn publish(&self, state: &Arc<State>);
}
