//! Decides which request may start now, at a target group that has limits: its slots, its permits and its surge queue.
//! Never reads a clock, never draws ambient randomness, never touches a socket.
//!
//! In reading order:
//! - `messages`: the types that the gate and its callers exchange.
//! - `gate`: the entry point; admits, queues or refuses, over `target_slots` and `queue`.
//! - `target_slots`: the slots of each target and the order in which they are taken (`ring`: round robin,
//!   `indexed_heap`: least loaded); `gradient` learns a limit from latencies.
//! - `queue`: the surge queue, fair between classes; `drain` predicts waits, `figures` counts.
//! - `permits`: the agent's side of target control.
#![cfg_attr(test, allow(clippy::too_many_lines, clippy::unwrap_used))]

mod drain;
mod figures;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod gradient;
mod indexed_heap;
mod messages;
pub mod permits;
mod queue;
mod ring;
mod target_slots;

pub use figures::{Figures, Waits};
pub use gate::{Coming, Gate};
pub use gradient::GradientSettings;
pub use messages::{
    Arrival, Claim, Key, Leaving, Limit, Member, Place, Refusal, Released, Rules, Slot, Slots, Verdict, Why,
};
pub use permits::WorkId;
