//! What the stages of a request's way are given, as one value.

use crate::buffers::RequestBuffers;
use crate::connection::ClientConnection;
use crate::deadlines::Deadline;
use crate::request::Incoming;
use crate::worker::Worker;
use forebay_node::{Exchange, ListenerView};
use std::rc::Rc;
use std::time::Duration;

/// A client's connection, or its stream of HTTP/2, while its requests are served. `W` is what their bytes come by.
pub(crate) struct Session<'a, W> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) client: &'a mut W,
    pub(crate) connection: &'a ClientConnection,
    /// Its deadline.
    pub(crate) deadline: &'a Deadline,
    pub(crate) buffers: &'a mut RequestBuffers,
}

impl<W> Session<'_, W> {
    /// The same, lent for a while.
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

/// One request, from the moment its exchange begins. Stages borrow it: a future that was given its parts would hold each twice.
pub(crate) struct RequestContext<'a, W> {
    pub(crate) session: Session<'a, W>,
    pub(crate) incoming: &'a Incoming,
    /// As it was when the request came.
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
