//! A thread's log writer, and which lines are wanted at all.

use forebay_model::BalancerSettings;
use forebay_node::Sampling;
use forebay_node::logging::{Always, LogWriter, Logger};
use std::cell::RefCell;

/// A thread's log writer, if there is a log.
#[derive(Default)]
pub(crate) struct WorkerLog {
    log_writer: Option<RefCell<Box<dyn LogWriter>>>,
    always: Always,
    /// The requests whose spans are taken, if any.
    pub(crate) sampling: Option<Sampling>,
}

impl WorkerLog {
    pub(crate) fn new(logger: Option<&dyn Logger>) -> WorkerLog {
        WorkerLog {
            log_writer: logger.map(|logger| RefCell::new(logger.log_writer())),
            always: logger.map(Logger::always).unwrap_or_default(),
            sampling: logger.and_then(Logger::sampling),
        }
    }

    /// Whether a line per request of this load balancer is wanted.
    pub(crate) fn wants_access(&self, settings: &BalancerSettings) -> bool {
        self.log_writer.is_some() && self.always.wants_access(settings)
    }

    /// Whether a line per connection of this load balancer is wanted.
    pub(crate) fn wants_connection(&self, settings: &BalancerSettings) -> bool {
        self.log_writer.is_some() && self.always.wants_connection(settings)
    }

    /// Whether a line per probe is wanted even if no load balancer keeps such a log.
    pub(crate) fn wants_probes(&self) -> bool {
        self.always.health
    }

    /// Writes something, if there is a log.
    pub(crate) fn write(&self, write: impl FnOnce(&mut dyn LogWriter)) {
        if let Some(log_writer) = &self.log_writer {
            write(&mut **log_writer.borrow_mut());
        }
    }

    /// Passes on what was written.
    pub(crate) fn flush(&self) {
        self.write(|log_writer| log_writer.flush());
    }
}
