//! Workers on a queue in virtual time: messages are those of `forebay-queues`, and a controller decides the number of
//! workers.
//!
//! In reading order: `scene`, `controller` (what controllers see), `planned` and `tracking` (the controllers), `instances`,
//! `world` (the simulation), `record` (results).

mod controller;
mod instances;
mod planned;
mod record;
mod scene;
mod tracking;
mod world;

pub use controller::{BacklogController, BacklogSeen, Shown};
pub use planned::PlannedBacklog;
pub use record::{BacklogRun, BacklogSecond, Done};
pub use scene::BacklogScene;
pub use tracking::TrackedBacklog;

#[cfg(test)]
mod tests;
