//! A thread's way to the logs: its pen, and which lines are wanted at all.

use forebay_model::BalancerSettings;
use forebay_node::Sampling;
use forebay_node::journal::{Always, Journal, Pen};
use std::cell::RefCell;

/// A thread's pen, if anybody reads.
#[derive(Default)]
pub(crate) struct Ledger {
    pen: Option<RefCell<Box<dyn Pen>>>,
    always: Always,
    /// Which requests' spans are taken, if any.
    pub(crate) sampling: Option<Sampling>,
}

impl Ledger {
    pub(crate) fn new(journal: Option<&dyn Journal>) -> Ledger {
        Ledger {
            pen: journal.map(|journal| RefCell::new(journal.pen())),
            always: journal.map(Journal::always).unwrap_or_default(),
            sampling: journal.and_then(Journal::sampling),
        }
    }

    /// Whether a line per request of this load balancer is wanted.
    pub(crate) fn wants_access(&self, settings: &BalancerSettings) -> bool {
        self.pen.is_some() && self.always.wants_access(settings)
    }

    /// Whether a line per connection of this load balancer is wanted.
    pub(crate) fn wants_connection(&self, settings: &BalancerSettings) -> bool {
        self.pen.is_some() && self.always.wants_connection(settings)
    }

    /// Whether a line per probe is wanted even if no load balancer keeps such a log.
    pub(crate) fn wants_probes(&self) -> bool {
        self.always.health
    }

    /// Writes something.
    pub(crate) fn write(&self, write: impl FnOnce(&mut dyn Pen)) {
        if let Some(pen) = &self.pen {
            write(&mut **pen.borrow_mut());
        }
    }

    /// Hands on what was written.
    pub(crate) fn flush(&self) {
        self.write(|pen| pen.flush());
    }
}
