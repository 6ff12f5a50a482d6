//! A group of instances that a controller sizes: what the controller sees and says, and what came of it.

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
