//! Requests that wait for a slot, and which of their tickets were woken, in order.

use forebay_node::Ticket;
use forebay_units::lock::lock;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

/// Numbers of waits that are over.
#[derive(Debug, Default)]
struct Calls(Mutex<VecDeque<u64>>);

struct Bell {
    wait: u64,
    calls: Arc<Calls>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let mut calls = lock(&self.calls.0);
        calls.push_back(self.wait);
    }
}

/// All waiting requests, by numbers that are never reused.
pub(crate) struct Waits<T> {
    calls: Arc<Calls>,
    next: u64,
    trips: BTreeMap<u64, T>,
}

impl<T> Default for Waits<T> {
    fn default() -> Self {
        Waits {
            calls: Arc::default(),
            next: 0,
            trips: BTreeMap::new(),
        }
    }
}

impl<T> Waits<T> {
    /// Stores a trip until its ticket is ready. Returns the wait's number.
    pub(crate) fn keep(&mut self, trip: T, ticket: &Ticket) -> u64 {
        self.next += 1;
        self.trips.insert(self.next, trip);
        let waker = Waker::from(Arc::new(Bell {
            wait: self.next,
            calls: Arc::clone(&self.calls),
        }));
        if ticket.poll(&Context::from_waker(&waker)).is_ready() {
            waker.wake();
        }
        self.next
    }

    /// The trip of a wait that is over.
    pub(crate) fn called(&mut self) -> Option<T> {
        loop {
            let calls = &self.calls.0;
            let wait = {
                let mut calls = lock(calls);
                calls.pop_front()?
            };
            if let Some(trip) = self.trips.remove(&wait) {
                return Some(trip);
            }
        }
    }

    /// The trip of this wait, if it is not over yet.
    pub(crate) fn take(&mut self, wait: u64) -> Option<T> {
        self.trips.remove(&wait)
    }
}
