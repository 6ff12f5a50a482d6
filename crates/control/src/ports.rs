//! What this crate asks of the hands above it.

use crate::State;
use crate::elbv2::draining::Drain;
use forebay_model::{Anomaly, TargetHealth};
use std::sync::Arc;

/// Facts observed by the data plane, joined into answers. They are no part of the state.
pub trait Observations: Send + Sync {
    /// What is known of a target's health; none if it is not watched (yet).
    fn target_health(&self, group_arn: &str, target_id: &str, port: u16) -> Option<TargetHealth>;

    /// How a target compares with its peers; none if it is not compared.
    fn target_anomaly(&self, _group_arn: &str, _target_id: &str, _port: u16) -> Option<Anomaly> {
        None
    }

    /// How many requests are still in flight at each of these targets; none of one that the data plane does not know to drain
    /// (yet), which it may still pick.
    fn left_in_flight(&self, drains: &[Drain]) -> Vec<Option<u32>> {
        vec![None; drains.len()]
    }
}

/// An observer that has seen nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingObserved;

impl Observations for NothingObserved {
    fn target_health(&self, _group_arn: &str, _target_id: &str, _port: u16) -> Option<TargetHealth> {
        None
    }
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
}

/// Who serves by the state.
pub trait Publish: Send + Sync {
    /// Returns once every worker picks by the new state.
    fn publish(&self, state: &Arc<State>);
}
