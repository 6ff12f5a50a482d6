//! A running Forebay: store, writer, data plane, API and admin addresses, joined through the ports that `control` owns.
//! It decides nothing about requests or state: it wires, starts and stops.
//!
//! In reading order:
//! - `flags` (the flags of `forebay up`), with `place_args`, `message_args` and `function_args`; `data_dir`, `places`, `pools` and
//!   `exposure` (what flags say about directories and addresses, settled at start).
//! - `daemon` (start and end), `parts` (what a daemon consists of), `served` (from the state to the data plane), `takeover` (one
//!   process replaces another), `service_manager`.
//! - Capacity: `planner`, `backlogs` and `first_receives`, `orders` (what both do with a plan), `fleet` (instances).
//! - What happens by time: `ticking`, `schedules`, `feeding` (queues to functions), `notify` (alarms to webhooks).
//! - Behind ports: `queues`, `queue_holders`, `functions`, `datapoints`.
//! - What is shown: `shown` (the admin address), `schedule_page`, `collector`, `queue_metrics`, `function_metrics`, `series_key`,
//!   `exports`, `health_log`, `exposed_log`.
//! - For the command line: `backup`, `checks`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backlogs;
pub mod backup;
pub mod checks;
mod collector;
mod daemon;
mod data_dir;
mod datapoints;
mod exports;
mod exposed_log;
mod exposure;
mod feeding;
mod first_receives;
mod flags;
mod fleet;
mod function_args;
mod function_metrics;
mod functions;
mod health_log;
mod message_args;
pub mod notify;
mod orders;
mod parts;
mod place_args;
mod places;
mod planner;
pub mod pools;
mod queue_holders;
mod queue_metrics;
mod queues;
mod schedule_page;
mod schedules;
mod series_key;
mod served;
mod service_manager;
mod shown;
mod takeover;
mod ticking;

pub use backlogs::{Backlogs, QueueFigures};
pub use daemon::Daemon;
pub use data_dir::make_data_dir;
pub use exposure::Exposure;
pub use flags::{BufferMemory, DataDir, LauncherKind, UpArgs, region};
pub use function_args::FunctionArgs;
pub use message_args::MessageArgs;
pub use place_args::{PlaceArgs, ZoneAddresses};
