//! Restores queues from files: at start, and after a write has failed.

use super::engine::{Bounds, Engine, QueueEntry, needed};
use super::log::Log;
use super::named::Named;
use super::record::Record;
use super::tasks::{self, Unwritten};
use forebay_queues::{Accepted, Change, Queue, QueueId, Settings};
use forebay_units::{Rng, Wall};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::Path;

/// What was found in the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Existing messages.
    pub messages: usize,
    /// Records that were read.
    pub records: u64,
    /// Bytes at the ends of files that are not complete frames: truncated by a crash before they were acknowledged, or
    /// damaged by a disk.
    pub left_out: u64,
}

impl Engine {
    /// Opens the log in this directory, which is created if necessary. `queues` are all queues that exist; records of
    /// others are ignored. `seed` is for ids of messages that tasks move.
    ///
    /// # Errors
    /// If the directory cannot be read, or another version of Forebay wrote it.
    pub fn open(
        now: Wall,
        directory: &Path,
        bounds: Bounds,
        queues: &[(QueueId, Settings)],
        seed: u64,
    ) -> io::Result<(Engine, Found)> {
        let entry = |&(id, wanted): &(QueueId, Settings)| {
            let entry = QueueEntry {
                queue: Queue::new(wanted),
                wanted,
                deadline: None,
                tasks: VecDeque::new(),
            };
            (id, entry)
        };
        let mut engine = Engine {
            log: Log::open(directory, bounds.segment_bytes)?,
            queues: queues.iter().map(entry).collect(),
            due: BTreeSet::new(),
            bounds,
            ids: Rng::named(seed, "moved messages"),
            woken: Vec::new(),
            copying: None,
            failed: None,
            tasks: Unwritten::default(),
            messages: 0,
            named: Named::default(),
        };
        for (id, tasks) in tasks::read(directory) {
            if let Some(entry) = engine.queues.get_mut(&id) {
                entry.tasks = tasks;
            }
        }
        let found = engine.read()?;
        engine.settle(now);
        Ok((engine, found))
    }

    fn read(&mut self) -> io::Result<Found> {
        let mut found = Found::default();
        for number in self.log.numbers() {
            let (queues, named) = (&mut self.queues, &mut self.named);
            found.left_out += self.log.replay(number, |log, record, place| {
                found.records += 1;
                match record {
                    Record::Changed(id, change) => {
                        let Some(entry) = queues.get_mut(&id) else { return };
                        let change = change.with_body(|()| place);
                        if let Change::Sent(sent) = &change {
                            log.live(place);
                            named.sent(
                                id,
                                Accepted {
                                    id: sent.id,
                                    sequence: sent.sequence,
                                    duplicate: false,
                                },
                            );
                        }
                        log.need(place.segment, needed(&change));
                        entry.queue.apply(&change);
                        for gone in entry.queue.take_gone() {
                            log.gone(gone);
                        }
                    }
                    Record::Dropped(id) => {
                        let Some(entry) = queues.get_mut(&id) else { return };
                        entry.queue.apply(&Change::Purged { at: Wall(0) });
                        for gone in entry.queue.take_gone() {
                            log.gone(gone);
                        }
                    }
                }
            })?;
        }
        self.messages = self.queues.values().map(|entry| entry.queue.len()).sum();
        found.messages = self.messages;
        let ids: Vec<QueueId> = self.queues.keys().copied().collect();
        for id in ids {
            self.touch(id);
        }
        Ok(found)
    }

    /// Releases the log to another process.
    pub(crate) fn let_go(&mut self) {
        self.log.let_go();
    }

    /// Takes the log back from a process that was to go on with it and has not, and reads what it has written.
    ///
    /// # Errors
    /// If another process has it, or it cannot be read.
    pub(crate) fn take_back(&mut self, now: Wall) -> io::Result<Found> {
        // Opened again, because the other process may have written more.
        self.log = Log::open(self.log.directory(), self.bounds.segment_bytes)?;
        self.read_again(now)
    }

    /// After a failed commit: restores everything as the files have it. Waiting receives are forgotten; tasks go on.
    ///
    /// # Errors
    /// If the files cannot be read. Then nothing may be done with these queues.
    pub fn reload(&mut self, now: Wall) -> io::Result<Found> {
        // Part of a frame may have been written. A later frame behind it could not be read.
        self.log.cut()?;
        self.log.forget_all();
        self.read_again(now)
    }

    fn read_again(&mut self, now: Wall) -> io::Result<Found> {
        self.failed = None;
        self.named = Named::default();
        self.copying = None;
        self.woken.clear();
        self.due.clear();
        let queues = core::mem::take(&mut self.queues);
        let emptied = |(id, entry): (QueueId, QueueEntry)| {
            let queue = Queue::new(entry.wanted);
            let deadline = None;
            (
                id,
                QueueEntry {
                    queue,
                    deadline,
                    ..entry
                },
            )
        };
        self.queues = queues.into_iter().map(emptied).collect::<BTreeMap<_, _>>();
        let found = self.read()?;
        self.settle(now);
        Ok(found)
    }
}
