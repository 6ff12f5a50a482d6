//! The state that the stages of one worker share. It belongs to one thread, so there are no locks.

use crate::buffers::BufferPool;
use crate::clock::Clock;
use crate::connection::{ClientConnection, Next};
use crate::deadlines::{Deadline, DeadlineTable};
use crate::descriptors::Descriptors;
use crate::h2::Links;
use crate::listener_address::Current;
use crate::memory::Meter;
use crate::pool::Pools;
use crate::socket::Socket;
use crate::task_pool::TaskPool;
use crate::tls::{Listeners, Secured, TargetConfigs};
use crate::wire::Wire;
use crate::worker_log::WorkerLog;
use forebay_functions::Functions;
use forebay_node::{Event, Snapshot, WorkerState};
use forebay_units::{Mono, Wall};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// A worker's state.
pub(crate) struct Worker {
    clock: Clock,
    /// The last readings of the clocks, at most one sweep old.
    recent: Cell<Mono>,
    recent_wall: Cell<Wall>,
    /// When the wall clock was last read.
    wall_read: Cell<Mono>,
    snapshot: RefCell<Current>,
    pub(crate) state: RefCell<WorkerState>,
    pub(crate) pools: RefCell<Pools>,
    pub(crate) links: RefCell<Links>,
    /// The TLS configurations of HTTPS listeners, in step with the snapshot.
    pub(crate) tls: RefCell<Arc<Listeners>>,
    /// The TLS configurations for targets.
    pub(crate) target_tls: RefCell<TargetConfigs>,
    pub(crate) buffer_pool: RefCell<BufferPool>,
    /// Pooled tasks for plaintext connections, and for TLS connections.
    task_pool: Rc<TaskPoolOf<Socket>>,
    tls_task_pool: Rc<TaskPoolOf<Secured>>,
    pub(crate) sweep: Rc<DeadlineTable>,
    /// Events for the slow path. Bounded: if it is full an event is dropped, and the next refused connection reports it
    /// again.
    pub(crate) events: mpsc::Sender<Event>,
    /// The destination of log lines about requests and connections.
    pub(crate) worker_log: WorkerLog,
    /// The port through which functions are invoked.
    pub(crate) functions: Arc<dyn Functions>,
    /// No connection is kept open after its current request.
    pub(crate) leaving: Cell<bool>,
    /// Counts the open connections of all workers.
    pub(crate) descriptors: Arc<Descriptors>,
    date: RefCell<(i64, String)>,
    /// Notified at each sweep.
    pub(crate) swept: Notify,
    /// When a shortage was last logged.
    told: Cell<Option<Mono>>,
}

/// A connection whose requests a pooled task serves.
pub(crate) struct Job<W> {
    pub(crate) worker: Rc<Worker>,
    pub(crate) stream: W,
    pub(crate) connection: Rc<ClientConnection>,
    pub(crate) deadline: Rc<Deadline>,
}

/// Pooled tasks for connections of one kind; a job's result is its stream and what happens to it next.
pub(crate) type TaskPoolOf<W> = TaskPool<Job<W>, (W, Next)>;

/// A kind of connection that is served by pooled tasks.
pub(crate) trait Pooled: Wire + Sized + 'static {
    /// The worker's free pooled tasks for this kind.
    fn task_pool(worker: &Worker) -> &Rc<TaskPoolOf<Self>>;
}

impl Pooled for Socket {
    fn task_pool(worker: &Worker) -> &Rc<TaskPoolOf<Socket>> {
        &worker.task_pool
    }
}

impl Pooled for Secured {
    fn task_pool(worker: &Worker) -> &Rc<TaskPoolOf<Secured>> {
        &worker.tls_task_pool
    }
}

/// Shortest time between two log lines about a shortage, which would otherwise come with every connection.
const TELLING: Duration = Duration::from_secs(5);

impl Worker {
    pub(crate) fn new(
        clock: Clock,
        state: WorkerState,
        events: mpsc::Sender<Event>,
        worker_log: WorkerLog,
        descriptors: Arc<Descriptors>,
        meter: Meter,
        functions: Arc<dyn Functions>,
    ) -> Worker {
        Worker {
            clock,
            recent: Cell::new(clock.now()),
            recent_wall: Cell::new(clock.wall()),
            wall_read: Cell::new(clock.now()),
            snapshot: RefCell::default(),
            state: RefCell::new(state),
            pools: RefCell::default(),
            links: RefCell::default(),
            tls: RefCell::default(),
            target_tls: RefCell::default(),
            buffer_pool: RefCell::new(BufferPool::new(Rc::new(meter))),
            task_pool: Rc::default(),
            tls_task_pool: Rc::default(),
            sweep: Rc::default(),
            events,
            worker_log,
            descriptors,
            functions,
            leaving: Cell::new(false),
            date: RefCell::new((-1, String::new())),
            swept: Notify::new(),
            told: Cell::new(None),
        }
    }

    /// Reads the monotonic clock.
    pub(crate) fn now(&self) -> Mono {
        let now = self.clock.now();
        self.recent.set(now);
        now
    }

    /// The last reading of the clock: exact enough for deadlines, which are checked once per sweep, and free.
    pub(crate) fn recent(&self) -> Mono {
        self.recent.get()
    }

    /// The wall clock, at most one sweep old.
    pub(crate) fn recent_wall(&self) -> Wall {
        self.recent_wall.get()
    }

    /// Reads both clocks.
    pub(crate) fn tick(&self) -> Mono {
        self.recent_wall.set(self.clock.wall());
        let now = self.now();
        self.wall_read.set(now);
        now
    }

    /// The wall clock at a reading of the monotonic clock: free, and exact to the microsecond unless the wall clock was set
    /// within the last sweep.
    pub(crate) fn wall_at(&self, at: Mono) -> Wall {
        let (read, wall) = (self.wall_read.get(), self.recent_wall.get());
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(0);
        Wall(wall.0 + micros(at.since(read)) - micros(read.since(at)))
    }

    /// The snapshot by which to decide now.
    pub(crate) fn snapshot(&self) -> Current {
        Rc::clone(&self.snapshot.borrow())
    }

    /// Decides by this snapshot from now on.
    pub(crate) fn adopt(&self, snapshot: Arc<Snapshot>, tls: Arc<Listeners>) {
        self.state.borrow_mut().forget(&snapshot);
        self.pools.borrow_mut().forget(&snapshot);
        self.links.borrow_mut().forget(&snapshot);
        self.target_tls.borrow_mut().forget(&snapshot);
        *self.tls.borrow_mut() = tls;
        self.sweep.close_idle(Some(&snapshot));
        *self.snapshot.borrow_mut() = Rc::new(snapshot);
    }

    /// Logs that descriptors or memory are short.
    pub(crate) fn tell_of_shortage(&self, error: &io::Error) {
        let now = self.now();
        if self.told.get().is_none_or(|told| now.since(told) >= TELLING) {
            self.told.set(Some(now));
            tracing::warn!(%error, "cannot accept or open connections");
        }
    }

    /// The current date as a header line, for answers whose target gave none (RFC 9110, section 6.6.1).
    pub(crate) fn date_line(&self) -> (&'static str, String) {
        let mut date = Vec::with_capacity(32);
        self.write_date(&mut date);
        ("Date", String::from_utf8(date).unwrap_or_default())
    }

    /// Appends the current date in HTTP's format; it is formatted once a second.
    pub(crate) fn write_date(&self, out: &mut Vec<u8>) {
        let seconds = self.recent_wall().seconds();
        let mut date = self.date.borrow_mut();
        if date.0 != seconds {
            let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            *date = (seconds, httpdate::fmt_http_date(std::time::UNIX_EPOCH + since));
        }
        out.extend_from_slice(date.1.as_bytes());
    }
}
