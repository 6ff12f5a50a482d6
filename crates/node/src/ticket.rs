//! A waiting request's hold on its verdict.

use crate::load::Counted;
use crate::lock::lock;
use crate::sync::Mutex;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use forebay_admission::permits::WorkId;
use forebay_admission::{Place, Refusal};

/// The outcome of a wait: a slot with its permit, or a refusal.
pub(crate) type Released = Result<(Counted, Option<WorkId>), Refusal>;

/// Where a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// In its gate's queue.
    Queued(Place),
    /// In another process, which knows the request by this number.
    Remote(u64),
}

/// A waiting request's hold on its verdict. Poll it until it is ready.
#[derive(Debug, Default)]
pub struct Ticket(Mutex<Waits>);

#[derive(Debug, Default)]
struct Waits {
    waker: Option<Waker>,
    over: Option<(Duration, Released)>,
    taken: bool,
    /// Written and read while the gate's lock is held.
    position: Option<Position>,
}

impl Ticket {
    /// Ready once the wait is over.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut waits = lock(&self.0);
        if waits.over.is_some() || waits.taken {
            return Poll::Ready(());
        }
        match &mut waits.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    pub(crate) fn deliver(&self, waited: Duration, outcome: Released) -> Option<Waker> {
        let mut waits = lock(&self.0);
        waits.over = Some((waited, outcome));
        waits.waker.take()
    }

    pub(crate) fn take(&self) -> Option<(Duration, Released)> {
        let mut waits = lock(&self.0);
        let over = waits.over.take();
        waits.taken |= over.is_some();
        over
    }

    pub(crate) fn stand(&self, position: Position) {
        lock(&self.0).position = Some(position);
    }

    pub(crate) fn position(&self) -> Option<Position> {
        lock(&self.0).position
    }
}
