//! Where a connection's requests are served. What that takes, some kilobytes, is kept by the worker and lent to whoever has
//! requests: idle connections hold none of it, and active ones do not pay an allocator for each request.

use crate::accept::Visit;
use crate::read::{self, Next};
use crate::secure::Wire;
use crate::sweep::Slot;
use crate::worker::Worker;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Free places that a worker keeps for each kind of connection.
const KEPT: usize = 64;

/// A worker's free places for connections of one kind.
pub(crate) struct Rooms<W>(RefCell<Vec<Room<W>>>);

impl<W> Default for Rooms<W> {
    fn default() -> Rooms<W> {
        Rooms(RefCell::default())
    }
}

/// A connection whose requests are served in rooms.
pub(crate) trait Lodger: Wire + Sized + 'static {
    /// The worker's free rooms for its kind.
    fn rooms(worker: &Worker) -> &Rooms<Self>;
}

/// Who is served.
pub(crate) struct Guest<W> {
    pub(crate) worker: Rc<Worker>,
    pub(crate) stream: W,
    pub(crate) visit: Rc<Visit>,
    pub(crate) slot: Rc<Slot>,
    /// The client has not sent anything yet.
    pub(crate) first: bool,
}

/// One place: a task of its own that serves guest after guest, polled by whoever is its guest.
struct Room<W> {
    door: Rc<Door<W>>,
    service: Pin<Box<dyn Future<Output = Infallible>>>,
}

/// How guests come and go.
struct Door<W> {
    coming: Cell<Option<Guest<W>>>,
    leaving: Cell<Option<(W, Next)>>,
}

impl<W: Lodger> Room<W> {
    fn new() -> Room<W> {
        let door = Rc::new(Door {
            coming: Cell::new(None),
            leaving: Cell::new(None),
        });
        Room {
            service: Box::pin(service(Rc::clone(&door))),
            door,
        }
    }
}

async fn service<W: Lodger>(door: Rc<Door<W>>) -> Infallible {
    loop {
        // Nobody is woken by a guest that comes: the guest polls.
        let guest = poll_fn(|_| door.coming.take().map_or(Poll::Pending, Poll::Ready));
        let Guest {
            worker,
            mut stream,
            visit,
            slot,
            first,
        } = guest.await;
        let next = read::serve(&worker, &mut stream, &visit, &slot, first).await;
        door.leaving.set(Some((stream, next)));
    }
}

/// A guest's stay: ends with its stream, and what becomes of it. Dropped before, the room goes with it.
pub(crate) struct Stay<W>(Option<Room<W>>, Rc<Worker>);

/// Serves a guest's requests until its client pauses.
pub(crate) fn serve<W: Lodger>(guest: Guest<W>) -> Stay<W> {
    let worker = Rc::clone(&guest.worker);
    let free = W::rooms(&worker).0.borrow_mut().pop();
    let room = free.unwrap_or_else(Room::new);
    room.door.coming.set(Some(guest));
    Stay(Some(room), worker)
}

impl<W: Lodger> Future for Stay<W> {
    type Output = (W, Next);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<(W, Next)> {
        let Stay(held, worker) = self.get_mut();
        let Some(room) = held else {
            return Poll::Pending;
        };
        let Poll::Pending = room.service.as_mut().poll(cx);
        let Some(left) = room.door.leaving.take() else {
            return Poll::Pending;
        };
        if let Some(room) = held.take() {
            let mut free = W::rooms(worker).0.borrow_mut();
            if free.len() < KEPT {
                free.push(room);
            }
        }
        Poll::Ready(left)
    }
}
