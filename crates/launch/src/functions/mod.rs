//! Functions: runs them as processes that use Lambda's Runtime API, and keeps their code.
//!
//! In reading order: `options`, `engine` (all functions, on one thread), `course` (one environment from start to end),
//! `environment` and `shim` (its processes and files), `api` (the Runtime API), `code` and `archive` (uploaded code),
//! `node` (the Runtime API client for Node), `log`, `memory`, `stats`, `words` (Lambda's texts).

mod api;
mod archive;
mod code;
mod course;
mod engine;
mod environment;
mod log;
mod memory;
mod node;
mod options;
pub(crate) mod shim;
mod stats;
mod words;

pub use archive::{CodeError, pack};
pub use code::{Code, CodeStore};
pub use options::{RoleKeysSource, RuntimeOptions};
pub use stats::{DURATION_BOUNDS_MS, FunctionStats, RuntimeStats};

use crate::errors::Tried as _;
use engine::{Engine, Shared};
use environment::Ground;
use forebay_functions::{Done, FunctionSpec, Functions, Invocation, InvokeError, PoolLimits};
use forebay_units::lock::lock;
use log::Logs;
use memory::MemoryWatch;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;
use tokio::time::Instant;

/// Most age of an environment.
const AGE: Duration = Duration::from_secs(6 * 3600);
/// Threads for blocking work: starts and ends of environments.
const BLOCKING: usize = 16;
/// Most invocations that were submitted and not looked at yet; more are refused.
const QUEUE: usize = 10_000;
/// Time that all environments have to end at a stop.
const ENDING: Duration = Duration::from_secs(15);

enum Message {
    Publish(Vec<FunctionSpec>),
    Invoke(Invocation, Done),
    Exceeds(u64),
    Stop(Duration, std::sync::mpsc::Sender<()>),
}

/// Runs functions. When it is dropped, all of their processes have ended.
pub struct Runtimes {
    sender: UnboundedSender<Message>,
    queued: Arc<AtomicUsize>,
    stats: Arc<Mutex<RuntimeStats>>,
    losses: Arc<AtomicU64>,
    code: CodeStore,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Runtimes {
    /// Starts without functions. An error says which option cannot work.
    pub fn start(options: RuntimeOptions) -> Result<Runtimes, String> {
        let limits = PoolLimits {
            environments: options.environments,
            idle: options.idle,
            age: AGE,
        };
        let code = CodeStore::new(&options.directory);
        let directory = options.directory.clone();
        let ground = Arc::new(Ground::prepare(options, code.clone())?);
        let (logs, log_thread) = Logs::start(&directory.join("logs"))?;
        let losses = logs.losses();
        let (sender, receiver) = unbounded_channel();
        let exceeds = sender.clone();
        let memory = MemoryWatch::start(move |environment| {
            let _ = exceeds.send(Message::Exceeds(environment));
        })?;
        let stats = Arc::new(Mutex::new(RuntimeStats::default()));
        let shared = Arc::new(Shared {
            ground,
            memory,
            stats: Arc::clone(&stats),
            starts: Arc::new(Semaphore::new(starts())),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING)
            .thread_name("function-blocking")
            .build()
            .tried(|| "start a runtime".to_owned())?;
        let queued = Arc::new(AtomicUsize::new(0));
        let taken = Arc::clone(&queued);
        let thread = std::thread::Builder::new()
            .name("functions".to_owned())
            .spawn(move || {
                let memory = Arc::clone(&shared.memory);
                let work = work(shared, logs, limits, receiver, taken);
                LocalSet::new().block_on(&runtime, work);
                memory.stop();
                drop(runtime);
                let _ = log_thread.join();
            })
            .tried(|| "start a thread".to_owned())?;
        Ok(Runtimes {
            sender,
            queued,
            stats,
            losses,
            code,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Sets the list of all functions. To be called whenever the API has changed one; never blocks.
    pub fn publish(&self, functions: Vec<FunctionSpec>) {
        let _ = self.sender.send(Message::Publish(functions));
    }

    /// The store of the functions' code. No sweep removes what environments are running.
    pub fn code(&self) -> &CodeStore {
        &self.code
    }

    /// Refuses new invocations, waits this long for running ones, and ends all environments. Returns when nothing is left.
    pub fn stop(&self, grace: Duration) {
        let (ended, wait) = channel();
        if self.sender.send(Message::Stop(grace, ended)).is_ok() {
            // Fails when the thread ends, which is just as good.
            let _ = wait.recv();
        }
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }

    /// The counters so far.
    pub fn stats(&self) -> RuntimeStats {
        let mut stats = lock(&self.stats).clone();
        stats.log_losses = self.losses.load(Ordering::Relaxed);
        stats
    }
}

impl Functions for Runtimes {
    fn invoke(&self, invocation: Invocation, done: Done) {
        if self.queued.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            return done(Err(InvokeError::Concurrency));
        }
        if let Err(unsent) = self.sender.send(Message::Invoke(invocation, done))
            && let Message::Invoke(_, done) = unsent.0
        {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            done(Err(InvokeError::Unavailable(
                "functions have been stopped".to_owned(),
            )));
        }
    }
}

impl Drop for Runtimes {
    fn drop(&mut self) {
        let on_its_own_thread = {
            let thread = lock(&self.thread);
            thread
                .as_ref()
                .is_some_and(|thread| thread.thread().id() == std::thread::current().id())
        };
        if on_its_own_thread {
            // Waiting here would wait for this thread itself. It ends because nobody can call it any more.
            let (ended, _) = channel();
            let _ = self.sender.send(Message::Stop(Duration::ZERO, ended));
        } else {
            self.stop(Duration::ZERO);
        }
    }
}

/// Number of environments that may start at the same time: several per processor, because they also wait.
fn starts() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (4 * processors).max(8)
}

async fn work(
    shared: Arc<Shared>,
    logs: Logs,
    limits: PoolLimits,
    mut receiver: UnboundedReceiver<Message>,
    queued: Arc<AtomicUsize>,
) {
    let engine = Engine::new(shared, logs, limits, course::begin);
    let often = (limits.idle / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
    let mut tick = tokio::time::interval(often);
    let told = loop {
        tokio::select! {
            message = receiver.recv() => match message {
                Some(Message::Stop(grace, ended)) => break Some((grace, ended)),
                Some(message) => obey(&engine, message, &queued),
                None => break None,
            },
            _ = tick.tick() => engine.borrow_mut().tick(),
        }
    };
    let grace = told.as_ref().map_or(Duration::ZERO, |(grace, _)| *grace);
    // First only new invocations are refused; the running ones have the grace to finish.
    engine.borrow_mut().refuse_all();
    let until = Instant::now() + grace;
    wait(&engine, &mut receiver, &queued, until, |(running, _)| {
        running == 0
    })
    .await;
    engine.borrow_mut().end_all();
    let until = Instant::now() + ENDING;
    wait(&engine, &mut receiver, &queued, until, |sizes| sizes == (0, 0)).await;
    receiver.close();
    while let Ok(message) = receiver.try_recv() {
        obey(&engine, message, &queued);
    }
    if let Some((_, ended)) = told {
        let _ = ended.send(());
    }
}

fn obey(engine: &Rc<RefCell<Engine>>, message: Message, queued: &AtomicUsize) {
    match message {
        Message::Publish(specs) => engine.borrow_mut().publish(specs),
        Message::Invoke(invocation, done) => {
            queued.fetch_sub(1, Ordering::Relaxed);
            engine.borrow_mut().invoke(invocation, done);
        }
        Message::Exceeds(environment) => engine.borrow_mut().exceeds(environment),
        // It is being stopped already; the second caller is released when the channel is dropped.
        Message::Stop(..) => {}
    }
}

/// Continues until `is_done`, or until time is up.
async fn wait(
    engine: &Rc<RefCell<Engine>>,
    receiver: &mut UnboundedReceiver<Message>,
    queued: &AtomicUsize,
    until: Instant,
    is_done: impl Fn((usize, usize)) -> bool,
) {
    loop {
        while let Ok(message) = receiver.try_recv() {
            obey(engine, message, queued);
        }
        let sizes = engine.borrow().sizes();
        if is_done(sizes) || Instant::now() >= until {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
