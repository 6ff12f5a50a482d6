//! Decides who may start now: slots, permits and the queue of a target group that has limits.
//! Never reads a clock, never draws ambient randomness, never touches a socket.
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
