//! What EventBridge Scheduler's schedules and EventBridge's scheduled rules share: when they run, what a run is, and
//! what it calls. A due run is a row of the state, so that none is lost and none happens twice.
//!
//! Read `records`, `lives` (clocks), `due` (finding due runs), `calls` (carrying them out), `events` (their input),
//! `targets` and `universal` (what can be called), `lists`.

mod calls;
mod due;
mod events;
pub(crate) mod lists;
mod lives;
pub mod records;
mod targets;
mod universal;

pub use calls::{Doing, ask, carry_out, doing, finish, put};
pub use due::{Looking, ScheduleView, look, miss, next_look};
pub(crate) use lives::{end_if_over, forget, rearrange, start, stop};
pub(crate) use targets::check;
