//! Move tasks, in a small file beside the log. What a task has moved is in the log; the progress since the file was last
//! written, at most half a second ago, is counted again after a crash.

use forebay_queues::{MoveTask, QueueId};
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

/// Interval at which progress is written.
const PROGRESS: Duration = Duration::from_millis(500);
pub(crate) const NAME: &str = "tasks.json";
const NEW: &str = "tasks.json.new";
const VERSION: u32 = 1;

/// Each queue's tasks, the latest first.
pub(crate) type Tasks = BTreeMap<QueueId, VecDeque<MoveTask>>;

#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    queues: Vec<(QueueId, VecDeque<MoveTask>)>,
}

/// Whether the file must be written.
#[derive(Debug, Default)]
pub(crate) struct Unwritten {
    /// A task began or ended; this must be on disk before any caller is told.
    pub(crate) changed: bool,
    /// A task has moved messages.
    pub(crate) moved: bool,
    written: Wall,
}

impl Unwritten {
    /// Whether to write now; if so, it counts as written.
    pub(crate) fn take(&mut self, now: Wall) -> bool {
        let due = self.changed || self.moved && self.written + PROGRESS <= now;
        if due {
            *self = Unwritten {
                written: now,
                ..Unwritten::default()
            };
        }
        due
    }
}

/// Reads the file; empty if there is none. An unreadable file must not hold back all messages: it is ignored and logged.
pub(crate) fn read(directory: &Path) -> Tasks {
    let bytes = match fs::read(directory.join(NAME)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Tasks::new(),
        Err(error) => {
            tracing::warn!(%error, "the file of move tasks cannot be read: all tasks are lost");
            return Tasks::new();
        }
    };
    match serde_json::from_slice::<Written>(&bytes) {
        Ok(written) if written.version == VERSION => written.queues.into_iter().collect(),
        _ => {
            tracing::warn!("the file of move tasks is invalid: all tasks are lost");
            Tasks::new()
        }
    }
}

/// Replaces the file, completely or not at all.
pub(crate) fn write<'a>(
    directory: &Path,
    tasks: impl Iterator<Item = (QueueId, &'a VecDeque<MoveTask>)>,
) -> io::Result<()> {
    let written = Written {
        version: VERSION,
        queues: tasks
            .filter(|(_, tasks)| !tasks.is_empty())
            .map(|(queue, tasks)| (queue, tasks.clone()))
            .collect(),
    };
    let new = directory.join(NEW);
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(&serde_json::to_vec(&written)?)?;
    file.sync_all()?;
    fs::rename(&new, directory.join(NAME))?;
    File::open(directory)?.sync_all()
}
