//! Decides who may start now: slots, permits and the queue of a target group that has limits.
//! Never reads a clock, never draws ambient randomness, never touches a socket.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod permits;

pub use permits::WorkId;
