//! The values that the stages of a request work with, as one.

use crate::buffers::RequestBuffers;
use crate::connection::ClientConnection;
use crate::deadlines::Deadline;
use crate::request::Incoming;
use crate::worker::Worker;
use forebay_node::{Exchange, ListenerView};
use std::rc::Rc;
use std::time::Duration;

/// A client's connection, or its HTTP/2 stream, while its requests are served. `W` is the transport of their bytes.
pub(crate) struct Session<'a, W> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) client: &'a mut W,
    pub(crate) connection: &'a ClientConnection,
    /// Its deadline.
    pub(crate) deadline: &'a Deadline,
    pub(crate) buffers: &'a mut RequestBuffers,
}

impl<W> Session<'_, W> {
    /// A reborrow of the session.
    pub(crate) fn lend(&mut self) -> Session<'_, W> {
        Session {
            worker: self.worker,
            client: self.client,
            connection: self.connection,
            deadline: self.deadline,
            buffers: self.buffers,
        }
    }
}

/// One request, from the beginning of its exchange. Stages borrow it: a future that took its parts as arguments would store
/// each twice.
pub(crate) struct RequestContext<'a, W> {
    pub(crate) session: Session<'a, W>,
    pub(crate) incoming: &'a Incoming,
    /// The listener as it was when the request came.
    pub(crate) listener: &'a ListenerView,
    pub(crate) exchange: Exchange,
    /// The connection may carry another request, as far as is known.
    pub(crate) keep: bool,
}

impl<W> RequestContext<'_, W> {
    pub(crate) fn idle_timeout(&self) -> Duration {
        self.listener.balancer.settings().idle_timeout
    }
}
