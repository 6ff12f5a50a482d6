//! Instances and functions: starts and ends them as the state wants, reports what it observes, and keeps images, shapes and
//! code.
//! It never decides how many instances there should be, and changes no state.
//!
//! Instances, in reading order: `launcher` (the interface), `decide` (the next step), `fleet` (all instances), then the
//! launchers `process`, `command` and `simulated`. A process instance: `record` (its files), `shim` (its supervisor),
//! `program` (the last steps before it runs), `cgroup`, `network`, `user`, `processes`, `ends`, `console`. Beside them:
//! `image`, `shapes`, `service` with `imds` and `metadata`. Functions: `functions`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cgroup;
mod command;
mod console;
mod decide;
mod ends;
mod errors;
mod fleet;
pub mod functions;
mod image;
mod imds;
mod launcher;
mod metadata;
mod network;
mod process;
mod processes;
mod program;
mod record;
mod service;
mod shapes;
mod shim;
mod simulated;
mod user;

pub use command::CommandLauncher;
pub use fleet::Fleet;
pub use functions::{CodeStore, RuntimeOptions, Runtimes};
pub use image::{Images, NewImage, Source, StoredImage};
pub use launcher::{AccessKeys, Facts, FactsSource, Launcher, PORT, Poke, StartError};
pub use network::NetworkMode;
pub use process::{ProcessLauncher, ProcessOptions};
pub use shapes::ShapeFile;
pub use shim::{SHIM, intercept};
pub use simulated::SimulatedLauncher;
pub use user::RunAs;
