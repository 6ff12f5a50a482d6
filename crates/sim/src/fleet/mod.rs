//! A group of instances that a controller sizes.
//!
//! In reading order: `controller` (what controllers see and decide), `instances` (from order to end), `looks` (when they
//! look), `run` (the simulation), `record` (results), `bounds` (bounds of waits).

mod bounds;
mod controller;
mod instances;
mod looks;
mod record;
mod run;

pub use bounds::{Step, StepBounds};
pub use controller::{Controller, Fleet, FleetSeen};
pub(crate) use looks::{Change, Sizing};
pub use record::{FleetRun, Second};
