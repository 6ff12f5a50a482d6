//! Messages of queues: the log that keeps them, asked by the APIs, told by the state which queues there are, counted for CloudWatch.

use crate::queue_metrics::{Counters, Traffic};
use anyhow::Context as _;
use forebay_control::sqs::KeptQueue;
use forebay_control::{MessageError, MessageOrder, MessageOutcome, NotSent, State};
use forebay_gateway::Pending;
use forebay_queues::{Ask, Delivered, Letter, QueueId, ReceiveRefusal};
use forebay_store::messages::{
    Bounds, Content, Engine, Given, HeldMessages, Messages, Refused, TaskRefusal, Unanswered, Waiting,
};
use forebay_units::Wall;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long it is waited until the log knows a queue.
const CONFIGURE: Duration = Duration::from_secs(10);

/// Messages, from any thread.
pub(crate) struct KeptMessages {
    messages: Messages,
    counters: Counters,
}

impl KeptMessages {
    /// Opens the log in a directory, for the queues of this state.
    pub(crate) fn open(
        directory: &Path,
        bounds: Bounds,
        state: &State,
        now: Wall,
        seed: u64,
    ) -> anyhow::Result<(KeptMessages, JoinHandle<()>)> {
        let queues: Vec<_> = state
            .queues()
            .iter()
            .map(|queue| (queue.id, queue.settings))
            .collect();
        let (engine, found) = Engine::open(now, directory, bounds, &queues, seed)
            .with_context(|| format!("cannot read the messages in {}", directory.display()))?;
        if found.messages > 0 || found.left_out > 0 {
            let (messages, left_out) = (found.messages, found.left_out);
            tracing::info!(messages, left_out, "messages of queues were read");
        }
        let (messages, thread) =
            Messages::start(engine).context("the thread that keeps messages could not start")?;
        let kept = KeptMessages {
            messages,
            counters: Counters::default(),
        };
        Ok((kept, thread))
    }

    /// Tells the log of queues that were made, changed or deleted. Returns when it knows.
    pub(crate) fn publish(&self, old: Option<&State>, new: &State) {
        if old.is_some_and(|old| !new.has_other_queues(old)) {
            return;
        }
        let by_id = |state: &State| -> BTreeMap<QueueId, KeptQueue> {
            let queues = state.queues().into_iter();
            queues.map(|queue| (queue.id, queue)).collect()
        };
        let (before, after) = (old.map(by_id).unwrap_or_default(), by_id(new));
        let gone: Vec<QueueId> = before
            .keys()
            .copied()
            .filter(|id| !after.contains_key(id))
            .collect();
        let is_other = |queue: &&KeptQueue| {
            before
                .get(&queue.id)
                .is_none_or(|before| before.settings != queue.settings)
        };
        let changed: Vec<_> = after
            .values()
            .filter(is_other)
            .map(|queue| (queue.id, queue.settings))
            .collect();
        self.counters.forget(&gone);
        let (tell, told) = sync_channel(1);
        let change = move |engine: &mut Engine, now: Wall| {
            for (id, settings) in changed {
                engine.configure(now, id, settings);
            }
            for id in gone {
                engine.remove(now, id);
            }
        };
        self.messages.call(change, move |done| {
            let _ = tell.send(done);
        });
        match told.recv_timeout(CONFIGURE) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "the messages' log does not know the queues as they are")
            }
            Err(_) => tracing::error!("the messages' log did not take the queues in time"),
        }
    }

    /// What has come to be of each queue since the last call, and how it stands now. Blocks.
    pub(crate) fn traffic(&self, queues: Vec<KeptQueue>) -> Vec<(KeptQueue, Traffic)> {
        let (tell, told) = sync_channel(1);
        let ids: Vec<QueueId> = queues.iter().map(|queue| queue.id).collect();
        let look = move |engine: &mut Engine, now: Wall| {
            let figures = ids.into_iter().map(|id| engine.figures(now, id));
            figures.collect::<Vec<_>>()
        };
        self.messages.call(look, move |figures| {
            let _ = tell.send(figures);
        });
        let Ok(Ok(figures)) = told.recv_timeout(CONFIGURE) else {
            return Vec::new();
        };
        queues
            .into_iter()
            .zip(figures)
            .filter_map(|(queue, figures)| {
                let traffic = self.counters.take(queue.id, figures?)?;
                Some((queue, traffic))
            })
            .collect()
    }

    /// Has all that has come written, and the log left to another process. Blocks.
    pub(crate) fn hold(&self) -> anyhow::Result<HeldMessages> {
        self.messages.hold().context("the messages cannot be let go")
    }

    /// Has all that has come written, and takes no more. Blocks.
    pub(crate) fn close(&self) {
        if let Ok(held) = self.messages.hold() {
            held.end();
        }
    }

    async fn call<R: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Engine, Wall) -> R + Send + 'static,
    ) -> Result<R, MessageError> {
        let (tell, told) = oneshot::channel();
        self.messages.call(operation, |done| {
            let _ = tell.send(done);
        });
        answered(told).await
    }

    async fn send(
        &self,
        queue: QueueId,
        letters: Vec<Letter<Vec<u8>>>,
    ) -> Result<MessageOutcome, MessageError> {
        let sizes: Vec<usize> = letters.iter().map(|letter| letter.body.len()).collect();
        let send = move |engine: &mut Engine, now: Wall| {
            let sent = letters.into_iter().map(|letter| {
                let body = letter.body;
                let letter = Letter {
                    body: &body[..],
                    id: letter.id,
                    group: letter.group,
                    deduplication: letter.deduplication,
                    delay: letter.delay,
                };
                match engine.send(now, queue, letter) {
                    Ok(accepted) => Ok(Ok(accepted)),
                    Err(Refused::Rule(refusal)) => Ok(Err(NotSent::Refused(refusal))),
                    Err(Refused::Full) => Ok(Err(NotSent::Full)),
                    Err(Refused::NoQueue) => Err(MessageError::NoQueue),
                }
            });
            sent.collect::<Result<Vec<_>, MessageError>>()
        };
        let sent = self.call(send).await??;
        for (sent, size) in sent.iter().zip(sizes) {
            if sent.is_ok_and(|accepted| !accepted.duplicate) {
                self.counters.sent(queue, size);
            }
        }
        Ok(MessageOutcome::Sent(sent))
    }

    async fn receive(
        &self,
        queue: QueueId,
        ask: Ask,
        wait: Duration,
    ) -> Result<MessageOutcome, MessageError> {
        type Received = Result<Given, Refused<ReceiveRefusal>>;
        let (tell, told) = oneshot::channel::<Result<Received, Unanswered>>();
        // Dropped with this future, it waits no more.
        let _waiting: Waiting = self.messages.receive(queue, ask, wait, |given| {
            let _ = tell.send(given);
        });
        let given = match answered(told).await? {
            Ok(given) => given,
            Err(Refused::Rule(refusal)) => return Ok(MessageOutcome::Received(Err(refusal))),
            Err(Refused::NoQueue | Refused::Full) => return Err(MessageError::NoQueue),
        };
        self.counters.received(queue, given.messages.len());
        let messages = given.messages.into_iter().map(read);
        let messages = messages.collect::<Result<Vec<_>, MessageError>>()?;
        Ok(MessageOutcome::Received(Ok(messages)))
    }

    async fn carry_out(&self, order: MessageOrder) -> Result<MessageOutcome, MessageError> {
        match order {
            MessageOrder::Send { queue, letters } => self.send(queue, letters).await,
            MessageOrder::Receive { queue, ask, wait } => self.receive(queue, ask, wait).await,
            MessageOrder::Delete { queue, receipts } => {
                let delete = move |engine: &mut Engine, now: Wall| {
                    let deleted = receipts
                        .into_iter()
                        .map(|receipt| ruled(engine.delete(now, queue, receipt)));
                    deleted.collect::<Result<Vec<_>, MessageError>>()
                };
                let deleted = self.call(delete).await??;
                self.counters
                    .deleted(queue, deleted.iter().filter_map(|one| one.as_ref().ok()));
                Ok(MessageOutcome::Deleted(deleted))
            }
            MessageOrder::Hide { queue, receipts } => {
                let hide = move |engine: &mut Engine, now: Wall| {
                    let hidden = receipts.into_iter().map(|(receipt, timeout)| {
                        ruled(engine.change_visibility(now, queue, receipt, timeout))
                    });
                    hidden.collect::<Result<Vec<_>, MessageError>>()
                };
                Ok(MessageOutcome::Hidden(self.call(hide).await??))
            }
            MessageOrder::Purge { queue } => {
                let purged = self.call(move |engine, now| ruled(engine.purge(now, queue)));
                Ok(MessageOutcome::Purged(purged.await??))
            }
            MessageOrder::Count { queue } => {
                let counted = self.call(move |engine, now| engine.figures(now, queue)).await?;
                let (counts, _) = counted.ok_or(MessageError::NoQueue)?;
                Ok(MessageOutcome::Counted(counts))
            }
            MessageOrder::Move { from, to, rate } => {
                let started = self.call(move |engine, now| engine.start_task(now, from, to, rate));
                match started.await? {
                    Ok(started) => Ok(MessageOutcome::MoveStarted(Some(started))),
                    Err(TaskRefusal::Running) => Ok(MessageOutcome::MoveStarted(None)),
                    Err(TaskRefusal::NoQueue) => Err(MessageError::NoQueue),
                }
            }
            MessageOrder::CancelMove { from, started } => {
                let moved = self.call(move |engine, _| engine.cancel_task(from, started));
                Ok(MessageOutcome::MoveCancelled(moved.await?))
            }
            MessageOrder::Moves { from } => {
                let tasks = self.call(move |engine, _| engine.tasks(from).cloned().collect());
                Ok(MessageOutcome::Moves(tasks.await?))
            }
        }
    }
}

impl forebay_gateway::Messages for KeptMessages {
    fn ask(&self, order: MessageOrder) -> Pending<'_> {
        Box::pin(self.carry_out(order))
    }
}

async fn answered<R>(told: oneshot::Receiver<Result<R, Unanswered>>) -> Result<R, MessageError> {
    match told.await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(Unanswered::Busy)) => Err(MessageError::Busy),
        Ok(Err(Unanswered::Unwritten)) => Err(MessageError::Storage),
        Ok(Err(Unanswered::Closed)) | Err(_) => Err(MessageError::Stopping),
    }
}

/// What a queue's rules say, unless there is no such queue.
fn ruled<T, E: std::error::Error>(done: Result<T, Refused<E>>) -> Result<Result<T, E>, MessageError> {
    match done {
        Ok(done) => Ok(Ok(done)),
        Err(Refused::Rule(refusal)) => Ok(Err(refusal)),
        Err(Refused::NoQueue | Refused::Full) => Err(MessageError::NoQueue),
    }
}

/// A message with its content, which was written a moment ago or lies in the page cache, mostly.
fn read(message: Delivered<Content>) -> Result<Delivered<Vec<u8>>, MessageError> {
    let content = message.body.read().map_err(|error| {
        tracing::error!(%error, "a message cannot be read");
        MessageError::Storage
    })?;
    Ok(message.with_body(|_| content))
}
