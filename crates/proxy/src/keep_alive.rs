//! Decides whether a client's connection is kept, and for how long.

use crate::connection::ClientConnection;
use crate::request::Incoming;
use crate::session::Session;
use crate::worker::Worker;
use forebay_node::ListenerView;
use forebay_units::Mono;
use std::time::Duration;

/// When an idle connection is closed; none if its listener is gone or speaks another protocol now.
pub(crate) fn idle_deadline(worker: &Worker, connection: &ClientConnection) -> Option<Mono> {
    let snapshot = worker.snapshot();
    let settings = &connection.listener(&snapshot)?.balancer.settings();
    if connection.spare {
        return Some(connection.accepted + SPARE_TIME);
    }
    Some(
        (worker.recent() + settings.idle_timeout)
            .min(connection.accepted + settings.client_keep_alive + settings.idle_timeout),
    )
}

/// How long a spare connection, one beyond the limit, may stay.
const SPARE_TIME: Duration = Duration::from_secs(2);

impl<W> Session<'_, W> {
    /// Whether the connection may carry another request after this one.
    pub(crate) fn keeps(&self, listener: &ListenerView, incoming: &Incoming) -> bool {
        let age = self.worker.recent().since(self.connection.accepted);
        incoming.keep
            && !self.connection.spare
            && age < listener.balancer.settings().client_keep_alive
            && !self.worker.leaving.get()
    }

    /// Like [`Session::keeps`], but checked again after a wait, against the current snapshot: a client that was told its
    /// connection stays open must not find it closed.
    pub(crate) fn still_keeps(&self, incoming: &Incoming) -> bool {
        let snapshot = self.worker.snapshot();
        let listener = self.connection.listener(&snapshot);
        listener.is_some_and(|listener| self.keeps(listener, incoming))
    }
}
