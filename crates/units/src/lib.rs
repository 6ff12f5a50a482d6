//! The most basic types: points in time, seeded random streams, small bounded containers, numbers as text. Never reads
//! a clock and never draws ambient randomness: both are passed in.
//!
//! `time` (points in time), `rng` (named random streams), `bounded` (a container with a limit), `digits` (numbers as text), `wildcard`
//! (patterns of AWS's APIs), `lock` (locks whose holder may have panicked).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bounded;
pub mod digits;
pub mod lock;
mod rng;
mod time;
pub mod wildcard;

pub use bounded::BoundedStack;
pub use rng::Rng;
pub use time::{Mono, Wall};
