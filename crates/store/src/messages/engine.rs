//! All queues with their log: each operation changes queues in memory at once, and counts when `commit` has written it.

use super::log::{Content, Log};
use super::named::Named;
use super::record::{Place, Record};
use super::tasks::Unwritten;
use forebay_queues::{
    Accepted, Ask, Change, Counts, DeleteRefusal, Deleted, Delivered, Departed, Empty, Letter, MoveTask,
    PurgeRefusal, Queue, QueueId, Receipt, ReceiveRefusal, SendRefusal, Served, Settings, Ticket,
    VisibilityRefusal, limits,
};
use forebay_units::{Rng, Wall};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::time::Duration;

/// Limits on messages.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Length at which a file is full; the next frame begins a new one.
    pub segment_bytes: u64,
    /// Most messages of all queues. Each costs about 270 bytes of memory, so four million cost a GiB; bodies are on disk
    /// only.
    pub messages: usize,
    /// Most bytes on disk. The log has at most twice what messages need and three files, plus what FIFO queues and receive
    /// attempts must remember for the deduplication interval.
    pub bytes: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            segment_bytes: 64 << 20,
            messages: 4_000_000,
            bytes: 64 << 30,
        }
    }
}

/// Why an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused<E: std::error::Error> {
    /// There is no such queue.
    #[error("there is no such queue")]
    NoQueue,
    /// There are as many messages or bytes on disk as allowed.
    #[error("no room for more messages")]
    Full,
    /// The queue's rules refuse it.
    #[error(transparent)]
    Rule(E),
}

/// The result of a receive.
#[derive(Debug)]
pub struct Given {
    /// Messages, in order.
    pub messages: Vec<Delivered<Content>>,
    /// The reason, if there are none.
    pub empty: Option<Empty>,
}

/// A queue with what is kept beside it.
#[derive(Debug)]
pub(crate) struct QueueEntry {
    pub(crate) queue: Queue<Place>,
    /// The configured settings. While its dead-letter queue does not exist, the queue works without one.
    pub(crate) wanted: Settings,
    /// The time under which it is in `due`.
    pub(crate) deadline: Option<Wall>,
    /// Its move tasks, the latest first.
    pub(crate) tasks: VecDeque<MoveTask>,
}

/// All queues and their log.
#[derive(Debug)]
pub struct Engine {
    pub(crate) log: Log,
    pub(crate) queues: BTreeMap<QueueId, QueueEntry>,
    /// Queues that will change with time, by when.
    pub(crate) due: BTreeSet<(Wall, QueueId)>,
    pub(crate) bounds: Bounds,
    /// Ids for messages that a task moves.
    pub(crate) ids: Rng,
    /// Waiting receives that were served or have ended since the last `take_woken`.
    pub(crate) woken: Vec<(QueueId, Served<Place>)>,
    /// The file whose messages are being copied, and the next byte.
    pub(crate) copying: Option<(u32, u64)>,
    /// The first error since the last commit.
    pub(crate) failed: Option<io::Error>,
    pub(crate) tasks: Unwritten,
    pub(crate) messages: usize,
    /// Messages that were sent lately with naming ids.
    pub(crate) named: Named,
}

impl Engine {
    /// Creates a queue, or changes its settings.
    pub fn configure(&mut self, now: Wall, id: QueueId, settings: Settings) {
        match self.queues.get_mut(&id) {
            Some(entry) => entry.wanted = settings,
            None => {
                let entry = QueueEntry {
                    queue: Queue::new(settings.without_redrive()),
                    wanted: settings,
                    deadline: None,
                    tasks: VecDeque::new(),
                };
                self.queues.insert(id, entry);
            }
        }
        self.settle(now);
    }

    /// Deletes a queue with all its messages. Waiting receives end without messages.
    pub fn remove(&mut self, now: Wall, id: QueueId) {
        let Some(mut entry) = self.queues.remove(&id) else {
            return;
        };
        // Their callers would wait for messages of a queue that does not exist.
        while let Some(ticket) = entry.queue.dismiss() {
            let served = Served {
                ticket,
                messages: Vec::new(),
                empty: Some(Empty::NothingVisible),
            };
            self.woken.push((id, served));
        }
        self.messages -= entry.queue.len();
        entry.queue.apply(&Change::Purged { at: now });
        for place in entry.queue.take_gone() {
            self.log.gone(place);
        }
        if let Some(deadline) = entry.deadline {
            self.due.remove(&(deadline, id));
        }
        self.record(&[], &Record::Dropped(id), Wall(0));
        // Other queues may have sent their dead letters here, and must keep them from now on.
        self.settle(now);
    }

    /// Gives each queue its configured dead-letter queue if that exists; otherwise its messages stay.
    pub(crate) fn settle(&mut self, now: Wall) {
        let ids: Vec<QueueId> = self.queues.keys().copied().collect();
        for id in ids {
            let Some(entry) = self.queues.get(&id) else {
                continue;
            };
            let there = |settings: &Settings| {
                let to = settings.redrive().map(|redrive| self.queues.get(&redrive.to));
                to.is_none_or(|to| to.is_some_and(|to| to.wanted.fifo() == settings.fifo()))
            };
            let wanted = entry.wanted;
            let settings = if there(&wanted) {
                wanted
            } else {
                wanted.without_redrive()
            };
            if *entry.queue.settings() != settings {
                self.run(id, |queue, changes| queue.configure(now, settings, changes));
            }
        }
    }

    /// Sends a message. Its body is opaque.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn send(
        &mut self,
        now: Wall,
        id: QueueId,
        letter: Letter<&[u8]>,
    ) -> Result<Accepted, Refused<SendRefusal>> {
        // The queue's records so far must be written first: the body's place depends on their length.
        self.advance(now, id);
        if self.messages >= self.bounds.messages || self.log.bytes() >= self.bounds.bytes {
            return Err(Refused::Full);
        }
        // Stored already, perhaps before a crash: the same message sent again must not become a second one.
        if let Some(accepted) = self.named.find(id, letter.id) {
            return Ok(accepted);
        }
        let body = letter.body;
        let placed = Letter {
            body: self.log.next_place(body.len()),
            id: letter.id,
            group: letter.group,
            deduplication: letter.deduplication,
            delay: letter.delay,
        };
        let entry = self.queues.get_mut(&id).ok_or(Refused::NoQueue)?;
        let mut changes = Vec::new();
        let accepted = entry.queue.send(now, placed, &mut changes);
        self.took(id, changes, body);
        if let Ok(accepted) = &accepted {
            self.named.sent(id, *accepted);
        }
        accepted.map_err(Refused::Rule)
    }

    /// Receives visible messages, after the waiting receives.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn receive(&mut self, now: Wall, id: QueueId, ask: &Ask) -> Result<Given, Refused<ReceiveRefusal>> {
        self.wake_queue(now, id);
        let taken = self
            .run(id, |queue, changes| queue.receive(now, ask, changes))
            .ok_or(Refused::NoQueue)?
            .map_err(Refused::Rule)?;
        self.bury(now, id, taken.dead);
        self.touch(id);
        Ok(Given {
            messages: self.contents(taken.messages),
            empty: taken.empty,
        })
    }

    /// Lets a receive wait; `take_woken` reports its end. None if there is no such queue.
    pub fn wait(&mut self, id: QueueId, ask: Ask, until: Wall) -> Option<Ticket> {
        let ticket = self.queues.get_mut(&id)?.queue.wait(ask, until);
        self.touch(id);
        Some(ticket)
    }

    /// Ends a wait, because its caller is gone.
    pub fn forget(&mut self, id: QueueId, ticket: Ticket) {
        if let Some(entry) = self.queues.get_mut(&id) {
            entry.queue.forget(ticket);
        }
        self.touch(id);
    }

    /// Deletes a message.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn delete(
        &mut self,
        now: Wall,
        id: QueueId,
        receipt: Receipt,
    ) -> Result<Deleted, Refused<DeleteRefusal>> {
        self.run(id, |queue, changes| queue.delete(now, receipt, changes))
            .ok_or(Refused::NoQueue)?
            .map_err(Refused::Rule)
    }

    /// Hides a message in flight for `timeout` from now on.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn change_visibility(
        &mut self,
        now: Wall,
        id: QueueId,
        receipt: Receipt,
        timeout: Duration,
    ) -> Result<(), Refused<VisibilityRefusal>> {
        self.run(id, |queue, changes| {
            queue.change_visibility(now, receipt, timeout, changes)
        })
        .ok_or(Refused::NoQueue)?
        .map_err(Refused::Rule)
    }

    /// Makes a message visible at once, if it is in flight under this very receipt. Returns whether it was.
    pub fn release(&mut self, now: Wall, id: QueueId, receipt: Receipt) -> bool {
        let released = self.run(id, |queue, changes| queue.release(now, receipt, changes));
        self.wake_queue(now, id);
        released == Some(true)
    }

    /// Deletes all messages of a queue. Returns their number.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn purge(&mut self, now: Wall, id: QueueId) -> Result<usize, Refused<PurgeRefusal>> {
        self.run(id, |queue, changes| queue.purge(now, changes))
            .ok_or(Refused::NoQueue)?
            .map_err(Refused::Rule)
    }

    /// The counts of a queue, and the age of its oldest message.
    pub fn figures(&mut self, now: Wall, id: QueueId) -> Option<(Counts, Option<Duration>)> {
        let counts = self.run(id, |queue, changes| queue.counts(now, changes))?;
        Some((counts, self.queues.get(&id)?.queue.oldest_age(now)))
    }

    /// Messages of all queues, and bytes on disk.
    pub fn size(&self) -> (usize, u64) {
        (self.messages, self.log.bytes())
    }

    /// Number of commits, and their total time for writing and syncing.
    pub fn commits(&self) -> (u64, Duration) {
        self.log.commits
    }

    /// Takes the waiting receives that were served or have ended.
    pub fn take_woken(&mut self) -> Vec<(QueueId, Ticket, Given)> {
        core::mem::take(&mut self.woken)
            .into_iter()
            .map(|(id, served)| {
                let given = Given {
                    messages: self.contents(served.messages),
                    empty: served.empty,
                };
                (id, served.ticket, given)
            })
            .collect()
    }

    fn contents(&self, messages: Vec<Delivered<Place>>) -> Vec<Delivered<Content>> {
        messages
            .into_iter()
            .filter_map(|message| {
                let content = self.log.content(message.body)?;
                Some(message.with_body(|_| content))
            })
            .collect()
    }

    /// Serves the receives that wait at a queue.
    pub(crate) fn wake_queue(&mut self, now: Wall, id: QueueId) {
        let waits = |entry: &QueueEntry| entry.queue.waiting() > 0;
        if !self.queues.get(&id).is_some_and(waits) {
            return;
        }
        let Some(woken) = self.run(id, |queue, changes| queue.wake(now, changes)) else {
            return;
        };
        self.bury(now, id, woken.dead);
        let served = woken.served.into_iter().map(|served| (id, served));
        self.woken.extend(served);
        self.touch(id);
    }

    /// Moves dead letters of a queue to their dead-letter queues.
    fn bury(&mut self, now: Wall, from: QueueId, dead: Vec<(QueueId, Departed<Place>)>) {
        for (to, departed) in dead {
            self.carry(now, to, departed, |queue, departed, changes| {
                queue.bury(now, from, departed, changes);
            });
        }
    }

    /// Moves a message to another queue. Its body is written again, so that no file needs bodies from an earlier one.
    pub(crate) fn carry(
        &mut self,
        now: Wall,
        to: QueueId,
        departed: Departed<Place>,
        take: impl FnOnce(&mut Queue<Place>, Departed<Place>, &mut Vec<Change<Place>>),
    ) {
        let body = match self.log.read(departed.body) {
            Ok(body) => body,
            Err(error) => {
                // The message has already left its old queue in memory. The commit must fail, so that everything is read
                // again.
                self.failed.get_or_insert(error);
                return;
            }
        };
        self.advance(now, to);
        let body_place = self.log.next_place(body.len());
        let Some(entry) = self.queues.get_mut(&to) else {
            return;
        };
        let mut changes = Vec::new();
        let departed = Departed {
            body: body_place,
            ..departed
        };
        take(&mut entry.queue, departed, &mut changes);
        self.took(to, changes, &body);
    }

    /// Records what time has done to a queue. To be done first, so that the next body's place is known.
    pub(crate) fn advance(&mut self, now: Wall, id: QueueId) {
        self.run(id, |queue, changes| queue.advance(now, changes));
    }

    /// Runs an operation that sends nothing.
    pub(crate) fn run<R>(
        &mut self,
        id: QueueId,
        operation: impl FnOnce(&mut Queue<Place>, &mut Vec<Change<Place>>) -> R,
    ) -> Option<R> {
        let entry = self.queues.get_mut(&id)?;
        let mut changes = Vec::new();
        let answer = operation(&mut entry.queue, &mut changes);
        self.took(id, changes, &[]);
        Some(answer)
    }

    /// Records changes. At most one of them sends a message, with this body.
    pub(crate) fn took(&mut self, id: QueueId, changes: Vec<Change<Place>>, body: &[u8]) {
        for change in changes {
            let needed = needed(&change);
            let sent = match &change {
                Change::Sent(sent) => Some(sent.body),
                _ => None,
            };
            let record = Record::Changed(id, change.with_body(drop));
            self.record(if sent.is_some() { body } else { &[] }, &record, needed);
            if let Some(place) = sent {
                self.log.live(place);
                self.messages += 1;
            }
        }
        let Some(entry) = self.queues.get_mut(&id) else {
            return;
        };
        for place in entry.queue.take_gone() {
            self.log.gone(place);
            self.messages -= 1;
        }
        self.touch(id);
    }

    fn record(&mut self, body: &[u8], record: &Record, needed: Wall) {
        if let Err(error) = self.log.add(body, record, needed) {
            self.failed.get_or_insert(error);
        }
    }

    /// Updates when the queue is due.
    pub(crate) fn touch(&mut self, id: QueueId) {
        let Some(entry) = self.queues.get_mut(&id) else {
            return;
        };
        let task = entry.tasks.front().and_then(MoveTask::next_deadline);
        let deadline = [entry.queue.next_deadline(), task].into_iter().flatten().min();
        if deadline == entry.deadline {
            return;
        }
        if let Some(before) = core::mem::replace(&mut entry.deadline, deadline) {
            self.due.remove(&(before, id));
        }
        if let Some(deadline) = deadline {
            self.due.insert((deadline, id));
        }
    }
}

/// Until when a change is needed even if its message is gone: deduplication ids and receive attempts are known for five
/// minutes.
pub(crate) fn needed(change: &Change<Place>) -> Wall {
    match change {
        Change::Sent(sent) if sent.deduplication.is_some() => sent.sent + limits::DEDUPLICATION,
        Change::Received {
            at, attempt: Some(_), ..
        } => *at + limits::DEDUPLICATION,
        _ => Wall(0),
    }
}
