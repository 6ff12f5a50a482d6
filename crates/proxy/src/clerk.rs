//! Clerks serve the requests of one connection after another. What that takes, some kilobytes, is kept by the worker: idle
//! connections hold none of it, and active ones do not pay an allocator for each request.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Free clerks that a worker keeps for each kind of connection.
const KEPT: usize = 64;

/// A worker's free clerks for guests of one kind; `D` is what becomes of each.
pub(crate) struct Clerks<G, D>(RefCell<Vec<Clerk<G, D>>>);

impl<G, D> Default for Clerks<G, D> {
    fn default() -> Clerks<G, D> {
        Clerks(RefCell::default())
    }
}

/// What a clerk does, guest after guest. The guests' own tasks poll it, so nobody has to be woken when one comes or goes.
pub(crate) type Work = Pin<Box<dyn Future<Output = Infallible>>>;

struct Clerk<G, D> {
    counter: Rc<Counter<G, D>>,
    work: Work,
}

/// Where a guest and its clerk meet.
pub(crate) struct Counter<G, D> {
    come: Cell<Option<G>>,
    done: Cell<Option<D>>,
}

impl<G, D> Counter<G, D> {
    /// The next guest, once it has come.
    pub(crate) async fn guest(&self) -> G {
        poll_fn(|_| self.come.take().map_or(Poll::Pending, Poll::Ready)).await
    }

    /// The guest was served.
    pub(crate) fn part(&self, done: D) {
        self.done.set(Some(done));
    }
}

/// Has a guest served by a free clerk, or by a new one that works so: ends with what became of it. If it is dropped before, its
/// clerk goes with it.
pub(crate) fn serve<G, D>(
    clerks: &Rc<Clerks<G, D>>,
    guest: G,
    work: impl FnOnce(Rc<Counter<G, D>>) -> Work,
) -> Service<G, D> {
    let free = clerks.0.borrow_mut().pop();
    let clerk = free.unwrap_or_else(|| {
        let counter = Rc::new(Counter {
            come: Cell::new(None),
            done: Cell::new(None),
        });
        Clerk {
            work: work(Rc::clone(&counter)),
            counter,
        }
    });
    clerk.counter.come.set(Some(guest));
    Service {
        clerk: Some(clerk),
        clerks: Rc::clone(clerks),
    }
}

/// See [`serve`].
pub(crate) struct Service<G, D> {
    /// None once it is over.
    clerk: Option<Clerk<G, D>>,
    clerks: Rc<Clerks<G, D>>,
}

impl<G, D> Future for Service<G, D> {
    type Output = D;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<D> {
        let service = self.get_mut();
        let Some(clerk) = &mut service.clerk else {
            return Poll::Pending;
        };
        let Poll::Pending = clerk.work.as_mut().poll(cx);
        let Some(done) = clerk.counter.done.take() else {
            return Poll::Pending;
        };
        if let Some(clerk) = service.clerk.take() {
            let mut free = service.clerks.0.borrow_mut();
            if free.len() < KEPT {
                free.push(clerk);
            }
        }
        Poll::Ready(done)
    }
}
