//! Messages in memory, for tests: queues of `forebay_queues` without a log.

use crate::messages::{MessageError, MessageOrder, MessageOutcome, NotSent};
use crate::state::State;
use forebay_queues::{MoveTask, Queue, QueueId};
use forebay_units::Wall;
use std::collections::BTreeMap;

#[derive(Default)]
pub(crate) struct InMemory {
    queues: BTreeMap<QueueId, Queue<Vec<u8>>>,
    tasks: BTreeMap<QueueId, Vec<MoveTask>>,
}

impl InMemory {
    fn configure(&mut self, state: &State, now: Wall) {
        let kept = state.queues();
        self.queues
            .retain(|id, _| kept.iter().any(|queue| queue.id == *id));
        for queue in kept {
            self.queues
                .entry(queue.id)
                .or_insert_with(|| Queue::new(queue.settings))
                .configure(now, queue.settings, &mut Vec::new());
        }
    }

    fn of(&mut self, id: QueueId) -> Result<&mut Queue<Vec<u8>>, MessageError> {
        self.queues.get_mut(&id).ok_or(MessageError::NoQueue)
    }

    pub(crate) fn ask(
        &mut self,
        state: &State,
        now: Wall,
        order: MessageOrder,
    ) -> Result<MessageOutcome, MessageError> {
        self.configure(state, now);
        let changes = &mut Vec::new();
        Ok(match order {
            MessageOrder::Send { queue, letters } => {
                let queue = self.of(queue)?;
                let sent = letters
                    .into_iter()
                    .map(|letter| queue.send(now, letter, changes).map_err(NotSent::Refused));
                MessageOutcome::Sent(sent.collect())
            }
            MessageOrder::Receive { queue: id, ask, .. } => {
                let taken = self.of(id)?.receive(now, &ask, changes);
                MessageOutcome::Received(taken.map(|taken| {
                    for (to, departed) in taken.dead {
                        if let Some(to) = self.queues.get_mut(&to) {
                            to.bury(now, id, departed, changes);
                        }
                    }
                    taken.messages
                }))
            }
            MessageOrder::Idle { .. } => MessageOutcome::Received(Ok(Vec::new())),
            MessageOrder::Delete { queue, receipts } => {
                let queue = self.of(queue)?;
                let deleted = receipts
                    .into_iter()
                    .map(|receipt| queue.delete(now, receipt, changes));
                MessageOutcome::Deleted(deleted.collect())
            }
            MessageOrder::Hide { queue, receipts } => {
                let queue = self.of(queue)?;
                let hidden = receipts
                    .into_iter()
                    .map(|(receipt, timeout)| queue.change_visibility(now, receipt, timeout, changes));
                MessageOutcome::Hidden(hidden.collect())
            }
            MessageOrder::Purge { queue } => MessageOutcome::Purged(self.of(queue)?.purge(now, changes)),
            MessageOrder::Count { queue } => MessageOutcome::Counted(self.of(queue)?.counts(now, changes)),
            MessageOrder::Move { from, to, rate } => {
                let count = self.of(from)?.counts(now, changes).visible as u64;
                let tasks = self.tasks.entry(from).or_default();
                if tasks.first().is_some_and(|task| task.next_deadline().is_some()) {
                    return Ok(MessageOutcome::MoveStarted(None));
                }
                tasks.insert(0, MoveTask::new(now, count, to, rate));
                MessageOutcome::MoveStarted(Some(now))
            }
            MessageOrder::CancelMove { from, started } => {
                let tasks = self
                    .tasks
                    .get_mut(&from)
                    .map(Vec::as_mut_slice)
                    .unwrap_or_default();
                let task = tasks.iter_mut().find(|task| task.started() == started);
                let moved = task.and_then(|task| task.cancel().then(|| task.progress().0));
                MessageOutcome::MoveCancelled(moved)
            }
            MessageOrder::Moves { from } => {
                MessageOutcome::Moves(self.tasks.get(&from).cloned().unwrap_or_default())
            }
        })
    }
}
