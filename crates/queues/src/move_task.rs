//! A move task: how fast messages of a dead-letter queue go elsewhere, and how far it is.

use crate::settings::{QueueId, limits};
use forebay_units::Wall;
use serde::{Deserialize, Serialize};

/// Where a task stands, in SQS's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MoveStatus {
    /// It moves messages.
    Running,
    /// All that were there when it began have been moved, or are gone.
    Completed,
    /// It was told to stop, and has. SQS's `CANCELLING` lasts for no time here.
    Cancelled,
    /// It could not go on.
    Failed(MoveFailure),
}

/// Why a task failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum MoveFailure {
    /// Where messages should go is no queue any more.
    #[error("the destination queue does not exist")]
    NoDestination,
    /// A message has no source queue to go back to.
    #[error("a message has no source queue")]
    NoSource,
    /// The messages could not be written.
    #[error("the messages could not be written")]
    Storage,
}

/// One task.
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
    /// A task that begins now, with so many messages to move: all to one queue, or each to where it came from; so many a second,
    /// or as many as SQS moves at most.
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

    /// How many messages may be moved now: what the rate allows since the start, the first one at once.
    pub fn due(&self, now: Wall) -> u64 {
        if self.status != MoveStatus::Running {
            return 0;
        }
        let since = now.since(self.started).as_micros();
        let allowed = since * u128::from(self.rate) / 1_000_000 + 1;
        let allowed = u64::try_from(allowed).unwrap_or(u64::MAX).min(self.to_move);
        allowed.saturating_sub(self.moved)
    }

    /// When the next message may be moved; none if there is nothing left to do.
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

    /// So many were moved. If `asked` were due and there were fewer, the rest is gone or in flight, and the task is complete.
    pub fn moved(&mut self, moved: u64, asked: u64) {
        self.moved += moved;
        if self.status == MoveStatus::Running && (moved < asked || self.moved >= self.to_move) {
            self.status = MoveStatus::Completed;
        }
    }

    /// Stops it; false if it does not run. What was moved stays moved.
    pub fn cancel(&mut self) -> bool {
        let runs = self.status == MoveStatus::Running;
        if runs {
            self.status = MoveStatus::Cancelled;
        }
        runs
    }

    /// It can't go on.
    pub fn fail(&mut self, why: MoveFailure) {
        self.status = MoveStatus::Failed(why);
    }

    /// The queue that all messages go to; none if each goes to where it came from.
    pub fn to(&self) -> Option<QueueId> {
        self.to
    }

    /// Where it stands.
    pub fn status(&self) -> MoveStatus {
        self.status
    }

    /// When it was started.
    pub fn started(&self) -> Wall {
        self.started
    }

    /// Messages moved, and those that were there to be moved when it began.
    pub fn progress(&self) -> (u64, u64) {
        (self.moved, self.to_move)
    }

    /// Messages a second.
    pub fn rate(&self) -> u32 {
        self.rate
    }
}
