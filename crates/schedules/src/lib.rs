//! Decides when a schedule runs next, which runs are due, and when a failed run is retried, as EventBridge Scheduler
//! and scheduled rules do. Never reads a clock, never draws random numbers of its own and carries out nothing: runs are
//! values, and the caller keeps the journal.
//!
//! In reading order: `expression` (with `cron`, `field` and `days`), `schedule`, `window`, `look` (what is due now),
//! `run`, `retry`.
//!
//! The cron of Auto Scaling's scheduled actions has five fields and other rules; it is in `forebay-scaling`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cron;
mod days;
mod expression;
mod expression_error;
mod field;
mod look;
mod retry;
mod run;
mod schedule;
#[cfg(test)]
mod tests;
mod window;

pub use cron::Cron;
pub use expression::{Expression, Rate, RateUnit};
pub use expression_error::{Dialect, EXPRESSION_MAX, ExpressionError};
pub use look::{AfterCompletion, CatchUp, Look, Missed, look};
pub use retry::{Attempt, Exhausted, FailureKind, NextStep, RetryError, RetryPolicy};
pub use run::{Run, RunId, RunReason};
pub use schedule::{RawSchedule, Schedule, ScheduleError};
pub use window::{Window, WindowError};
