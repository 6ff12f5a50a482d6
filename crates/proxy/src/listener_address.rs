//! The listener and zone that a socket serves, and the snapshot in which both are looked up.

use forebay_model::Protocol;
use forebay_node::{ListenerId, ListenerView, Snapshot, ZoneId};
use std::rc::Rc;
use std::sync::Arc;

/// The snapshot in force. Requests count references to it here, on their own thread: the counter behind the `Arc` is shared
/// by all workers, and its cache line would move between their cores with each request.
pub(crate) type Current = Rc<Arc<Snapshot>>;

/// The listener and zone whose connections a socket accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenerAddress {
    pub(crate) listener: ListenerId,
    pub(crate) zone: ZoneId,
    pub(crate) port: u16,
    /// Connections use TLS.
    pub(crate) secure: bool,
    /// Other load balancers are reached here by their names.
    pub(crate) shared: bool,
    /// It is an agent's: whether a connection uses TLS or HTTP/2 shows in its first bytes.
    pub(crate) sniffs: bool,
    /// Connections from some peers begin with a PROXY header.
    pub(crate) proxied: bool,
    /// Some targets are told, in a PROXY header, who the client is and where it connected to.
    pub(crate) tells_clients: bool,
}

impl ListenerAddress {
    /// Whether its listener exists and speaks the protocol of its connections.
    pub(crate) fn is_served(&self, snapshot: &Snapshot) -> bool {
        self.find(snapshot).is_some()
    }

    pub(crate) fn find<'p>(&self, snapshot: &'p Snapshot) -> Option<&'p Arc<ListenerView>> {
        snapshot
            .listener(self.listener)
            .filter(|listener| (listener.blueprint.protocol == Protocol::Https) == self.secure)
    }

    /// The same address for the load balancer with this name, if that is another one.
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
