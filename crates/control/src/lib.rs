//! Decides what an API call answers and what the state is afterwards; derives from the state what the data plane serves.
//! Never does I/O, reads no clock, draws no randomness of its own: all three come in as arguments.
#![cfg_attr(test, allow(clippy::too_many_lines, clippy::unwrap_used))]

pub mod acm;
mod api;
pub mod autoscaling;
pub mod cloudwatch;
#[cfg(test)]
mod conformance;
mod dead_letters;
pub mod ec2;
pub mod elbv2;
mod events;
pub mod fleet;
pub mod iam;
mod ids;
pub mod lambda;
mod messages;
mod operate;
mod own_tags;
mod ports;
pub mod records;
mod rows;
mod scheduler;
pub mod schedules;
pub mod settings;
mod shield;
pub mod sqs;
pub mod ssm;
mod state;
mod sts;
mod tables;
mod tagging;
#[cfg(test)]
mod testing;
mod tick;
mod waf;
mod wanted;

pub use api::context::{OperationSpec, Request};
pub use dead_letters::dead_letter;
pub use ec2::records::MOST_ZONES;
pub use elbv2::draining::Drain;
pub use messages::{Asked, MessageError, MessageOrder, MessageOutcome, NotSent};
pub use operate::{Outcome, find, operate, supported};
pub use own_tags::names::own_tags;
pub use ports::{
    ActionError, Actions, AlarmAction, Datapoint, Datapoints, Journal, JournalError, Left, NoDatapoints,
    NobodyActs, NothingObserved, Notification, Observations, Ports, Publish, PutError, Series, SeriesFilter,
};
pub use rows::{RowChange, RowError};
pub use state::nodes::{Move, NoAddress};
pub use state::zones::ZonesInUse;
pub use state::{DEFAULT_DOMAIN, Dialect, Settings, State};
pub use tables::{Region, Table};
pub use tick::{Command, DrainEnd, apply, tick};
