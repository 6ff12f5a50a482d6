//! The commit stage: one thread applies all writes in order and makes them durable before any caller is answered.
//!
//! Writes that wait while the disk is busy are committed together: one journal entry, one publication, then the answers.

use crate::clock::now;
use crate::ports::SharedPorts;
use arc_swap::ArcSwap;
use forebay_awswire::{ApiError, Service};
use forebay_control::{Asked, Journal, OperationSpec, Outcome, Ports, Publish, Request, State};
use forebay_units::{Rng, Wall};
use serde_json::Value;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Most writes that wait for the writer; further ones are refused.
const QUEUE_LIMIT: usize = 1024;
/// Time between two tries while nothing can be stored. Without them, only a call would notice that writing works again.
const RETRY: Duration = Duration::from_secs(2);
/// Most writes in one commit.
const BATCH_LIMIT: usize = 256;

/// A change that is not an API call: returns the next state, or none if there is nothing to change.
pub type Change = Box<dyn FnOnce(&State, Wall) -> Option<State> + Send>;

/// An authorized operation on its way to the state.
pub(crate) struct QueuedCall {
    pub(crate) service: Service,
    pub(crate) operation: &'static OperationSpec,
    pub(crate) region: String,
    pub(crate) account: String,
    pub(crate) caller: String,
    pub(crate) endpoint: String,
    pub(crate) instance: Option<String>,
    pub(crate) is_proven: bool,
    pub(crate) request_id: String,
    pub(crate) input: Value,
}

impl QueuedCall {
    /// Runs the operation. A panic is a bug of ours: its caller gets a 500, and all others are served as before.
    pub(crate) fn run(
        self,
        state: &State,
        ports: &Ports<'_>,
        now: Wall,
        rng: &mut Rng,
    ) -> Result<Outcome, ApiError> {
        let operation = self.operation;
        let run = |request: &Request<'_>| operation.run(state, request, ports, rng);
        guarded(operation.name(), || self.with_request(now, run)).and_then(|outcome| outcome)
    }

    /// What the operation asks of messages or functions, and how its answer is made from the outcome.
    pub(crate) fn ask(
        self,
        state: &State,
        ports: &Ports<'_>,
        now: Wall,
        rng: &mut Rng,
    ) -> Result<Asked, ApiError> {
        let operation = self.operation;
        let ask = |request: &Request<'_>| operation.ask(state, request, ports.observations, rng);
        guarded(operation.name(), || self.with_request(now, ask)).and_then(|asked| asked)
    }

    fn with_request<T>(self, now: Wall, run: impl FnOnce(&Request<'_>) -> T) -> T {
        run(&Request {
            service: self.service,
            operation: self.operation.name(),
            region: &self.region,
            account: &self.account,
            input: self.input,
            now,
            caller: &self.caller,
            endpoint: &self.endpoint,
            instance: self.instance.as_deref(),
            is_proven: self.is_proven,
            request_id: &self.request_id,
        })
    }
}

enum Work {
    QueuedCall(Box<QueuedCall>),
    Change(Change),
    /// Release the journal, answer, and wait for what comes next.
    Hold(Receiver<Next>),
}

/// What comes after a hold.
enum Next {
    GoOn,
    End,
}

/// A writer that is held: writes wait. It goes on when this is dropped, unless it was ended.
#[derive(Debug)]
pub struct Held(SyncSender<Next>);

impl Held {
    /// Ends the writer, because another process writes from now on: callers that wait or come are told to try again.
    pub fn end(self) {
        let _ = self.0.try_send(Next::End);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The channel is full if it was ended.
        let _ = self.0.try_send(Next::GoOn);
    }
}

struct Job {
    work: Work,
    answer: oneshot::Sender<Result<Value, ApiError>>,
}

/// A handle to the writer thread, which ends when the last handle is dropped. Clone costs O(1).
#[derive(Clone)]
pub struct Writer {
    queue: SyncSender<Job>,
    state: Arc<ArcSwap<State>>,
    stores: Arc<AtomicBool>,
    ports: SharedPorts,
    /// Time up to which everything due was done, in microseconds.
    ticked: Arc<AtomicI64>,
}

impl Writer {
    /// Publishes `state` and starts the writer thread on it. `seed` starts the stream of resource ids.
    pub fn start(
        state: State,
        journal: impl Journal + 'static,
        publish: impl Publish + 'static,
        ports: SharedPorts,
        seed: u64,
    ) -> std::io::Result<(Writer, JoinHandle<()>)> {
        let first = Arc::new(state);
        publish.publish(&first);
        let shared = Arc::new(ArcSwap::from(first));
        let stores = Arc::new(AtomicBool::new(true));
        let (queue, jobs) = sync_channel(QUEUE_LIMIT);
        let mut committer = Committer {
            state: Arc::clone(&shared),
            stores: Arc::clone(&stores),
            journal,
            publish,
            ports: ports.clone(),
            rng: Rng::named(seed, "resource-ids"),
        };
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || committer.run(&jobs))?;
        Ok((
            Writer {
                queue,
                state: shared,
                stores,
                ports,
                ticked: Arc::new(AtomicI64::new(now().0)),
            },
            thread,
        ))
    }

    /// The state as last committed.
    pub fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// Whether changes can be stored, as the last try found.
    pub fn stores(&self) -> bool {
        self.stores.load(Relaxed)
    }

    /// The ports, to be lent later.
    pub(crate) fn shared_ports(&self) -> SharedPorts {
        self.ports.clone()
    }

    /// What operations see beyond the state.
    pub(crate) fn ports(&self) -> Ports<'_> {
        self.ports.lent()
    }

    /// Makes a change that is not an API call. Returns when it is durable and served, or the error.
    pub async fn change(&self, change: Change) -> Result<(), ApiError> {
        self.submit(Work::Change(change)).await.map(|_| ())
    }

    /// Carries out what is due by now. Returns when it is durable and served, or the error.
    pub async fn tick(&self) -> Result<(), ApiError> {
        let (ports, ticked) = (self.ports.clone(), Arc::clone(&self.ticked));
        self.change(Box::new(move |state, now| {
            let before = Wall(ticked.swap(now.0, Relaxed));
            let commands = forebay_control::tick(state, &ports.lent(), before, now);
            for command in &commands {
                tracing::debug!(?command, "due");
            }
            (!commands.is_empty())
                .then(|| forebay_control::apply(state, &commands, &ports.lent(), &*ports.actions, now))
        }))
        .await
    }

    /// Finishes the current writes, and releases the journal to another process. The state is final then.
    pub async fn hold(&self) -> Result<Held, ApiError> {
        let (tell, told) = sync_channel(1);
        self.submit(Work::Hold(told)).await?;
        Ok(Held(tell))
    }

    pub(crate) async fn order(&self, order: QueuedCall) -> Result<Value, ApiError> {
        self.submit(Work::QueuedCall(Box::new(order))).await
    }

    async fn submit(&self, work: Work) -> Result<Value, ApiError> {
        let (answer, answered) = oneshot::channel();
        // Refused instead of waiting: AWS clients retry a 503, and a queue without a bound would hide a slow disk.
        match self.queue.try_send(Job { work, answer }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(unavailable("Too many changes are waiting.")),
            Err(TrySendError::Disconnected(_)) => return Err(unavailable("The service is stopping.")),
        }
        answered
            .await
            .unwrap_or_else(|_| Err(unavailable("The service is stopping.")))
    }
}

struct Committer<J, P> {
    state: Arc<ArcSwap<State>>,
    stores: Arc<AtomicBool>,
    journal: J,
    publish: P,
    ports: SharedPorts,
    rng: Rng,
}

impl<J: Journal, P: Publish> Committer<J, P> {
    fn run(&mut self, jobs: &Receiver<Job>) {
        loop {
            let next = if self.stores.load(Relaxed) {
                jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                jobs.recv_timeout(RETRY)
            };
            let first = match next {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    self.try_again();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut batch = Vec::new();
            let mut next = Some(first);
            let mut hold = None;
            // A hold ends the batch: what came before it is committed, what comes after it waits.
            while let Some(job) = next.take() {
                if let Work::Hold(told) = job.work {
                    hold = Some((told, job.answer));
                    break;
                }
                batch.push(job);
                next = (batch.len() < BATCH_LIMIT)
                    .then(|| jobs.try_recv().ok())
                    .flatten();
            }
            if !batch.is_empty() {
                self.commit(batch);
            }
            if let Some((told, answer)) = hold {
                // Only after the batch: changes that were accepted before the hold must be in what the next process reads.
                self.journal.release();
                let _ = answer.send(Ok(Value::Null));
                // Blocks the writer: another process may own the journal until this hold ends.
                if matches!(told.recv(), Ok(Next::End)) {
                    return;
                }
            }
        }
    }

    /// Applies a batch, makes it durable, publishes it, and only then answers. If the journal fails, nothing of the batch
    /// counts, not even errors: an operation may have failed because of another one that is now undone.
    fn commit(&mut self, batch: Vec<Job>) {
        let old = self.state.load_full();
        let mut running = (*old).clone();
        let mut answers = Vec::with_capacity(batch.len());
        for Job { work, answer } in batch {
            // Each job sees the changes of those before it, as if they were committed one by one.
            let result = self.apply(work, &running).map(|outcome| {
                if let Some(next) = outcome.next {
                    running = next;
                }
                outcome.answer
            });
            answers.push((answer, result));
        }
        // Reads and refused calls change nothing, and must not cost a sync of the disk.
        let changed = running.generation() != old.generation();
        let kept = if changed { self.keep(&old, running) } else { Ok(()) };
        for (answer, result) in answers {
            // The caller may have gone; the change stands all the same.
            let _ = answer.send(kept.clone().and(result));
        }
    }

    fn apply(&mut self, work: Work, running: &State) -> Result<Outcome, ApiError> {
        match work {
            Work::QueuedCall(order) => order.run(running, &self.ports.lent(), now(), &mut self.rng),
            Work::Change(change) => {
                let next = guarded("change", || change(running, now()))?;
                Ok(Outcome {
                    answer: Value::Null,
                    next,
                })
            }
            Work::Hold(_) => Err(unavailable("The service is stopping.")),
        }
    }

    fn keep(&mut self, old: &State, new: State) -> Result<(), ApiError> {
        let journal = &mut self.journal;
        let written = guarded("journal", || journal.commit(old, &new));
        self.stores.store(matches!(written, Ok(Ok(()))), Relaxed);
        if let Err(error) = written? {
            let cause = &*error.cause;
            tracing::error!(%error, cause, "a change was refused, because it cannot be stored");
            return Err(unavailable(
                "The change could not be stored; nothing was changed.",
            ));
        }
        tell_idle(old, &new);
        let new = Arc::new(new);
        // After the journal: a reader must never see a state that a crash could undo.
        self.state.store(Arc::clone(&new));
        let publish = &self.publish;
        // The change is durable: a failure to publish it is a bug to log, not a reason to deny the change.
        let _ = guarded("publish", || publish.publish(&new));
        Ok(())
    }
}

/// Logs each new load balancer that will carry no traffic, because API answers do not show that.
fn tell_idle(old: &State, new: &State) {
    let mut idle = new.without_traffic().peekable();
    if idle.peek().is_none() {
        return;
    }
    let known: BTreeSet<&str> = old
        .without_traffic()
        .map(|balancer| balancer.arn.as_str())
        .collect();
    for balancer in idle.filter(|balancer| !known.contains(balancer.arn.as_str())) {
        tracing::warn!(
            "load balancer '{}' is stored and described, but carries no traffic: those of type '{}' are not built yet",
            balancer.name,
            balancer.kind.word()
        );
    }
}

impl<J: Journal, P> Committer<J, P> {
    /// Writes the current state again, to find out whether that works.
    fn try_again(&mut self) {
        let (state, journal) = (self.state.load_full(), &mut self.journal);
        let written = guarded("journal", || journal.commit(&state, &state));
        if matches!(written, Ok(Ok(()))) {
            self.stores.store(true, Relaxed);
            tracing::warn!("changes can be stored again");
        }
    }
}

/// Runs `work`; a panic becomes `InternalFailure` and a line in the log.
pub(crate) fn guarded<T>(what: &str, work: impl FnOnce() -> T) -> Result<T, ApiError> {
    // What a panicking operation was building is dropped with it; the state it started from is immutable.
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        tracing::error!(what, "panicked; the call was answered with InternalFailure");
        ApiError::receiver(
            500,
            "InternalFailure",
            "The request processing has failed because of an unknown error.",
        )
    })
}

pub(crate) fn unavailable(message: &str) -> ApiError {
    ApiError::receiver(503, "ServiceUnavailable", message)
}
