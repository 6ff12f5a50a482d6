//! Decides what each API call answers and what the state is afterwards, and derives from the state what the data plane
//! serves. Does no I/O, reads no clock and draws no randomness of its own: all three are passed in.
//!
//! Start with `operate` (one call in; an answer and perhaps a new state out), `tick` (what becomes due by time alone)
//! and `ports` (what the crate needs from its caller). Then:
//! - `state`, `tables`, `rows`, `records`: the state, the tables of each region, and their rows in the store;
//! - `api`: what all operations share: the operation context, ARNs, filters, pages, errors;
//! - `settings`, `own_tags`: settings as tables, and the tags that are Forebay's own;
//! - `elbv2`: load balancers, listeners, rules, target groups, and the blueprint for the data plane;
//! - `autoscaling`, `ec2`: scaling groups and their instances, networks; `fleet` and `wanted` say which instances
//!   should run;
//! - `cloudwatch`: metrics, alarms, dashboards and graphs;
//! - `sqs`, `messages`, `dead_letters`: queues, and what operations ask of their messages;
//! - `schedules`: due runs, for the services `scheduler` and `events`;
//! - `lambda`: functions, event source mappings and invocations;
//! - `iam`, `acm`, `ssm`, `tagging`, `sts`, `shield`, `waf`: what clients of the services above need besides them;
//! - `ids`: identifiers; `testing`, `conformance`: for tests.
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
