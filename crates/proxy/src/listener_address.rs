//! Which listener and zone a socket serves, and the snapshot in which both are looked up.

use forebay_model::Protocol;
use forebay_node::{ListenerId, ListenerView, Snapshot, ZoneId};
use std::rc::Rc;
use std::sync::Arc;

/// The snapshot in force. Requests count references to it here, on their own thread: the count behind the `Arc` is
/// shared by all workers, and would travel between their cores with each request.
pub(crate) type Current = Rc<Arc<Snapshot>>;

/// Whose connections a socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenerAddress {
    pub(crate) listener: ListenerId,
    pub(crate) zone: ZoneId,
    pub(crate) port: u16,
    /// Connections are secured.
    pub(crate) secure: bool,
    /// Other load balancers are reached here by their names.
    pub(crate) shared: bool,
    /// An agent's: whether a connection is secured, and speaks HTTP/2, shows with its first bytes.
    pub(crate) sniffs: bool,
    /// Connections of some peers begin with whose they are.
    pub(crate) proxied: bool,
    /// Some targets are told whose connections they get, and where those came to.
    pub(crate) tells_clients: bool,
}

impl ListenerAddress {
    /// Whether its listener is there and speaks the protocol that connections came by.
    pub(crate) fn is_served(&self, snapshot: &Snapshot) -> bool {
        self.find(snapshot).is_some()
    }

    pub(crate) fn find<'p>(&self, snapshot: &'p Snapshot) -> Option<&'p Arc<ListenerView>> {
        snapshot
            .listener(self.listener)
            .filter(|listener| (listener.blueprint.protocol == Protocol::Https) == self.secure)
    }

    /// The place of the load balancer with this name, if that is another one.
    pub(crate) fn named(&self, snapshot: &Snapshot, host: &[u8]) -> Option<ListenerAddress> {
        let named = self.find(snapshot)?.named(host)?;
        if named.listener == self.listener {
            return None;
        }
        let listener_address = ListenerAddress {
            listener: named.listener,
            zone: named.zone,
            shared: false,
            ..*self
        };
        listener_address.is_served(snapshot).then_some(listener_address)
    }
}
