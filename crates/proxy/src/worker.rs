//! What the stages of one worker share. One thread, so no locks.

use crate::buffers::Desks;
use crate::clerk::Clerks;
use crate::clock::Clock;
use crate::connection::{Next, Visit};
use crate::descriptors::Descriptors;
use crate::h2::Links;
use crate::ledger::Ledger;
use crate::memory::Meter;
use crate::place::Current;
use crate::pool::Pools;
use crate::socket::Socket;
use crate::sweep::{Slot, Sweep};
use crate::tls::{Listeners, Secured, TargetConfigs};
use crate::wire::Wire;
use forebay_node::{Event, Mind, Picture};
use forebay_units::{Mono, Wall};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// A worker's things.
pub(crate) struct Worker {
    clock: Clock,
    /// The last readings of the clocks: at most a sweep old.
    recent: Cell<Mono>,
    recent_wall: Cell<Wall>,
    /// When the wall clock was last read.
    wall_read: Cell<Mono>,
    picture: RefCell<Current>,
    pub(crate) mind: RefCell<Mind>,
    pub(crate) pools: RefCell<Pools>,
    pub(crate) links: RefCell<Links>,
    /// How HTTPS listeners speak TLS, in step with the picture.
    pub(crate) tls: RefCell<Arc<Listeners>>,
    /// How targets are spoken to over TLS.
    pub(crate) target_tls: RefCell<TargetConfigs>,
    pub(crate) desks: RefCell<Desks>,
    /// Who serves requests of connections in clear, and of those over TLS.
    clerks: Rc<ClerksOf<Socket>>,
    secure_clerks: Rc<ClerksOf<Secured>>,
    pub(crate) sweep: Rc<Sweep>,
    /// Events for the slow path. Bounded: when it is full the event is dropped, and the next refusal tells it again.
    pub(crate) events: mpsc::Sender<Event>,
    /// Where lines about requests and connections are written.
    pub(crate) ledger: Ledger,
    /// No connection is kept open after its current request.
    pub(crate) leaving: Cell<bool>,
    /// How many connections are open, of all workers.
    pub(crate) descriptors: Arc<Descriptors>,
    date: RefCell<(i64, String)>,
    /// Tells of each sweep.
    pub(crate) swept: Notify,
    /// When a shortage was last told.
    told: Cell<Option<Mono>>,
}

/// Whose requests a clerk serves.
pub(crate) struct Guest<W> {
    pub(crate) worker: Rc<Worker>,
    pub(crate) stream: W,
    pub(crate) visit: Rc<Visit>,
    pub(crate) slot: Rc<Slot>,
}

/// Clerks for connections of one kind: a guest leaves with its stream, and what becomes of that.
pub(crate) type ClerksOf<W> = Clerks<Guest<W>, (W, Next)>;

/// A connection whose requests clerks serve.
pub(crate) trait Attended: Wire + Sized + 'static {
    /// The worker's free clerks for its kind.
    fn clerks(worker: &Worker) -> &Rc<ClerksOf<Self>>;
}

impl Attended for Socket {
    fn clerks(worker: &Worker) -> &Rc<ClerksOf<Socket>> {
        &worker.clerks
    }
}

impl Attended for Secured {
    fn clerks(worker: &Worker) -> &Rc<ClerksOf<Secured>> {
        &worker.secure_clerks
    }
}

/// A shortage is told at most this often: it comes with each connection while it lasts.
const TELLING: Duration = Duration::from_secs(5);

impl Worker {
    pub(crate) fn new(
        clock: Clock,
        mind: Mind,
        events: mpsc::Sender<Event>,
        ledger: Ledger,
        descriptors: Arc<Descriptors>,
        meter: Meter,
    ) -> Worker {
        Worker {
            clock,
            recent: Cell::new(clock.now()),
            recent_wall: Cell::new(clock.wall()),
            wall_read: Cell::new(clock.now()),
            picture: RefCell::default(),
            mind: RefCell::new(mind),
            pools: RefCell::default(),
            links: RefCell::default(),
            tls: RefCell::default(),
            target_tls: RefCell::default(),
            desks: RefCell::new(Desks::new(Rc::new(meter))),
            clerks: Rc::default(),
            secure_clerks: Rc::default(),
            sweep: Rc::default(),
            events,
            ledger,
            descriptors,
            leaving: Cell::new(false),
            date: RefCell::new((-1, String::new())),
            swept: Notify::new(),
            told: Cell::new(None),
        }
    }

    /// Reads the clock.
    pub(crate) fn now(&self) -> Mono {
        let now = self.clock.now();
        self.recent.set(now);
        now
    }

    /// The clock's last reading: good for deadlines, which are kept to within a sweep anyway, and free.
    pub(crate) fn recent(&self) -> Mono {
        self.recent.get()
    }

    /// The wall clock, at most a sweep old.
    pub(crate) fn recent_wall(&self) -> Wall {
        self.recent_wall.get()
    }

    /// Reads both clocks anew.
    pub(crate) fn tick(&self) -> Mono {
        self.recent_wall.set(self.clock.wall());
        let now = self.now();
        self.wall_read.set(now);
        now
    }

    /// The wall clock at a reading of the other one: free, and right to the microsecond unless the wall clock was set
    /// within the last sweep.
    pub(crate) fn wall_at(&self, at: Mono) -> Wall {
        let (read, wall) = (self.wall_read.get(), self.recent_wall.get());
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(0);
        Wall(wall.0 + micros(at.since(read)) - micros(read.since(at)))
    }

    /// What to decide by now.
    pub(crate) fn picture(&self) -> Current {
        Rc::clone(&self.picture.borrow())
    }

    /// Decides by this picture from now on.
    pub(crate) fn adopt(&self, picture: Arc<Picture>, tls: Arc<Listeners>) {
        self.mind.borrow_mut().forget(&picture);
        self.pools.borrow_mut().forget(&picture);
        self.links.borrow_mut().forget(&picture);
        self.target_tls.borrow_mut().forget(&picture);
        *self.tls.borrow_mut() = tls;
        self.sweep.close_idle(Some(&picture));
        *self.picture.borrow_mut() = Rc::new(picture);
    }

    /// Says in the log that descriptors or memory are short.
    pub(crate) fn tell_of_shortage(&self, error: &io::Error) {
        let now = self.now();
        if self.told.get().is_none_or(|told| now.since(told) >= TELLING) {
            self.told.set(Some(now));
            tracing::warn!(%error, "connections cannot be taken or made");
        }
    }

    /// The current date as a header line, for answers whose target said none (RFC 9110 section 6.6.1).
    pub(crate) fn date_line(&self) -> (&'static str, String) {
        let mut date = Vec::with_capacity(32);
        self.write_date(&mut date);
        ("Date", String::from_utf8(date).unwrap_or_default())
    }

    /// Appends the current date as HTTP writes it; formatted once a second.
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
