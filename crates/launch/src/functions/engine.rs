//! All functions at work: what the pool decides is done here, on one thread, and nothing here blocks.

use super::course;
use super::environment::Ground;
use super::log::{Logs, Tail};
use super::memory::{self, MemoryWatch};
use super::shim::Exit;
use super::stats::{FunctionStats, RuntimeStats};
use super::words::{self, Failure, Report};
use bytes::Bytes;
use forebay_functions::{
    Cold, Done, FunctionError, FunctionSpec, Invocation, InvokeError, Invoked, Placed, Pool, PoolLimits, Rest,
    Runtime,
};
use forebay_units::Mono;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// The most bytes of an event: Lambda's quota of 6 MB.
const EVENT_BYTES: usize = 6 << 20;
/// How long an environment may take until it asks for its invocation; after that, the invocation's own time runs.
const INIT: Duration = Duration::from_secs(10);
/// The most of what a function has said that is read at once when its invocation ends.
const DRAINED: usize = 64;

/// What goes to a runtime that asks for the next invocation.
pub(super) struct Delivery {
    pub(super) request_id: String,
    pub(super) deadline_ms: u64,
    pub(super) arn: String,
    pub(super) trace: String,
    pub(super) client_context: Option<String>,
    pub(super) payload: Bytes,
}

/// The answer to a runtime that asks for the next invocation.
pub(super) enum Next {
    /// Here it is.
    Now(Delivery),
    /// It comes.
    Later(oneshot::Receiver<Delivery>),
    /// It has one, or is about to end.
    Refused,
}

/// Why an environment is ended.
enum Cause {
    /// Nobody needs it.
    Retired,
    /// Its invocation failed in this way.
    Failed(Failure),
    /// It said at its start that it cannot run.
    Init(Vec<u8>),
}

enum Due {
    Init,
    Invocation,
}

struct Pending {
    arn: String,
    payload: Bytes,
    trace: String,
    client_context: Option<String>,
    wants_log: bool,
    request_id: String,
    done: Done,
    /// It was given to an environment that ended before it took it. That happens once.
    was_lost: bool,
}

struct Bound {
    invocation: u64,
    is_delivered: bool,
    /// When its time began to run, and what ends it.
    began: Option<Instant>,
    timer: Option<AbortHandle>,
}

struct Environment {
    spec: Arc<FunctionSpec>,
    bound: Option<Bound>,
    waiting: Option<oneshot::Sender<Delivery>>,
    began: Instant,
    is_ready: bool,
    /// How long its start took, until an invocation has told.
    init: Option<Duration>,
    init_timer: Option<AbortHandle>,
    kill: Rc<Notify>,
    cause: Option<Cause>,
    shim: i32,
    peak: Arc<AtomicU64>,
    tail: Tail,
    output: Option<Rc<pipe::Receiver>>,
}

/// What is shared with other threads.
pub(super) struct Shared {
    pub(super) ground: Arc<Ground>,
    pub(super) memory: Arc<MemoryWatch>,
    pub(super) stats: Arc<Mutex<RuntimeStats>>,
}

pub(super) struct Engine {
    me: Weak<RefCell<Engine>>,
    shared: Arc<Shared>,
    logs: Rc<Logs>,
    pool: Pool,
    environments: HashMap<u64, Environment>,
    pending: HashMap<u64, Pending>,
    next: u64,
    began: Instant,
    is_stopping: bool,
}

impl Engine {
    pub(super) fn new(shared: Arc<Shared>, logs: Logs, limits: PoolLimits) -> Rc<RefCell<Engine>> {
        Rc::new_cyclic(|me| {
            RefCell::new(Engine {
                me: me.clone(),
                shared,
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
        let mut stats = stats.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = &self.pool;
        stats
            .functions
            .retain(|arn, one| pool.knows(arn) || one.environments > 0 || one.running > 0);
    }

    pub(super) fn invoke(&mut self, invocation: Invocation, done: Done) {
        if self.is_stopping {
            return done(Err(InvokeError::Unavailable("Forebay is about to end".to_owned())));
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
            request_id: new_request_id(),
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
        let is_throttle = error != InvokeError::NotFound;
        self.count(&pending.arn, |stats| {
            stats.running -= 1;
            stats.throttles += u64::from(is_throttle);
        });
        self.forget(&pending.arn);
        (pending.done)(Err(error));
    }

    /// Of a function that nobody knows, nothing is counted; else whoever asks for many would fill the memory.
    fn forget(&self, arn: &str) {
        if self.pool.knows(arn) {
            return;
        }
        let mut stats = self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner);
        if stats
            .functions
            .get(arn)
            .is_some_and(|one| one.running == 0 && one.environments == 0)
        {
            stats.functions.remove(arn);
        }
    }

    fn start(&mut self, cold: Cold) {
        self.count(&cold.spec.arn, |stats| {
            stats.environments += 1;
            stats.cold_starts += 1;
        });
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
            init: None,
            init_timer: None,
            kill: Rc::clone(&kill),
            cause: None,
            shim: 0,
            peak: Arc::default(),
            tail: Tail::default(),
            output: None,
        };
        self.environments.insert(cold.environment, environment);
        if let Some(me) = self.me.upgrade() {
            let shared = Arc::clone(&self.shared);
            let logs = Rc::clone(&self.logs);
            tokio::task::spawn_local(course::run(me, shared, logs, cold, kill));
        }
    }

    /// The processes of an environment have been started.
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

    /// Gives an invocation to an environment that is there. Its time runs from now.
    fn bind(&mut self, id: u64, invocation: u64) {
        if let Some(environment) = self.environments.get_mut(&id) {
            environment.bound = Some(Bound {
                invocation,
                is_delivered: false,
                began: None,
                timer: None,
            });
            self.begin(id);
            if let Some(waiting) = self.environments.get_mut(&id).and_then(|one| one.waiting.take())
                && let Some(delivery) = self.delivery(id)
                && let Err(delivery) = waiting.send(delivery)
            {
                // Whoever asked is gone, and asks again or ends.
                drop(delivery);
                self.undelivered(id);
            }
        }
    }

    /// Has the time of an environment's invocation run, if it does not yet.
    fn begin(&mut self, id: u64) {
        let Some(environment) = self.environments.get(&id) else {
            return;
        };
        let limit = Duration::from_secs(u64::from(environment.spec.timeout_s));
        if environment.bound.as_ref().is_some_and(|bound| bound.began.is_none()) {
            let timer = self.arm(id, limit, Due::Invocation);
            if let Some(bound) = self.environments.get_mut(&id).and_then(|one| one.bound.as_mut()) {
                bound.began = Some(Instant::now());
                bound.timer = Some(timer);
            }
        }
    }

    fn delivery(&mut self, id: u64) -> Option<Delivery> {
        self.begin(id);
        let environment = self.environments.get_mut(&id)?;
        let bound = environment.bound.as_mut()?;
        let pending = self.pending.get(&bound.invocation)?;
        let limit = Duration::from_secs(u64::from(environment.spec.timeout_s));
        let left = limit.saturating_sub(bound.began?.elapsed());
        let delivery = Delivery {
            request_id: pending.request_id.clone(),
            deadline_ms: crate::record::now_ms() + u64::try_from(left.as_millis()).unwrap_or(0),
            arn: environment.spec.arn.clone(),
            trace: pending.trace.clone(),
            client_context: pending.client_context.clone(),
            payload: pending.payload.clone(),
        };
        bound.is_delivered = true;
        let line = words::start_line(&pending.request_id);
        environment.tail.say(line.as_bytes());
        self.logs.say(&environment.spec.name, line.as_bytes(), None);
        Some(delivery)
    }

    fn undelivered(&mut self, id: u64) {
        if let Some(bound) = self.environments.get_mut(&id).and_then(|one| one.bound.as_mut()) {
            bound.is_delivered = false;
        }
    }

    /// The runtime asks for the next invocation.
    pub(super) fn next(&mut self, id: u64) -> Next {
        let Some(environment) = self.environments.get_mut(&id) else {
            return Next::Refused;
        };
        if environment.cause.is_some() || environment.bound.as_ref().is_some_and(|bound| bound.is_delivered) {
            return Next::Refused;
        }
        if !environment.is_ready {
            environment.is_ready = true;
            environment.init = Some(environment.began.elapsed());
            if let Some(timer) = environment.init_timer.take() {
                timer.abort();
            }
        }
        if environment.bound.is_some()
            && let Some(delivery) = self.delivery(id)
        {
            return Next::Now(delivery);
        }
        let (sender, receiver) = oneshot::channel();
        if let Some(environment) = self.environments.get_mut(&id) {
            environment.waiting = Some(sender);
        }
        Next::Later(receiver)
    }

    /// Whether this is the invocation that an environment has.
    pub(super) fn has(&self, id: u64, request_id: &str) -> bool {
        self.environments.get(&id).is_some_and(|environment| {
            let bound = environment.bound.as_ref().filter(|bound| bound.is_delivered);
            let pending = bound.and_then(|bound| self.pending.get(&bound.invocation));
            environment.cause.is_none() && pending.is_some_and(|pending| pending.request_id == request_id)
        })
    }

    /// The runtime has answered an invocation that `has` knows.
    pub(super) fn answered(&mut self, id: u64, payload: Vec<u8>) {
        self.finish(id, payload, None, None);
        self.rest(id);
    }

    /// The runtime has said that an invocation failed.
    pub(super) fn failed(&mut self, id: u64, payload: Vec<u8>) {
        self.finish(id, payload, Some(FunctionError::Unhandled), None);
        self.rest(id);
    }

    /// The runtime's answer was larger than it may be.
    pub(super) fn answered_too_much(&mut self, id: u64) {
        self.fail(id, Failure::AnswerTooLarge, None);
        self.rest(id);
    }

    /// The runtime has said that it cannot run. False if it has run already.
    pub(super) fn failed_to_begin(&mut self, id: u64, document: Vec<u8>) -> bool {
        let can = self.environments.get(&id).is_some_and(|one| !one.is_ready);
        if can {
            self.end(id, Cause::Init(document));
        }
        can
    }

    /// An environment has more memory than it may.
    pub(super) fn exceeds(&mut self, id: u64) {
        self.end(id, Cause::Failed(Failure::Memory));
    }

    /// What an environment has said.
    pub(super) fn said(&mut self, id: u64, bytes: &[u8], permit: Option<tokio::sync::OwnedSemaphorePermit>) {
        if let Some(environment) = self.environments.get_mut(&id) {
            environment.tail.say(bytes);
            self.logs.say(&environment.spec.name, bytes, permit);
        }
    }

    /// After an invocation.
    fn rest(&mut self, id: u64) {
        match self.pool.finished(self.now(), id) {
            Rest::Idle => {}
            Rest::Ends => self.end(id, Cause::Retired),
            Rest::Runs { invocation } => self.bind(id, invocation),
        }
    }

    /// Has an environment end. Its invocation is answered when nothing of it is left.
    fn end(&mut self, id: u64, cause: Cause) {
        if let Some(environment) = self.environments.get_mut(&id) {
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
                self.begin(id);
            }
            Due::Invocation => {
                let seconds = environment.spec.timeout_s;
                self.end(id, Cause::Failed(Failure::TimedOut(seconds)));
            }
        }
    }

    /// Nothing of an environment is left.
    pub(super) fn ended(&mut self, id: u64, exit: Exit) {
        let mut lost = None;
        let arn = self.environments.get(&id).map(|one| one.spec.arn.clone());
        if let Some(arn) = &arn {
            // Before its invocation is answered: whoever asked may look.
            self.count(arn, |stats| stats.environments -= 1);
        }
        if let Some(environment) = self.environments.get_mut(&id) {
            let bound = environment.bound.as_ref().map(|bound| (bound.invocation, bound.is_delivered));
            let is_retired = matches!(environment.cause, None | Some(Cause::Retired));
            if let Some((invocation, false)) = bound
                && environment.is_ready
                && is_retired
                && self.pending.get(&invocation).is_some_and(|pending| !pending.was_lost)
            {
                // It ended after the invocation before: this one knows nothing of that.
                if let Some(timer) = environment.bound.take().and_then(|bound| bound.timer) {
                    timer.abort();
                }
                lost = self.pending.remove(&invocation).map(|pending| (invocation, pending));
            } else if bound.is_some() {
                self.end_invocation(id, exit);
            }
        }
        if let Some(timer) = self.environments.remove(&id).and_then(|one| one.init_timer) {
            timer.abort();
        }
        let begun = self.pool.ended(self.now(), id);
        begun.into_iter().for_each(|cold| self.start(cold));
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

    fn end_invocation(&mut self, id: u64, exit: Exit) {
        let Some(environment) = self.environments.get_mut(&id) else {
            return;
        };
        let failure = match environment.cause.take() {
            Some(Cause::Init(document)) => {
                return self.finish(id, document, Some(FunctionError::Unhandled), None);
            }
            Some(Cause::Failed(failure)) => failure,
            Some(Cause::Retired) | None => Failure::Ended(exit),
        };
        self.drain(id);
        let hint = self.hint(id, &failure);
        self.fail(id, failure, hint);
    }

    /// What may help, where that is plain.
    fn hint(&self, id: u64, failure: &Failure) -> Option<&'static str> {
        let environment = self.environments.get(&id)?;
        let says = environment.tail.bytes();
        let is_missing = says
            .windows(MISSING.len())
            .any(|window| window == MISSING.as_bytes());
        let is_start = !environment.is_ready && matches!(failure, Failure::Ended(_));
        (is_missing && is_start && environment.spec.runtime == Runtime::Python).then_some(
            "functions in Python need AWS's client of the Runtime API: install it for this Python with `pip install awslambdaric`, \
             or put it into the function's code",
        )
    }

    fn fail(&mut self, id: u64, failure: Failure, hint: Option<&str>) {
        let Some(environment) = self.environments.get(&id) else {
            return;
        };
        let pending = environment
            .bound
            .as_ref()
            .and_then(|bound| self.pending.get(&bound.invocation));
        let Some(pending) = pending else { return };
        let document = failure.document(&pending.request_id, hint);
        let error = match failure {
            Failure::TimedOut(_) => FunctionError::TimedOut,
            Failure::AnswerTooLarge => FunctionError::Unhandled,
            _ => FunctionError::Crashed,
        };
        self.finish(id, document, Some(error), Some(failure));
    }

    /// Answers an environment's invocation.
    fn finish(&mut self, id: u64, payload: Vec<u8>, error: Option<FunctionError>, failure: Option<Failure>) {
        self.drain(id);
        let Some(environment) = self.environments.get_mut(&id) else {
            return;
        };
        let Some(bound) = environment.bound.take() else {
            return;
        };
        if let Some(timer) = bound.timer {
            timer.abort();
        }
        let Some(pending) = self.pending.remove(&bound.invocation) else {
            return;
        };
        if environment.peak.load(Ordering::Relaxed) == 0 && environment.cause.is_none() {
            memory::look(environment.shim, u64::MAX, &environment.peak);
        }
        let duration = bound.began.map_or(Duration::ZERO, |began| began.elapsed());
        let now = jiff::Timestamp::now();
        let report = Report {
            request_id: &pending.request_id,
            duration,
            init: environment.init.take(),
            memory_mib: environment.spec.memory_mib,
            used_bytes: environment.peak.load(Ordering::Relaxed),
            failure: failure.as_ref(),
            now: &now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        };
        let lines = report.lines();
        environment.tail.say(lines.as_bytes());
        self.logs.say(&environment.spec.name, lines.as_bytes(), None);
        let log = pending.wants_log.then(|| environment.tail.bytes());
        environment.tail.clear();
        self.count(&pending.arn, |stats| {
            stats.running -= 1;
            stats.invocations += 1;
            stats.errors += u64::from(error.is_some());
            stats.timeouts += u64::from(error == Some(FunctionError::TimedOut));
            stats.took(duration);
        });
        (pending.done)(Ok(Invoked {
            payload,
            error,
            request_id: pending.request_id,
            log,
        }));
    }

    /// Reads what an environment has said until now, so that it stands before what is said of it.
    fn drain(&mut self, id: u64) {
        let Some(output) = self.environments.get(&id).and_then(|one| one.output.clone()) else {
            return;
        };
        let mut buffer = [0; 16 << 10];
        for _ in 0..DRAINED {
            match output.try_read(&mut buffer) {
                Ok(count @ 1..) => self.said(id, &buffer[..count], None),
                _ => return,
            }
        }
    }

    /// What time alone brings about.
    pub(super) fn tick(&mut self) {
        for environment in self.pool.tick(self.now()) {
            self.end(environment, Cause::Retired);
        }
    }

    /// Takes no more invocations.
    pub(super) fn refuse_all(&mut self) {
        self.is_stopping = true;
    }

    /// Ends all environments, and their invocations with them.
    pub(super) fn end_all(&mut self) {
        self.is_stopping = true;
        self.publish(Vec::new());
        let all: Vec<u64> = self.environments.keys().copied().collect();
        for environment in all {
            self.end(environment, Cause::Failed(Failure::Stopped));
        }
    }

    /// Invocations that run or wait, and environments.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.pending.len(), self.environments.len())
    }

    fn now(&self) -> Mono {
        Mono(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn count(&self, arn: &str, change: impl FnOnce(&mut FunctionStats)) {
        let mut stats = self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = stats.functions.get_mut(arn) {
            change(one);
        } else {
            change(stats.functions.entry(arn.to_owned()).or_default());
        }
    }
}

/// What Python says without AWS's client.
const MISSING: &str = "No module named awslambdaric";

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::error!(%error, "the system has no random numbers");
    }
    bytes
}

/// A random UUID, version 4 of RFC 9562.
fn new_request_id() -> String {
    let mut bytes = random::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = crate::image::hex(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// A trace of its own, not sampled, as X-Ray writes it.
fn new_trace() -> String {
    let seconds = crate::record::now_ms() / 1000;
    let id = crate::image::hex(&random::<12>());
    format!("Root=1-{seconds:08x}-{id};Sampled=0")
}

/// The name of an environment's log stream.
pub(super) fn new_stream() -> String {
    let day = jiff::Timestamp::now().strftime("%Y/%m/%d").to_string();
    format!("{day}/[$LATEST]{}", crate::image::hex(&random::<16>()))
}
