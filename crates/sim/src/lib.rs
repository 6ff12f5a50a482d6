//! Simulates targets and their users in virtual time, in front of the very code that decides in the data plane.
//! Never waits, and never draws random numbers except from its seed: the same scene gives the same figures, to the last
//! digit.
//!
//! In reading order:
//! - `scene`, `crowd`, `flow`, `target`: what is simulated: targets, users, requests
//! - `world`, `events`, `requests`, `users`, `waits`: the simulation of requests through the data plane's `Exchange`
//! - `figures`: results
//! - `fleet`, `controllers`: groups of instances whose size a controller decides, and models of controllers
//! - `backlog`: workers on a queue
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backlog;
pub mod controllers;
mod crowd;
mod events;
mod figures;
mod fleet;
mod flow;
mod requests;
mod scene;
mod target;
mod users;
mod waits;
mod world;

pub use backlog::{
    BacklogController, BacklogRun, BacklogScene, BacklogSecond, BacklogSeen, Done, PlannedBacklog, Shown,
    TrackedBacklog,
};
pub use crowd::{Arrivals, Client, Crowd, Kind, PAUSE, VISIT};
pub use figures::{Figures, Seen, quantile};
pub use fleet::{Controller, Fleet, FleetRun, FleetSeen, Second, Step, StepBounds};
pub use flow::{Asked, Burst, Flow, Rate, bursts};
pub use scene::{Act, Scene};
pub use target::{Behaviour, Span};
pub use world::{Told, World};
