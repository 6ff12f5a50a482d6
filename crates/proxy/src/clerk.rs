//! Clerks serve the requests of one connection after another. What that takes, some kilobytes, is kept by the worker: idle
//! connections hold none of it, and active ones do not pay an allocator for each request.

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

/// Free clerks that a worker keeps for each kind of connection.
const KEPT: usize = 64;

/// A worker's free clerks for connections of one kind.
pub(crate) struct Clerks<W>(RefCell<Vec<Clerk<W>>>);

impl<W> Default for Clerks<W> {
    fn default() -> Clerks<W> {
        Clerks(RefCell::default())
    }
}

/// A connection whose requests clerks serve.
pub(crate) trait Attended: Wire + Sized + 'static {
    /// The worker's free clerks for its kind.
    fn clerks(worker: &Worker) -> &Clerks<Self>;
}

/// Whose requests are served.
pub(crate) struct Guest<W> {
    pub(crate) worker: Rc<Worker>,
    pub(crate) stream: W,
    pub(crate) visit: Rc<Visit>,
    pub(crate) slot: Rc<Slot>,
}

/// A future that serves guest after guest. Their own tasks poll it, so nobody has to be woken when one comes or goes.
struct Clerk<W> {
    counter: Rc<Counter<W>>,
    work: Pin<Box<dyn Future<Output = Infallible>>>,
}

/// Where a guest and its clerk meet.
struct Counter<W> {
    come: Cell<Option<Guest<W>>>,
    done: Cell<Option<(W, Next)>>,
}

impl<W: Attended> Clerk<W> {
    fn new() -> Clerk<W> {
        let counter = Rc::new(Counter {
            come: Cell::new(None),
            done: Cell::new(None),
        });
        Clerk {
            work: Box::pin(work(Rc::clone(&counter))),
            counter,
        }
    }
}

async fn work<W: Attended>(counter: Rc<Counter<W>>) -> Infallible {
    loop {
        let guest = poll_fn(|_| counter.come.take().map_or(Poll::Pending, Poll::Ready));
        let Guest {
            worker,
            mut stream,
            visit,
            slot,
        } = guest.await;
        let next = read::serve(&worker, &mut stream, &visit, &slot).await;
        counter.done.set(Some((stream, next)));
    }
}

/// Serves a guest's requests until its client pauses: ends with its stream, and what becomes of it. If it is dropped before, its
/// clerk goes with it.
pub(crate) fn serve<W: Attended>(guest: Guest<W>) -> Service<W> {
    let worker = Rc::clone(&guest.worker);
    let free = W::clerks(&worker).0.borrow_mut().pop();
    let clerk = free.unwrap_or_else(Clerk::new);
    clerk.counter.come.set(Some(guest));
    Service {
        clerk: Some(clerk),
        worker,
    }
}

/// See [`serve`].
pub(crate) struct Service<W> {
    /// None once it is over.
    clerk: Option<Clerk<W>>,
    worker: Rc<Worker>,
}

impl<W: Attended> Future for Service<W> {
    type Output = (W, Next);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<(W, Next)> {
        let service = self.get_mut();
        let Some(clerk) = &mut service.clerk else {
            return Poll::Pending;
        };
        let Poll::Pending = clerk.work.as_mut().poll(cx);
        let Some(done) = clerk.counter.done.take() else {
            return Poll::Pending;
        };
        if let Some(clerk) = service.clerk.take() {
            let mut free = W::clerks(&service.worker).0.borrow_mut();
            if free.len() < KEPT {
                free.push(clerk);
            }
        }
        Poll::Ready(done)
    }
}
