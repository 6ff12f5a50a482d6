//! What EventBridge Scheduler's schedules and scheduled rules have in common: when they run, what a run is, and what it calls. A run is a
//! row of the state from the moment it is due, so that none is lost and none happens twice.

mod calls;
mod due;
mod events;
pub(crate) mod lists;
mod lives;
pub mod records;
mod targets;
mod universal;

pub use calls::{Doing, ask, carry_out, doing, finish, put};
pub use due::{Looking, ScheduleView, look, next_look};
pub(crate) use lives::{forget, start, stop};
pub(crate) use targets::check;
