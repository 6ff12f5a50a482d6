//! Decides the life of messages in one queue, as SQS defines it: sent, received, hidden, deleted, moved, expired. Never
//! reads a clock, never draws random numbers and never touches a file: the caller keeps bodies, and whatever must
//! survive a crash.
//!
//! In reading order: `settings` and `message` (what a queue and a message are), `queue` (the indexes, and `apply`, the
//! one function that changes them), `change` (the changes as values), `groups` and `deduplication` (FIFO queues),
//! `operations`, `receive` and `waiters` (what callers do), `verdicts` (the answers), `move_task`.
#![cfg_attr(test, allow(clippy::too_many_lines, clippy::unwrap_used))]

mod change;
mod deduplication;
mod groups;
mod message;
mod move_task;
mod operations;
mod queue;
mod receive;
mod settings;
#[cfg(test)]
mod tests;
mod verdicts;
mod waiters;

pub use change::{Change, Sent, Why};
pub use message::{Delivered, Departed, Held, MessageId, Receipt, Sequence};
pub use move_task::{MoveFailure, MoveStatus, MoveTask};
pub use operations::Letter;
pub use queue::{Counts, Queue};
pub use receive::Ask;
pub use settings::{Kind, QueueId, RawSettings, Redrive, Scope, Settings, SettingsError, limits};
pub use verdicts::{
    Accepted, DeleteRefusal, Deleted, Empty, PurgeRefusal, ReceiveRefusal, SendRefusal, Taken,
    VisibilityRefusal,
};
pub use waiters::{Served, Ticket, Woken};
