//! Receives that wait for a message, first come first served.

use crate::message::{Delivered, Departed};
use crate::settings::{QueueId, limits};
use crate::verdicts::Empty;
use core::time::Duration;
use forebay_units::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A receive that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A receive that waited, and what it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served<B> {
    /// Which.
    pub ticket: Ticket,
    /// Messages, in order; none if its time was over.
    pub messages: Vec<Delivered<B>>,
    /// If there are none: why.
    pub empty: Option<Empty>,
}

/// Who waits no more, and what had to go meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Woken<B> {
    /// Receives that waited, in order.
    pub served: Vec<Served<B>>,
    /// Messages that were received too often, for the queue beside.
    pub dead: Vec<(QueueId, Departed<B>)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Waiter {
    pub(crate) most: usize,
    pub(crate) visibility: Option<Duration>,
    pub(crate) attempt: Option<Arc<str>>,
    until: Wall,
}

/// All that wait at one queue: 100 bytes each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiters {
    waiting: BTreeMap<Ticket, Waiter>,
    deadlines: BTreeSet<(Wall, Ticket)>,
    next: u64,
}

impl Waiters {
    pub(crate) fn join(
        &mut self,
        most: usize,
        visibility: Option<Duration>,
        attempt: Option<Arc<str>>,
        until: Wall,
    ) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.deadlines.insert((until, ticket));
        let waiter = Waiter {
            most: most.clamp(1, limits::BATCH_MAX),
            visibility,
            attempt,
            until,
        };
        self.waiting.insert(ticket, waiter);
        ticket
    }

    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.waiting.remove(&ticket)?;
        self.deadlines.remove(&(waiter.until, ticket));
        Some(waiter)
    }

    pub(crate) fn first(&self) -> Option<(Ticket, &Waiter)> {
        self.waiting
            .first_key_value()
            .map(|(&ticket, waiter)| (ticket, waiter))
    }

    /// One whose time is over, and has left.
    pub(crate) fn late(&mut self, now: Wall) -> Option<Ticket> {
        let &(until, ticket) = self.deadlines.first()?;
        (until <= now).then(|| self.leave(ticket))??;
        Some(ticket)
    }

    pub(crate) fn deadline(&self) -> Option<Wall> {
        self.deadlines.first().map(|deadline| deadline.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
