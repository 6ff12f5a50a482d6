//! Queues, as the store keeps them. Their messages are in a log of their own.

use forebay_queues::QueueId;
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Its name, unique in its region; ends in `.fifo` if it is a FIFO queue.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// What its messages are kept by; drawn at random, so that no queue after it has the same.
    pub id: QueueId,
    /// The attributes that were set, valid, as answers show them; defaults are left out.
    pub attributes: BTreeMap<String, String>,
    /// When it was made.
    pub created: Wall,
    /// When its attributes were set last.
    pub modified: Wall,
}

impl Queue {
    /// Whether it is a FIFO queue.
    pub fn fifo(&self) -> bool {
        self.name.ends_with(".fifo")
    }
}
