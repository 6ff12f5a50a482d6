//! A move task: how fast messages of a dead-letter queue are moved elsewhere, and its progress.

use crate::settings::{QueueId, limits};
use forebay_units::Wall;
use serde::{Deserialize, Serialize};

/// A task's status, in SQS's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MoveStatus {
    /// It is moving messages.
    Running,
    /// All messages that were there when it began were moved or are gone.
    Completed,
    /// It was cancelled. SQS's `CANCELLING` takes no time here.
    Cancelled,
    /// It could not continue.
    Failed(MoveFailure),
}

/// Why a task failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum MoveFailure {
    /// The destination queue no longer exists.
    #[error("the destination queue does not exist")]
    NoDestination,
    /// A message has no source queue to go back to.
    #[error("a message has no source queue")]
    NoSource,
    /// The messages could not be written.
    #[error("the messages could not be written")]
    Storage,
}

/// A move task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveTask {
    to: Option<QueueId>,
    rate: u32,
    started: Wall,
    moved: u64,
    to_move: u64,
    status: MoveStatus,
}

impl MoveTask {
    /// A task that begins now with `to_move` messages. They all go to one queue, or each to its origin, at `rate`
    /// messages a second, or at SQS's maximum.
    pub fn new(now: Wall, to_move: u64, to: Option<QueueId>, rate: Option<u32>) -> MoveTask {
        MoveTask {
            to,
            rate: rate
                .unwrap_or(limits::MOVE_RATE_MAX)
                .clamp(1, limits::MOVE_RATE_MAX),
            started: now,
            moved: 0,
            to_move,
            status: if to_move == 0 {
                MoveStatus::Completed
            } else {
                MoveStatus::Running
            },
        }
    }

    /// Number of messages that may be moved now: what the rate allows since the start, with the first one at once.
    pub fn due(&self, now: Wall) -> u64 {
        if self.status != MoveStatus::Running {
            return 0;
        }
        // From the start, not from the last call: the roundings of many calls would add up to another rate.
        let since = now.since(self.started).as_micros();
        let allowed = since * u128::from(self.rate) / 1_000_000 + 1;
        let allowed = u64::try_from(allowed).unwrap_or(u64::MAX).min(self.to_move);
        allowed.saturating_sub(self.moved)
    }

    /// When the next message may be moved; `None` if nothing is left to do.
    pub fn next_deadline(&self) -> Option<Wall> {
        (self.status == MoveStatus::Running).then(|| {
            let micros = (u128::from(self.moved) * 1_000_000).div_ceil(u128::from(self.rate));
            Wall(
                self.started
                    .0
                    .saturating_add(i64::try_from(micros).unwrap_or(i64::MAX)),
            )
        })
    }

    /// Records that `moved` messages were moved. If `asked` were due and fewer were available, the rest is gone or in
    /// flight, and the task is complete.
    pub fn moved(&mut self, moved: u64, asked: u64) {
        self.moved += moved;
        if self.status == MoveStatus::Running && (moved < asked || self.moved >= self.to_move) {
            self.status = MoveStatus::Completed;
        }
    }

    /// Cancels the task; false if it is not running. What was moved stays moved.
    pub fn cancel(&mut self) -> bool {
        let runs = self.status == MoveStatus::Running;
        if runs {
            self.status = MoveStatus::Cancelled;
        }
        runs
    }

    /// Ends the task as failed.
    pub fn fail(&mut self, why: MoveFailure) {
        self.status = MoveStatus::Failed(why);
    }

    /// The queue that all messages go to; `None` if each goes to its origin.
    pub fn to(&self) -> Option<QueueId> {
        self.to
    }

    /// The status.
    pub fn status(&self) -> MoveStatus {
        self.status
    }

    /// When it was started.
    pub fn started(&self) -> Wall {
        self.started
    }

    /// The number of messages moved, and of those that were there when it began.
    pub fn progress(&self) -> (u64, u64) {
        (self.moved, self.to_move)
    }

    /// Messages per second.
    pub fn rate(&self) -> u32 {
        self.rate
    }
}
