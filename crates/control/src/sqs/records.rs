//! Queues, as the store keeps them. Their messages are in a separate log.

use forebay_queues::QueueId;
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// The name, unique in the region; ends in `.fifo` for FIFO queues.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The id of its messages in the log. It is random, so a later queue of the same name has another one.
    pub id: QueueId,
    /// The attributes that were set, valid and in the form that answers show. Defaults are left out.
    pub attributes: BTreeMap<String, String>,
    /// When it was made.
    pub created: Wall,
    /// When its attributes were last set.
    pub modified: Wall,
}

impl Queue {
    /// Whether it is a FIFO queue.
    pub fn fifo(&self) -> bool {
        self.name.ends_with(".fifo")
    }
}
