//! The messages of queues: connects the log that keeps them with the API calls, with the state that says which queues
//! exist, and with CloudWatch's counters.

use crate::backlogs::{Backlogs, QueueFigures};
use crate::queue_holders::Holders;
use crate::queue_metrics::{Counters, Traffic};
use anyhow::Context as _;
use forebay_control::sqs::KeptQueue;
use forebay_control::{MessageError, MessageOrder, MessageOutcome, NotSent, State};
use forebay_gateway::Pending;
use forebay_proxy::Clock;
use forebay_queues::{Ask, Deleted, Delivered, Letter, QueueId, Receipt, ReceiveRefusal};
use forebay_store::messages::{
    Bounds, Content, Engine, Given, HeldMessages, Messages, Refused, TaskRefusal, Unanswered, Waiting,
};
use forebay_units::Wall;
use forebay_units::lock::{read, write};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Most time until the log has adopted changed queues.
const CONFIGURE: Duration = Duration::from_secs(10);

/// Access to messages from any thread.
pub(crate) struct KeptMessages {
    messages: Messages,
    clock: Clock,
    counters: Counters,
    backlogs: Backlogs,
    arns: RwLock<BTreeMap<QueueId, Arc<str>>>,
    holders: Arc<Holders>,
}

/// Reports a queue's figures after a change. Called by the thread that has the queues, so that reports come in order.
#[derive(Clone)]
struct Observer {
    arn: Arc<str>,
    backlogs: Backlogs,
}

impl Observer {
    fn tell(&self, engine: &mut Engine, now: Wall, queue: QueueId) {
        if let Some((counts, oldest_age)) = engine.figures(now, queue) {
            self.backlogs.observe(
                &self.arn,
                QueueFigures {
                    visible: counts.visible as u64,
                    in_flight: counts.in_flight as u64,
                    delayed: counts.delayed as u64,
                    oldest_age,
                },
            );
        }
    }
}

impl KeptMessages {
    /// Opens the log in a directory, for the queues of this state.
    pub(crate) fn open(
        directory: &Path,
        bounds: Bounds,
        state: &State,
        clock: Clock,
        seed: u64,
        backlogs: Backlogs,
    ) -> anyhow::Result<(KeptMessages, JoinHandle<()>)> {
        let queues: Vec<_> = state
            .queues()
            .iter()
            .map(|queue| (queue.id, queue.settings))
            .collect();
        let (engine, found) = Engine::open(clock.wall(), directory, bounds, &queues, seed)
            .with_context(|| format!("cannot read the messages in {}", directory.display()))?;
        if found.messages > 0 || found.left_out > 0 {
            let (messages, left_out) = (found.messages, found.left_out);
            tracing::info!(messages, left_out, "messages of queues were read");
        }
        let (messages, thread) =
            Messages::start(engine).context("cannot start the thread that keeps messages")?;
        let kept = KeptMessages {
            messages,
            clock,
            counters: Counters::default(),
            backlogs,
            arns: RwLock::default(),
            holders: Arc::default(),
        };
        Ok((kept, thread))
    }

    /// Tells the log about queues that were created, changed or deleted. Returns when it has adopted them.
    pub(crate) fn publish(&self, old: Option<&State>, new: &State) {
        self.release(new);
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
        for id in &gone {
            if let Some(queue) = before.get(id) {
                self.backlogs.removed(&queue.arn);
            }
        }
        *write(&self.arns) = after
            .values()
            .map(|queue| (queue.id, Arc::from(&*queue.arn)))
            .collect();
        let observers: Vec<(QueueId, Observer)> = changed
            .iter()
            .filter_map(|(id, _)| Some((*id, self.observer(*id)?)))
            .collect();
        let (tell, told) = sync_channel(1);
        let change = move |engine: &mut Engine, now: Wall| {
            for (id, settings) in changed {
                engine.configure(now, id, settings);
            }
            for id in gone {
                engine.remove(now, id);
            }
            for (id, observer) in observers {
                observer.tell(engine, now, id);
            }
        };
        self.messages.call(change, move |done| {
            let _ = tell.send(done);
        });
        // A call that follows the change must find the queue, so this waits for the log.
        match told.recv_timeout(CONFIGURE) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "the log of messages has not adopted the changed queues")
            }
            Err(_) => tracing::error!("the log of messages did not adopt the changed queues in time"),
        }
    }

    /// The observer of a queue.
    fn observer(&self, queue: QueueId) -> Option<Observer> {
        let arns = read(&self.arns);
        Some(Observer {
            arn: Arc::clone(arns.get(&queue)?),
            backlogs: self.backlogs.clone(),
        })
    }

    /// Reports a queue's current figures again.
    pub(crate) fn refresh(&self, arn: &str) {
        let found = {
            let arns = read(&self.arns);
            arns.iter().find(|(_, known)| &***known == arn).map(|(id, _)| *id)
        };
        if let Some((queue, observer)) = found.and_then(|queue| Some((queue, self.observer(queue)?))) {
            let look = move |engine: &mut Engine, now: Wall| observer.tell(engine, now, queue);
            self.messages.call(look, |_| ());
        }
    }

    /// Makes the messages of instances that have ended visible again, and tells leaving instances that they get no more.
    fn release(&self, state: &State) {
        let released = self.holders.look(|id| state.holder(id));
        if released.is_empty() {
            return;
        }
        let observers: Vec<_> = released.iter().map(|(queue, _)| self.observer(*queue)).collect();
        let release = move |engine: &mut Engine, now: Wall| {
            for ((queue, receipt), observer) in released.into_iter().zip(observers) {
                engine.release(now, queue, receipt);
                if let Some(observer) = observer {
                    observer.tell(engine, now, queue);
                }
            }
        };
        // If this fails, their visibility timeouts end in time.
        self.messages.call(release, |_| ());
    }

    /// The events of each queue since the last call, and its current figures. Blocks.
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

    /// Writes everything that has come, and releases the log to another process. Blocks.
    pub(crate) fn hold(&self) -> anyhow::Result<HeldMessages> {
        self.messages.hold().context("the messages cannot be released")
    }

    /// Writes everything that has come, and accepts no more. Blocks.
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
        let observer = self.observer(queue);
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
            let sent = sent.collect::<Result<Vec<_>, MessageError>>();
            if let Some(observer) = observer {
                observer.tell(engine, now, queue);
            }
            sent
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
        holder: Option<String>,
    ) -> Result<MessageOutcome, MessageError> {
        type Received = Result<Given, Refused<ReceiveRefusal>>;
        if let Some(id) = &holder {
            self.holders.waits(id);
        }
        let (tell, told) = oneshot::channel::<Result<Received, Unanswered>>();
        if let Some(id) = &holder {
            self.backlogs.asks(id);
        }
        // Dropped with this future, when the caller is gone: the receive is then cancelled, and takes no message.
        let _waiting: Waiting = self.messages.receive(queue, ask, wait, |given| {
            let _ = tell.send(given);
        });
        let told = async {
            match &holder {
                None => answered(told).await.map(Some),
                // Biased: messages that were given already must not be lost to the end of the wait. An instance told to go
                // while it waits gets nothing.
                Some(id) => tokio::select! {
                    biased;
                    given = answered(told) => given.map(Some),
                    () = self.holders.leaves(id) => Ok(None),
                },
            }
        };
        let Some(given) = told.await? else {
            return Ok(MessageOutcome::Received(Ok(Vec::new())));
        };
        let given = match given {
            Ok(given) => given,
            Err(Refused::Rule(refusal)) => return Ok(MessageOutcome::Received(Err(refusal))),
            Err(Refused::NoQueue | Refused::Full) => return Err(MessageError::NoQueue),
        };
        self.counters.received(queue, given.messages.len());
        if !given.messages.is_empty() {
            if let Some(id) = holder {
                let receipts = given
                    .messages
                    .iter()
                    .map(|message| (message.receipt, message.until));
                self.holders.hold(&id, queue, self.clock.wall(), receipts);
            }
            // A separate call, because the log has made the receive itself; only if a group's size depends on it.
            let observer = self.observer(queue);
            if let Some(observer) = observer.filter(|observer| observer.backlogs.is_named(&observer.arn)) {
                let look = move |engine: &mut Engine, now: Wall| observer.tell(engine, now, queue);
                self.messages.call(look, |_| ());
            }
        }
        let messages = given.messages.into_iter().map(with_body);
        let messages = messages.collect::<Result<Vec<_>, MessageError>>()?;
        Ok(MessageOutcome::Received(Ok(messages)))
    }

    async fn delete(&self, queue: QueueId, receipts: Vec<Receipt>) -> Result<MessageOutcome, MessageError> {
        let (observer, holders) = (self.observer(queue), Arc::clone(&self.holders));
        let delete = move |engine: &mut Engine, now: Wall| {
            let deleted = receipts.into_iter().map(|receipt| {
                let deleted = ruled(engine.delete(now, queue, receipt));
                holders.done(queue, receipt);
                deleted
            });
            let deleted = deleted.collect::<Result<Vec<_>, MessageError>>()?;
            if let Some(observer) = observer {
                for one in &deleted {
                    if let Ok(Deleted::Now(took)) = one {
                        // Before the figures are told: the processing time counts with the figures that follow it.
                        observer.backlogs.processed(&observer.arn, *took);
                    }
                }
                observer.tell(engine, now, queue);
            }
            Ok(deleted)
        };
        let deleted = self.call(delete).await??;
        let done = deleted.iter().filter_map(|one| one.as_ref().ok());
        self.counters.deleted(queue, done);
        Ok(MessageOutcome::Deleted(deleted))
    }

    async fn carry_out(&self, order: MessageOrder) -> Result<MessageOutcome, MessageError> {
        match order {
            MessageOrder::Send { queue, letters } => self.send(queue, letters).await,
            MessageOrder::Receive {
                queue,
                ask,
                wait,
                holder,
            } => self.receive(queue, ask, wait, holder).await,
            MessageOrder::Idle { wait } => {
                tokio::time::sleep(wait).await;
                Ok(MessageOutcome::Received(Ok(Vec::new())))
            }
            MessageOrder::Delete { queue, receipts } => self.delete(queue, receipts).await,
            MessageOrder::Hide { queue, receipts } => {
                let observer = self.observer(queue);
                let hide = move |engine: &mut Engine, now: Wall| {
                    let hidden = receipts.into_iter().map(|(receipt, timeout)| {
                        ruled(engine.change_visibility(now, queue, receipt, timeout))
                    });
                    let hidden = hidden.collect::<Result<Vec<_>, MessageError>>();
                    if let Some(observer) = observer {
                        observer.tell(engine, now, queue);
                    }
                    hidden
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

/// Separates a queue's own refusals from a missing queue.
fn ruled<T, E: std::error::Error>(done: Result<T, Refused<E>>) -> Result<Result<T, E>, MessageError> {
    match done {
        Ok(done) => Ok(Ok(done)),
        Err(Refused::Rule(refusal)) => Ok(Err(refusal)),
        Err(Refused::NoQueue | Refused::Full) => Err(MessageError::NoQueue),
    }
}

/// A message with its content, which in most cases is in the page cache.
fn with_body(message: Delivered<Content>) -> Result<Delivered<Vec<u8>>, MessageError> {
    let content = message.body.read().map_err(|error| {
        tracing::error!(%error, "the content of a message cannot be read");
        MessageError::Storage
    })?;
    Ok(message.with_body(|_| content))
}
