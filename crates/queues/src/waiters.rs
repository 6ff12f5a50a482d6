//! Receives that wait for a message, in order of arrival.

use crate::message::{Delivered, Departed};
use crate::settings::{QueueId, limits};
use crate::verdicts::Empty;
use core::time::Duration;
use forebay_units::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Identifies a waiting receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A receive that waited, with its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served<B> {
    /// The receive.
    pub ticket: Ticket,
    /// Its messages, in order; empty if its time was over.
    pub messages: Vec<Delivered<B>>,
    /// Why there are none.
    pub empty: Option<Empty>,
}

/// The receives that wait no longer, and the messages that were moved on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Woken<B> {
    /// Receives that waited, in order.
    pub served: Vec<Served<B>>,
    /// Messages that were received too often, with their dead-letter queue.
    pub dead: Vec<(QueueId, Departed<B>)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Waiter {
    pub(crate) most: usize,
    pub(crate) visibility: Option<Duration>,
    pub(crate) attempt: Option<Arc<str>>,
    until: Wall,
}

/// All receives that wait at one queue: 100 bytes each.
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

    /// Removes and returns a receive whose time is over.
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
