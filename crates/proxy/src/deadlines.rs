//! The deadlines of a worker's connections. Arming one is a store, not a timer: a sweep every quarter of a second finds the
//! late ones, so deadlines are exact to within that time. A sweep costs a few nanoseconds per connection.

use crate::listener_address::ListenerAddress;
use forebay_node::{Snapshot, TargetStats};
use forebay_units::Mono;
use pin_project_lite::pin_project;
use slab::Slab;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Time between two sweeps.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_millis(250);

/// Why a wait was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its deadline passed.
    Late,
    /// Its target's deregistration delay is over.
    Cut,
    /// The listener is gone (idle connections only), or the process is about to end (tunnels only).
    Closing,
}

#[derive(Debug)]
struct Entry {
    until: Mono,
    ended: Option<Ended>,
    waker: Option<Waker>,
    listener_address: ListenerAddress,
    idle: bool,
    /// It carries a protocol in which the peer can be told about the end.
    tunnel: bool,
    /// A sweep has passed since it was armed.
    looked: bool,
    target: Option<Arc<TargetStats>>,
}

/// All connections of a worker.
#[derive(Debug, Default)]
pub(crate) struct DeadlineTable {
    entries: RefCell<Slab<Entry>>,
}

impl DeadlineTable {
    pub(crate) fn deadline(self: &Rc<Self>, listener_address: ListenerAddress) -> Deadline {
        let entry = Entry {
            until: Mono::NEVER,
            ended: None,
            waker: None,
            listener_address,
            idle: true,
            tunnel: false,
            looked: false,
            target: None,
        };
        let key = self.entries.borrow_mut().insert(entry);
        Deadline {
            sweep: Rc::clone(self),
            key: u32::try_from(key).unwrap_or(u32::MAX),
        }
    }

    /// Ends every wait that is late or cut.
    pub(crate) fn sweep(&self, now: Mono) {
        for (_, entry) in self.entries.borrow_mut().iter_mut() {
            if entry.until <= now {
                entry.end(Ended::Late);
            } else if entry
                .target
                .as_ref()
                .is_some_and(|target| target.cut.load(Relaxed))
            {
                entry.end(Ended::Cut);
            } else if !entry.idle && !entry.looked {
                // One wake-up per wait: the future now checks what it skips during short waits, such as whether its client
                // left.
                entry.looked = true;
                if let Some(waker) = &entry.waker {
                    waker.wake_by_ref();
                }
            }
        }
    }

    /// Wakes every connection, so that each checks its state once.
    pub(crate) fn wake_all(&self) {
        for (_, entry) in self.entries.borrow().iter() {
            if let Some(waker) = &entry.waker {
                waker.wake_by_ref();
            }
        }
    }

    /// Ends the waits of idle connections whose listener is gone or speaks another protocol now; of all idle ones without a
    /// snapshot.
    pub(crate) fn close_idle(&self, snapshot: Option<&Snapshot>) {
        for (_, entry) in self.entries.borrow_mut().iter_mut() {
            if entry.idle && snapshot.is_none_or(|snapshot| !entry.listener_address.is_served(snapshot)) {
                entry.end(Ended::Closing);
            }
        }
    }

    /// Ends the waits of all tunnels; returns whether there are any.
    pub(crate) fn end_tunnels(&self) -> bool {
        let mut any = false;
        for (_, entry) in self.entries.borrow_mut().iter_mut() {
            if entry.tunnel {
                entry.end(Ended::Closing);
                any = true;
            }
        }
        any
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }
}

impl Entry {
    fn end(&mut self, ended: Ended) {
        if self.ended.is_none() {
            self.ended = Some(ended);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }
}

/// One connection's deadline.
#[derive(Debug)]
pub(crate) struct Deadline {
    sweep: Rc<DeadlineTable>,
    key: u32,
}

impl Deadline {
    fn with<T>(&self, act: impl FnOnce(&mut Entry) -> T) -> T {
        act(&mut self.sweep.entries.borrow_mut()[self.key as usize])
    }

    /// Sets the deadline and forgets that an earlier one passed. A cut is not forgotten while its target is watched, nor the
    /// end of a tunnel before its peers were told: bytes that never pause arm their deadline again and again, and would
    /// otherwise outlive the deregistration delay, or be cut off untold.
    pub(crate) fn arm(&self, until: Mono, idle: bool) {
        self.with(|entry| {
            entry.until = until;
            entry.idle = idle;
            entry.looked = false;
            let stays = match entry.ended {
                Some(Ended::Cut) => entry.target.is_some(),
                Some(Ended::Closing) => entry.tunnel,
                Some(Ended::Late) | None => false,
            };
            if !stays {
                entry.ended = None;
            }
        });
    }

    /// Marks the connection as carrying a tunnel, whose peers can be told about the end.
    pub(crate) fn carries_tunnel(&self) {
        self.with(|entry| entry.tunnel = true);
    }

    /// The peers of the tunnel are being told about the end: it is not ended a second time.
    pub(crate) fn ends_tunnel(&self) {
        self.with(|entry| entry.tunnel = false);
    }

    /// Sets the target whose cut also ends this wait.
    pub(crate) fn watch(&self, target: Option<Arc<TargetStats>>) {
        self.with(|entry| {
            entry.target = target;
            entry.ended = entry.ended.filter(|&ended| ended != Ended::Cut);
        });
    }

    /// Whether a sweep has passed since the deadline was armed. Checks that are too costly for every short wait can be left
    /// until then: the sweep polls the waiting future once.
    pub(crate) fn waits_long(&self) -> bool {
        self.with(|entry| entry.looked)
    }

    /// Waits for `future`, but not past the deadline.
    pub(crate) fn until<F: Future>(&self, future: F) -> Until<'_, F> {
        Until {
            deadline: self,
            future,
        }
    }

    /// Why the wait was ended. Until it is, the task of `cx` is registered to be woken.
    fn poll_ended(&self, cx: &Context<'_>) -> Poll<Ended> {
        self.with(|entry| match entry.ended {
            Some(ended) => Poll::Ready(ended),
            None => {
                match &mut entry.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        })
    }
}

pin_project! {
    /// A wait with a deadline. Written by hand, because an `async fn` would store the future twice and copy it.
    pub(crate) struct Until<'a, F> {
        deadline: &'a Deadline,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Until<'_, F> {
    type Output = Result<F::Output, Ended>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // The future comes first: a result that is there must not be lost to a sweep.
        match this.future.poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => this.deadline.poll_ended(cx).map(Err),
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.sweep.entries.borrow_mut().try_remove(self.key as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_node::{ListenerId, ZoneId};

    #[test]
    fn a_tunnel_with_bytes_on_their_way_is_still_told_of_its_end() {
        let table = Rc::new(DeadlineTable::default());
        let address = ListenerAddress {
            listener: ListenerId(0),
            zone: ZoneId(0),
            port: 80,
            secure: false,
            shared: false,
            sniffs: false,
            proxied: false,
            tells_clients: false,
        };
        let deadline = table.deadline(address);
        deadline.carries_tunnel();
        let ended = |deadline: &Deadline| deadline.poll_ended(&Context::from_waker(Waker::noop()));
        assert!(table.end_tunnels());
        // A message came between the sweep and the task's turn.
        deadline.arm(Mono::NEVER, false);
        assert_eq!(ended(&deadline), Poll::Ready(Ended::Closing));
        deadline.ends_tunnel();
        deadline.arm(Mono::NEVER, false);
        assert_eq!(ended(&deadline), Poll::Pending, "told once");
        assert!(!table.end_tunnels());
    }
}
