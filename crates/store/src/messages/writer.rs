//! The thread that has the queues: it takes the calls that have come, carries them out, writes them in one commit, and
//! answers all.

use super::engine::{Engine, Given, Refused};
use forebay_queues::{Ask, Empty, QueueId, ReceiveRefusal, Ticket, limits};
use forebay_units::Wall;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Most calls that wait for the thread.
const CALLS: usize = 8192;
/// Most calls in a commit, and the bytes after which it takes no more.
const BATCH_CALLS: usize = 4096;
const BATCH_BYTES: usize = 4 << 20;
/// Longest interval between two checks of files and deadlines.
const TICK: Duration = Duration::from_secs(1);

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It could not be written; nothing of it counts.
    #[error("messages could not be written")]
    Unwritten,
    /// Too many calls are waiting.
    #[error("too many calls wait for the message log")]
    Busy,
    /// The log is closed, or can no longer be read.
    #[error("the message log is closed")]
    Closed,
}

type Received = Result<Given, Refused<ReceiveRefusal>>;
type ReceiveAnswer = Box<dyn FnOnce(Result<Received, Unanswered>) + Send>;
type Answer = Box<dyn FnOnce(Result<(), Unanswered>) + Send>;
type Call = Box<dyn FnOnce(Result<&mut Turn, Unanswered>) + Send>;

/// A receive that waits.
struct Waiter {
    number: u64,
    answer: ReceiveAnswer,
}

/// What the thread is working on.
struct Turn {
    engine: Engine,
    now: Wall,
    /// Called when everything is written.
    answers: Vec<Answer>,
    waiters: BTreeMap<(QueueId, Ticket), Waiter>,
    numbers: BTreeMap<u64, (QueueId, Ticket)>,
    /// A request to release the log to another process.
    hold: Option<(SyncSender<()>, Receiver<Next>)>,
}

/// What comes after a hold.
enum Next {
    GoOn,
    End,
}

/// A log that is released to another process: calls wait. It goes on when this is dropped, unless it was ended.
#[derive(Debug)]
pub struct HeldMessages(SyncSender<Next>);

impl HeldMessages {
    /// Ends the log in this process, because another one has it: calls that wait or come are told that it is closed.
    pub fn end(self) {
        let _ = self.0.try_send(Next::End);
    }
}

impl Drop for HeldMessages {
    fn drop(&mut self) {
        // The channel is full if it was ended.
        let _ = self.0.try_send(Next::GoOn);
    }
}

/// Access to the queues from any thread. Dropping the last handle ends their thread.
#[derive(Clone, Debug)]
pub struct Messages {
    calls: SyncSender<Call>,
    next: Arc<AtomicU64>,
}

/// A receive in progress. If dropped, it ends its wait; messages that it was given meanwhile stay hidden until their
/// visibility timeout ends, as in SQS.
#[derive(Debug)]
pub struct Waiting {
    calls: SyncSender<Call>,
    number: u64,
    answered: Arc<AtomicBool>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.answered.load(Ordering::Acquire) {
            return;
        }
        let number = self.number;
        // If the channel is full, the receive waits to its end for nobody; blocking here would stall the caller's runtime.
        let _ = self.calls.try_send(Box::new(move |turn| {
            let Ok(turn) = turn else { return };
            if let Some(key) = turn.numbers.remove(&number) {
                turn.waiters.remove(&key);
                turn.engine.forget(key.0, key.1);
            }
        }));
    }
}

impl Messages {
    /// Starts the thread.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(engine: Engine) -> io::Result<(Messages, JoinHandle<()>)> {
        let (calls, queue) = sync_channel(CALLS);
        let thread = std::thread::Builder::new()
            .name("messages".to_owned())
            .spawn(move || run(engine, &queue))?;
        let next = Arc::new(AtomicU64::new(0));
        Ok((Messages { calls, next }, thread))
    }

    /// Runs an operation on the queues. `answer` is called by their thread when everything is on disk, and must not block.
    pub fn call<R: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Engine, Wall) -> R + Send + 'static,
        answer: impl FnOnce(Result<R, Unanswered>) + Send + 'static,
    ) {
        self.submit(Box::new(move |turn| match turn {
            Ok(turn) => {
                let done = operation(&mut turn.engine, turn.now);
                turn.answers
                    .push(Box::new(move |written| answer(written.map(|()| done))));
            }
            Err(why) => answer(Err(why)),
        }));
    }

    /// Receives, and waits up to `wait` if there is nothing (at most 20 seconds).
    pub fn receive(
        &self,
        queue: QueueId,
        ask: Ask,
        wait: Duration,
        answer: impl FnOnce(Result<Received, Unanswered>) + Send + 'static,
    ) -> Waiting {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let answered = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&answered);
        let answer: ReceiveAnswer = Box::new(move |given| {
            seen.store(true, Ordering::Release);
            answer(given);
        });
        let waiter = Waiter { number, answer };
        self.submit(Box::new(move |turn| match turn {
            Ok(turn) => turn.receive(queue, ask, wait, waiter),
            Err(why) => (waiter.answer)(Err(why)),
        }));
        Waiting {
            calls: self.calls.clone(),
            number,
            answered,
        }
    }

    /// Finishes the calls that have come, and releases the log to another process. Waiting receives end without messages.
    /// Blocks.
    ///
    /// # Errors
    /// If the log is closed.
    pub fn hold(&self) -> Result<HeldMessages, Unanswered> {
        let (tell, told) = sync_channel(1);
        let (stands, stood) = sync_channel(1);
        self.submit(Box::new(move |turn| {
            if let Ok(turn) = turn {
                turn.hold = Some((stands, told));
            }
        }));
        stood.recv().map_err(|_| Unanswered::Closed)?;
        Ok(HeldMessages(tell))
    }

    fn submit(&self, call: Call) {
        match self.calls.try_send(call) {
            Ok(()) => {}
            Err(TrySendError::Full(call)) => call(Err(Unanswered::Busy)),
            Err(TrySendError::Disconnected(call)) => call(Err(Unanswered::Closed)),
        }
    }
}

impl Turn {
    fn receive(&mut self, queue: QueueId, ask: Ask, wait: Duration, waiter: Waiter) {
        let given = self.engine.receive(self.now, queue, &ask);
        let nothing = match &given {
            Ok(given) => given.messages.is_empty(),
            Err(refused) => *refused == Refused::Rule(ReceiveRefusal::OverLimit),
        };
        if nothing && !wait.is_zero() {
            let until = self.now + wait.min(limits::WAIT_MAX);
            if let Some(ticket) = self.engine.wait(queue, ask, until) {
                self.numbers.insert(waiter.number, (queue, ticket));
                self.waiters.insert((queue, ticket), waiter);
                return;
            }
        }
        let answer = waiter.answer;
        self.answers
            .push(Box::new(move |written| answer(written.map(|()| given))));
    }

    /// Takes the calls that have come, up to a commit's worth. False if there are no callers any more.
    fn take(&mut self, calls: &Receiver<Call>) -> bool {
        let wait = self
            .engine
            .next_deadline()
            .map_or(TICK, |deadline| deadline.since(now()).min(TICK));
        match calls.recv_timeout(wait) {
            Ok(call) => {
                self.now = now();
                call(Ok(self));
            }
            Err(RecvTimeoutError::Timeout) => self.now = now(),
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        // All calls that came while the last commit was synced share the next sync.
        for _ in 1..BATCH_CALLS {
            if self.engine.pending() >= BATCH_BYTES {
                break;
            }
            // Calls behind a hold wait, because the log may belong to another process during it.
            if self.hold.is_some() {
                break;
            }
            let Ok(call) = calls.try_recv() else { break };
            call(Ok(self));
        }
        true
    }

    /// Ends all waiting receives without messages.
    fn send_away(&mut self) {
        self.numbers.clear();
        for ((queue, ticket), waiter) in core::mem::take(&mut self.waiters) {
            self.engine.forget(queue, ticket);
            let nothing = Given {
                messages: Vec::new(),
                empty: Some(Empty::NothingVisible),
            };
            self.answers.push(Box::new(move |written| {
                (waiter.answer)(written.map(|()| Ok(nothing)))
            }));
        }
    }

    /// Releases the log to another process as long as it is held. False if for good.
    fn is_held(&mut self, stands: &SyncSender<()>, told: &Receiver<Next>) -> bool {
        // Released before the caller hears of it, which then lets the other process open the log.
        self.engine.let_go();
        let _ = stands.try_send(());
        if matches!(told.recv(), Ok(Next::End)) {
            return false;
        }
        match self.engine.take_back(now()) {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(%error, "the message log cannot be reopened: calls are refused until the next start");
                false
            }
        }
    }

    fn woken(&mut self) {
        for (queue, ticket, given) in self.engine.take_woken() {
            let Some(waiter) = self.waiters.remove(&(queue, ticket)) else {
                continue;
            };
            self.numbers.remove(&waiter.number);
            self.answers.push(Box::new(move |written| {
                (waiter.answer)(written.map(|()| Ok(given)))
            }));
        }
    }

    /// Writes everything, and answers. False if the files can no longer be read.
    fn finish(&mut self) -> bool {
        self.engine.wake(self.now);
        if self.hold.is_some() {
            self.send_away();
        }
        // Before the commit: copies and what time has done become part of the same frame.
        if let Err(error) = self.engine.tidy() {
            tracing::error!(%error, "a file of the message log cannot be read");
        }
        self.woken();
        let written = self.engine.commit(self.now);
        if let Err(error) = &written {
            tracing::error!(%error, "messages cannot be written");
        // After the commit: until then, a file may hold the only copy of a message.
        } else if let Err(error) = self.engine.sweep(self.now) {
            tracing::warn!(%error, "a file of the message log cannot be deleted");
        }
        let outcome = written.map_err(|_| Unanswered::Unwritten);
        // After a failed write memory knows more than the disk, so everything is read again before the callers are told.
        let read = outcome.is_ok() || self.reload();
        for answer in self.answers.drain(..) {
            answer(outcome);
        }
        read
    }

    /// Reads the queues again from the files. Waiting receives are told that nothing could be written; their callers retry.
    fn reload(&mut self) -> bool {
        self.numbers.clear();
        for (_, waiter) in core::mem::take(&mut self.waiters) {
            self.answers
                .push(Box::new(move |_| (waiter.answer)(Err(Unanswered::Unwritten))));
        }
        match self.engine.reload(self.now) {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(%error, "the message log cannot be read again: calls are refused until the next start");
                false
            }
        }
    }
}

fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn run(engine: Engine, calls: &Receiver<Call>) {
    let mut turn = Turn {
        engine,
        now: now(),
        answers: Vec::new(),
        waiters: BTreeMap::new(),
        numbers: BTreeMap::new(),
        hold: None,
    };
    while turn.take(calls) {
        let read = turn.finish();
        let held = turn.hold.take();
        if read && held.is_none_or(|(stands, told)| turn.is_held(&stands, &told)) {
            continue;
        }
        // Another process has the log, or the engine knows less than was acknowledged: going on would lose messages. Later
        // callers find the channel closed.
        while let Ok(call) = calls.try_recv() {
            call(Err(Unanswered::Closed));
        }
        break;
    }
    for (_, waiter) in turn.waiters {
        (waiter.answer)(Err(Unanswered::Closed));
    }
}
