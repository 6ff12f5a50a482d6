//! Instances: makes of each what the state wants of it, and tells what it sees; images, shapes, and the metadata service beside them.
//! Functions: runs them when they are invoked. Decides nothing about how many instances there should be, and changes no state.
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
