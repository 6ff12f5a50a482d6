//! Whether a client's connection is kept, and for how long.

use crate::connection::Visit;
use crate::request::Incoming;
use crate::worker::Worker;
use forebay_node::ListenerView;
use forebay_units::Mono;
use std::time::Duration;

/// Until when a connection may idle; none if its listener is gone or speaks another protocol now.
pub(crate) fn idle_deadline(worker: &Worker, visit: &Visit) -> Option<Mono> {
    let picture = worker.picture();
    let settings = &visit.listener(&picture)?.balancer.settings;
    if visit.spare {
        return Some(visit.accepted + SPARE_TIME);
    }
    Some(
        (worker.recent() + settings.idle_timeout)
            .min(visit.accepted + settings.client_keep_alive + settings.idle_timeout),
    )
}

/// How long a connection may stay that is one too many.
const SPARE_TIME: Duration = Duration::from_secs(2);

/// Whether the connection may carry another request.
pub(crate) fn keeps(worker: &Worker, visit: &Visit, listener: &ListenerView, incoming: &Incoming) -> bool {
    let age = worker.recent().since(visit.accepted);
    incoming.keep
        && !visit.spare
        && age < listener.balancer.settings.client_keep_alive
        && !worker.leaving.get()
}

/// The same after a wait, as things are then: who is told that a connection stays must not see it closed.
pub(crate) fn still_keeps(worker: &Worker, visit: &Visit, incoming: &Incoming) -> bool {
    let picture = worker.picture();
    let listener = visit.listener(&picture);
    listener.is_some_and(|listener| keeps(worker, visit, listener, incoming))
}
