//! Which listener and zone a socket serves, and the picture in which both are looked up.

use forebay_model::Protocol;
use forebay_node::{ListenerId, ListenerView, Picture, ZoneId};
use std::rc::Rc;
use std::sync::Arc;

/// The picture in force. Requests count references to it here, on their own thread: the count behind the `Arc` is
/// shared by all workers, and would travel between their cores with each request.
pub(crate) type Current = Rc<Arc<Picture>>;

/// Whose connections a socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) listener: ListenerId,
    pub(crate) zone: ZoneId,
    pub(crate) port: u16,
    /// Connections are secured.
    pub(crate) secure: bool,
    /// Other load balancers are reached here by their names.
    pub(crate) shared: bool,
    /// An agent's: whether a connection is secured, and speaks HTTP/2, shows with its first bytes.
    pub(crate) sniffs: bool,
}

impl Place {
    /// Whether its listener is there and speaks the protocol that connections came by.
    pub(crate) fn is_served(&self, picture: &Picture) -> bool {
        self.find(picture).is_some()
    }

    pub(crate) fn find<'p>(&self, picture: &'p Picture) -> Option<&'p Arc<ListenerView>> {
        picture
            .listener(self.listener)
            .filter(|listener| (listener.protocol == Protocol::Https) == self.secure)
    }

    /// The place of the load balancer with this name, if that is another one.
    pub(crate) fn named(&self, picture: &Picture, host: &[u8]) -> Option<Place> {
        let named = self.find(picture)?.named(host)?;
        let place = Place {
            listener: named.listener,
            zone: named.zone,
            shared: false,
            ..*self
        };
        place.is_served(picture).then_some(place)
    }
}
