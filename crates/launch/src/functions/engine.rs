//! All functions at work: carries out what the pool decides, on one thread and without blocking. `parts` holds its types,
//! `delivery` the way of an invocation to its runtime, `outcome` its end.

mod delivery;
mod outcome;
mod parts;

pub(super) use parts::{Delivery, Next};

use super::environment::Ground;
use super::log::{Logs, Tail};
use super::memory::MemoryWatch;
use super::shim::Exit;
use super::stats::{FunctionStats, RuntimeStats};
use super::words::Failure;
use forebay_functions::{Cold, Done, FunctionSpec, Invocation, InvokeError, Placed, Pool, PoolLimits};
use forebay_units::Mono;
use forebay_units::lock::lock;
use parts::{Bound, Cause, Due, Environment, Pending};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Largest event in bytes: Lambda's quota of 6 MB.
const EVENT_BYTES: usize = 6 << 20;
/// Time that an environment has until it asks for its first invocation; after that, the invocation's own timeout runs.
const INIT: Duration = Duration::from_secs(10);
/// Longest unfinished log line that is held back.
const LINE_BYTES: usize = 16 << 10;

/// State shared with other threads.
pub(super) struct Shared {
    pub(super) ground: Arc<Ground>,
    pub(super) memory: Arc<MemoryWatch>,
    pub(super) stats: Arc<Mutex<RuntimeStats>>,
    /// Limits the environments that start at the same time: more would only slow each other down, and each has just ten
    /// seconds.
    pub(super) starts: Arc<Semaphore>,
}

/// Runs the course of an environment, on this thread.
pub(super) type Begin = fn(Rc<RefCell<Engine>>, Arc<Shared>, Rc<Logs>, Cold, Rc<Notify>);

pub(super) struct Engine {
    me: Weak<RefCell<Engine>>,
    shared: Arc<Shared>,
    begin: Begin,
    logs: Rc<Logs>,
    pool: Pool,
    environments: HashMap<u64, Environment>,
    pending: HashMap<u64, Pending>,
    next: u64,
    began: Instant,
    is_stopping: bool,
}

impl Engine {
    pub(super) fn new(
        shared: Arc<Shared>,
        logs: Logs,
        limits: PoolLimits,
        begin: Begin,
    ) -> Rc<RefCell<Engine>> {
        Rc::new_cyclic(|me| {
            RefCell::new(Engine {
                me: me.clone(),
                shared,
                begin,
                logs: Rc::new(logs),
                pool: Pool::new(limits),
                environments: HashMap::new(),
                pending: HashMap::new(),
                next: 1,
                began: Instant::now(),
                is_stopping: false,
            })
        })
    }

    pub(super) fn publish(&mut self, specs: Vec<FunctionSpec>) {
        let published = self.pool.publish(specs);
        for environment in published.ended {
            self.end(environment, Cause::Retired);
        }
        for invocation in published.refused {
            self.refuse(invocation, InvokeError::NotFound);
        }
        let stats = &self.shared.stats;
        let mut stats = lock(stats);
        let pool = &self.pool;
        stats
            .functions
            .retain(|arn, one| pool.knows(arn) || one.environments > 0 || one.running > 0);
    }

    pub(super) fn invoke(&mut self, invocation: Invocation, done: Done) {
        if self.is_stopping {
            return done(Err(stopping()));
        }
        if invocation.payload.len() > EVENT_BYTES {
            return done(Err(InvokeError::TooLarge(EVENT_BYTES)));
        }
        let number = self.next;
        self.next += 1;
        let pending = Pending {
            arn: invocation.function,
            payload: invocation.payload.into(),
            trace: invocation.trace.unwrap_or_else(new_trace),
            client_context: invocation.client_context,
            wants_log: invocation.wants_log,
            request_id: invocation.request_id.unwrap_or_else(new_request_id),
            begin: invocation.begin,
            done,
            was_lost: false,
        };
        self.count(&pending.arn, |stats| stats.running += 1);
        self.place(number, pending);
    }

    fn place(&mut self, number: u64, pending: Pending) {
        let placed = self.pool.invoke(self.now(), number, &pending.arn);
        self.pending.insert(number, pending);
        match placed {
            Ok(Placed::Warm { environment }) => self.bind(environment, number),
            Ok(Placed::Cold(cold)) => self.start(cold),
            Ok(Placed::Waits { evicted }) => {
                // Room is made by ending an idle environment; the invocation waits until that has ended.
                if let Some(environment) = evicted {
                    self.end(environment, Cause::Retired);
                }
            }
            Err(error) => self.refuse(number, error),
        }
    }

    fn refuse(&mut self, number: u64, error: InvokeError) {
        let Some(pending) = self.pending.remove(&number) else {
            return;
        };
        let is_throttle = matches!(error, InvokeError::ReservedConcurrency | InvokeError::Concurrency);
        let error = if self.is_stopping { stopping() } else { error };
        self.count(&pending.arn, |stats| {
            stats.running -= 1;
            stats.throttles += u64::from(is_throttle);
        });
        self.forget(&pending.arn);
        (pending.done)(Err(error));
    }

    /// Drops the counters of a function that is unknown; otherwise callers could fill the memory with invented names.
    fn forget(&self, arn: &str) {
        if self.pool.knows(arn) {
            return;
        }
        let mut stats = lock(&self.shared.stats);
        if stats
            .functions
            .get(arn)
            .is_some_and(|one| one.running == 0 && one.environments == 0)
        {
            stats.functions.remove(arn);
        }
    }

    fn start(&mut self, cold: Cold) {
        self.count(&cold.spec.arn, |stats| stats.environments += 1);
        let kill = Rc::new(Notify::new());
        let environment = Environment {
            spec: Arc::clone(&cold.spec),
            bound: Some(Bound {
                invocation: cold.invocation,
                is_delivered: false,
                began: None,
                timer: None,
            }),
            waiting: None,
            began: Instant::now(),
            is_ready: false,
            is_init_over: false,
            init: None,
            init_timer: None,
            permit: None,
            kill: Rc::clone(&kill),
            cause: None,
            shim: 0,
            peak: Arc::default(),
            tail: Tail::default(),
            line: Vec::new(),
            output: None,
        };
        self.environments.insert(cold.environment, environment);
        if let Some(me) = self.me.upgrade() {
            let shared = Arc::clone(&self.shared);
            let logs = Rc::clone(&self.logs);
            (self.begin)(me, shared, logs, cold, kill);
        }
    }

    /// Whether an environment should still be started: while it waited for its turn, others may have done its work.
    pub(super) fn may_start(&mut self, id: u64, permit: OwnedSemaphorePermit) -> bool {
        let environment = self.environments.get_mut(&id);
        let Some(environment) = environment.filter(|one| one.bound.is_some() && one.cause.is_none()) else {
            return false;
        };
        environment.permit = Some(permit);
        let arn = environment.spec.arn.clone();
        self.count(&arn, |stats| stats.cold_starts += 1);
        true
    }

    /// Called when the processes of an environment were started.
    pub(super) fn started(&mut self, id: u64, shim: i32, output: Rc<pipe::Receiver>) {
        let timer = self.arm(id, INIT, Due::Init);
        let Some(environment) = self.environments.get_mut(&id) else {
            return;
        };
        environment.began = Instant::now();
        environment.init_timer = Some(timer);
        environment.shim = shim;
        environment.output = Some(output);
        let limit = u64::from(environment.spec.memory_mib) << 20;
        environment.peak = self.shared.memory.watch(id, shim, limit);
    }

    /// Called when an environment uses more memory than it may.
    pub(super) fn exceeds(&mut self, id: u64) {
        self.end(id, Cause::Failed(Failure::Memory));
    }

    /// Adds an environment's output to the log. Only whole lines, so that those of a function's environments do not mix.
    pub(super) fn said(&mut self, id: u64, bytes: &[u8], permit: Option<OwnedSemaphorePermit>) {
        let Some(environment) = self.environments.get_mut(&id) else {
            return;
        };
        environment.tail.say(bytes);
        environment.line.extend_from_slice(bytes);
        let length = environment.line.len();
        let end = environment
            .line
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let end = if length - end > LINE_BYTES { length } else { end };
        if end > 0 {
            let rest = environment.line.split_off(end);
            let lines = std::mem::replace(&mut environment.line, rest);
            self.logs.say(&environment.spec.name, &lines, permit);
        }
    }

    /// Logs the unfinished line of an environment.
    fn end_line(&mut self, id: u64) {
        if let Some(environment) = self.environments.get_mut(&id)
            && !environment.line.is_empty()
        {
            let line = std::mem::take(&mut environment.line);
            self.logs.say(&environment.spec.name, &line, None);
        }
    }

    /// Ends an environment. Its invocation is answered when nothing of it is left.
    fn end(&mut self, id: u64, cause: Cause) {
        if let Some(environment) = self.environments.get_mut(&id) {
            // The first cause counts: what follows it, such as a killed process, is only its effect.
            environment.cause.get_or_insert(cause);
            self.pool.doomed(id);
            environment.kill.notify_one();
        }
    }

    fn arm(&self, id: u64, after: Duration, due: Due) -> AbortHandle {
        let me = self.me.clone();
        let task = tokio::task::spawn_local(async move {
            tokio::time::sleep(after).await;
            if let Some(me) = me.upgrade() {
                me.borrow_mut().due(id, &due);
            }
        });
        task.abort_handle()
    }

    fn due(&mut self, id: u64, due: &Due) {
        let Some(environment) = self.environments.get(&id) else {
            return;
        };
        match due {
            Due::Init => {
                let ms = environment.began.elapsed().as_secs_f64() * 1000.0;
                let line = format!("INIT_REPORT Init Duration: {ms:.2} ms\tPhase: init\tStatus: timeout\n");
                self.said(id, line.as_bytes(), None);
                // The place of a starting environment is free: this one now runs on the invocation's time.
                if let Some(environment) = self.environments.get_mut(&id) {
                    environment.is_init_over = true;
                    environment.permit = None;
                }
                self.begin(id);
            }
            Due::Invocation => {
                let seconds = environment.spec.timeout_s;
                self.end(id, Cause::Failed(Failure::TimedOut(seconds)));
            }
        }
    }

    /// Called when nothing of an environment is left.
    pub(super) fn ended(&mut self, id: u64, exit: Exit) {
        let arn = self.environments.get(&id).map(|one| one.spec.arn.clone());
        if let Some(arn) = &arn {
            // Before its invocation is answered, because the caller may look at the counters then.
            self.count(arn, |stats| stats.environments -= 1);
        }
        self.end_line(id);
        let lost = self.take_lost(id);
        if lost.is_none() {
            self.end_invocation(id, exit);
        }
        if let Some(timer) = self.environments.remove(&id).and_then(|one| one.init_timer) {
            timer.abort();
        }
        let begun = self.pool.ended(self.now(), id);
        begun.into_iter().for_each(|cold| self.start(cold));
        // Placed only after the pool knows that its environment has ended: it would be bound to that one again.
        if let Some((number, pending)) = lost {
            let pending = Pending {
                was_lost: true,
                ..pending
            };
            self.place(number, pending);
        }
        if let Some(arn) = arn {
            self.forget(&arn);
        }
    }

    /// Takes the invocation that an environment never received, because it ended after the previous one.
    fn take_lost(&mut self, id: u64) -> Option<(u64, Pending)> {
        let environment = self.environments.get_mut(&id)?;
        let bound = environment.bound.as_ref()?;
        let is_its_own = matches!(
            environment.cause,
            Some(Cause::Failed(Failure::TimedOut(_) | Failure::Stopped))
        );
        if bound.is_delivered || !environment.is_ready || is_its_own {
            return None;
        }
        let number = bound.invocation;
        // A second loss is answered as a failure: the function's code may be what ends its environments.
        if self.pending.get(&number)?.was_lost {
            return None;
        }
        if let Some(timer) = environment.bound.take().and_then(|bound| bound.timer) {
            timer.abort();
        }
        self.pending.remove(&number).map(|pending| (number, pending))
    }

    /// Does what is due by time alone.
    pub(super) fn tick(&mut self) {
        for environment in self.pool.tick(self.now()) {
            self.end(environment, Cause::Retired);
        }
    }

    /// Refuses further invocations.
    pub(super) fn refuse_all(&mut self) {
        self.is_stopping = true;
    }

    /// Ends all environments, and their invocations with them.
    pub(super) fn end_all(&mut self) {
        self.is_stopping = true;
        // Without functions, waiting invocations are refused instead of getting new environments.
        self.publish(Vec::new());
        let all: Vec<u64> = self.environments.keys().copied().collect();
        for environment in all {
            self.end(environment, Cause::Failed(Failure::Stopped));
        }
    }

    /// Numbers of running or waiting invocations, and of environments.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.pending.len(), self.environments.len())
    }

    fn now(&self) -> Mono {
        Mono(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn count(&self, arn: &str, change: impl FnOnce(&mut FunctionStats)) {
        let mut stats = lock(&self.shared.stats);
        if let Some(one) = stats.functions.get_mut(arn) {
            change(one);
        } else {
            change(stats.functions.entry(arn.to_owned()).or_default());
        }
    }
}

fn stopping() -> InvokeError {
    InvokeError::Unavailable("Forebay is about to end".to_owned())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::error!(%error, "the system's random number generator failed");
    }
    bytes
}

/// A random UUID, version 4 (RFC 9562).
fn new_request_id() -> String {
    let mut bytes = random::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = crate::image::hex(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// A new trace, not sampled, in X-Ray's format.
fn new_trace() -> String {
    let seconds = crate::record::now_ms() / 1000;
    let id = crate::image::hex(&random::<12>());
    format!("Root=1-{seconds:08x}-{id};Sampled=0")
}

/// A new name for an environment's log stream.
pub(super) fn new_stream() -> String {
    let day = jiff::Timestamp::now().strftime("%Y/%m/%d").to_string();
    format!("{day}/[$LATEST]{}", crate::image::hex(&random::<16>()))
}
