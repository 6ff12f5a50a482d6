//! The first words: points in time, seeded random streams, small bounded containers, numbers as text.
//! Never reads a clock, never draws ambient randomness: both come in as arguments.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bounded;
pub mod digits;
mod rng;
mod time;

pub use bounded::BoundedStack;
pub use rng::Rng;
pub use time::{Mono, Wall};
