//! What time does (waiting receives, move tasks), the deletion of files, and the commit.

use super::engine::Engine;
use super::record::{Place, Record};
use super::tasks;
use forebay_queues::{Change, MessageId, MoveFailure, MoveStatus, MoveTask, QueueId, Sent};
use forebay_units::Wall;
use std::io;

/// Most messages that a task moves at once.
const MOVE_STEP: u64 = 100;
/// Bytes of a file that are examined at once.
const COPY_STEP: usize = 1 << 20;
/// Tasks of a queue that are remembered (ListMessageMoveTasks returns ten).
const TASKS: usize = 10;

/// Why a task is not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskRefusal {
    /// There is no such queue.
    #[error("there is no such queue")]
    NoQueue,
    /// The queue has a running task; there can be only one.
    #[error("a message move task is running already")]
    Running,
}

impl Engine {
    /// When to call `wake` next.
    pub fn next_deadline(&self) -> Option<Wall> {
        self.due.first().map(|due| due.0)
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Wall) {
        let due: Vec<QueueId> = self
            .due
            .iter()
            .take_while(|due| due.0 <= now)
            .map(|due| due.1)
            .collect();
        for id in due {
            // In this order, so that messages which time or a task makes visible serve the receives that wait.
            self.advance(now, id);
            self.move_on(now, id);
            self.wake_queue(now, id);
        }
    }

    /// Starts a move task. Returns its start time in microseconds, which identifies it.
    ///
    /// # Errors
    /// If there is no such queue, or a task is running.
    pub fn start_task(
        &mut self,
        now: Wall,
        from: QueueId,
        to: Option<QueueId>,
        rate: Option<u32>,
    ) -> Result<Wall, TaskRefusal> {
        let counts = self.figures(now, from).ok_or(TaskRefusal::NoQueue)?.0;
        // Refused now: a task without a destination would fail at its first message.
        if to.is_some_and(|to| !self.queues.contains_key(&to)) {
            return Err(TaskRefusal::NoQueue);
        }
        let entry = self.queues.get_mut(&from).ok_or(TaskRefusal::NoQueue)?;
        let running = |task: &MoveTask| task.status() == MoveStatus::Running;
        if entry.tasks.front().is_some_and(running) {
            return Err(TaskRefusal::Running);
        }
        entry
            .tasks
            .push_front(MoveTask::new(now, counts.visible as u64, to, rate));
        entry.tasks.truncate(TASKS);
        self.tasks.changed = true;
        self.touch(from);
        Ok(now)
    }

    /// Cancels the queue's task that was started at this time. Returns the number of messages it has moved; none if it is
    /// not running.
    pub fn cancel_task(&mut self, from: QueueId, started: Wall) -> Option<u64> {
        let task = self.queues.get_mut(&from)?.tasks.front_mut()?;
        let stopped = task.started() == started && task.cancel();
        let moved = task.progress().0;
        self.tasks.changed |= stopped;
        self.touch(from);
        stopped.then_some(moved)
    }

    /// A queue's last ten tasks, the latest first.
    pub fn tasks(&self, from: QueueId) -> impl Iterator<Item = &MoveTask> {
        self.queues
            .get(&from)
            .into_iter()
            .flat_map(|entry| entry.tasks.iter())
    }

    fn move_on(&mut self, now: Wall, from: QueueId) {
        let Some(entry) = self.queues.get(&from) else {
            return;
        };
        let Some(task) = entry.tasks.front() else { return };
        let (asked, to) = (task.due(now).min(MOVE_STEP), task.to());
        if asked == 0 {
            return;
        }
        let mut moved = 0;
        let mut failed = None;
        while moved < asked && failed.is_none() {
            let Some(origin) = self.queues.get(&from).and_then(|entry| entry.queue.next_origin()) else {
                break;
            };
            match to.or(origin) {
                None => failed = Some(MoveFailure::NoSource),
                Some(to) if !self.queues.contains_key(&to) => failed = Some(MoveFailure::NoDestination),
                Some(to) => {
                    self.move_one(now, from, to);
                    moved += 1;
                }
            }
        }
        if let Some(task) = self
            .queues
            .get_mut(&from)
            .and_then(|entry| entry.tasks.front_mut())
        {
            task.moved(moved, if failed.is_some() { moved } else { asked });
            if let Some(failed) = failed {
                task.fail(failed);
            }
            self.tasks.moved = true;
            self.tasks.changed |= task.status() != MoveStatus::Running;
        }
        self.touch(from);
    }

    fn move_one(&mut self, now: Wall, from: QueueId, to: QueueId) {
        let departed = self.run(from, |queue, changes| queue.depart(now, 1, changes));
        for one in departed.into_iter().flatten() {
            let id = u128::from(self.ids.next_u64()) << 64 | u128::from(self.ids.next_u64());
            self.carry(now, to, one, |queue, departed, changes| {
                queue.redrive(now, MessageId(id), departed, changes);
            });
        }
        self.wake_queue(now, to);
    }

    /// Deletes files that are not needed any more; to be called after a commit. Returns their number.
    ///
    /// # Errors
    /// If a file cannot be deleted.
    pub fn sweep(&mut self, now: Wall) -> io::Result<usize> {
        self.log.drop_first(now)
    }

    /// Copies some messages to the end if the files hold little else than deleted ones; to be called before a commit.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn tidy(&mut self) -> io::Result<()> {
        let begun = self.copying.take();
        let Some((number, from)) = begun.or_else(|| Some((self.log.worth_copying()?, 0))) else {
            return Ok(());
        };
        let (records, next) = self.log.scan(number, from, COPY_STEP)?;
        for (record, place) in records {
            if let Record::Changed(id, Change::Sent(sent)) = record {
                self.copy_on(id, &sent, place)?;
            }
        }
        self.copying = next.map(|next| (number, next));
        Ok(())
    }

    /// Writes a message again in its current form, if this is still its place.
    fn copy_on(&mut self, id: QueueId, sent: &Sent<()>, place: Place) -> io::Result<()> {
        let Some(entry) = self.queues.get_mut(&id) else {
            return Ok(());
        };
        // The message may have been deleted or copied since: then this record holds nothing that is needed.
        if entry.queue.body(sent.sequence) != Some(&place) {
            return Ok(());
        }
        let Some(copy) = entry.queue.copy(sent.sequence) else {
            return Ok(());
        };
        let body = self.log.read(place)?;
        let body_place = self.log.next_place(body.len());
        let copy = Change::Sent(Sent {
            body: body_place,
            ..copy
        });
        entry.queue.apply(&copy);
        self.took(id, vec![copy], &body);
        Ok(())
    }

    /// Bytes that the next commit writes.
    pub fn pending(&self) -> usize {
        self.log.pending()
    }

    /// Writes and syncs everything that has changed, as one frame: what is answered afterwards survives a crash.
    ///
    /// # Errors
    /// If it cannot be written. Then nothing since the last commit counts, and `reload` must be called next.
    pub fn commit(&mut self, now: Wall) -> io::Result<()> {
        // Memory holds changes that the log will never have, so nothing may be acknowledged.
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.log.commit()?;
        // After the log: the figures of tasks may fall behind in a crash, but must not run ahead of the messages.
        if self.tasks.take(now) {
            let tasks = self.queues.iter().map(|(id, entry)| (*id, &entry.tasks));
            let written = tasks::write(self.log.directory(), tasks);
            // Stays changed, so that the next commit tries again.
            self.tasks.changed |= written.is_err();
            written?;
        }
        Ok(())
    }
}
