//! What is known about a client's connection.

use crate::head::Bounds;
use crate::listener_address::ListenerAddress;
use crate::proxy_protocol::Ends;
use crate::tls::TlsFacts;
use forebay_node::logging::ConnectionId;
use forebay_node::{ListenerView, Snapshot};
use forebay_units::Mono;
use std::cell::{Cell, OnceCell};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

/// One client connection.
#[derive(Clone, Debug)]
pub(crate) struct ClientConnection {
    pub(crate) listener_address: ListenerAddress,
    /// The client's address: the peer's, or the one in the PROXY header of a trusted proxy.
    pub(crate) peer: SocketAddr,
    /// The client's address and the address that it connected to, for targets that are told about clients. Their
    /// connections belong to the holders of this very value, and end when there are none.
    pub(crate) ends: OnceCell<Rc<Ends>>,
    pub(crate) accepted: Mono,
    /// Its name in logs.
    pub(crate) id: ConnectionId,
    /// The result of its TLS handshake; none in plaintext.
    pub(crate) tls: Option<Rc<TlsFacts>>,
    /// It is beyond the limit of connections, accepted only to be told so.
    pub(crate) spare: bool,
    /// A span was begun on it (kept only if spans are taken).
    pub(crate) spoke: Cell<bool>,
}

impl ClientConnection {
    /// The listener that it came to, while that exists and speaks the protocol of the connection.
    pub(crate) fn listener<'p>(&self, snapshot: &'p Snapshot) -> Option<&'p Arc<ListenerView>> {
        self.listener_address.find(snapshot)
    }

    /// The same connection as one to the load balancer with this name; none if it belongs to that already.
    pub(crate) fn to(&self, snapshot: &Snapshot, host: &[u8]) -> Option<ClientConnection> {
        let listener_address = self.listener_address.named(snapshot, host)?;
        Some(ClientConnection {
            listener_address,
            ..self.clone()
        })
    }

    /// The client's address and the one that it connected to, as targets are told.
    pub(crate) fn ends(&self, snapshot: &Snapshot) -> &Rc<Ends> {
        // It was accepted before any target was to be told: the address of its node is the nearest that is known.
        self.ends.get_or_init(|| {
            let own = self.listener(snapshot).and_then(|listener| {
                let mut nodes = listener.nodes.iter();
                nodes.find(|node| node.zone == self.listener_address.zone && !node.exposed)
            });
            let reached = own.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |node| node.address);
            Rc::new(Ends {
                client: self.peer,
                reached: SocketAddr::new(reached, self.listener_address.port),
            })
        })
    }

    /// The limits on a request's head.
    pub(crate) fn bounds(&self) -> &'static Bounds {
        if self.listener_address.sniffs {
            &Bounds::NODE
        } else {
            &Bounds::CLIENT
        }
    }

    /// `http` or `https`: how it came, whatever its listener has become since.
    pub(crate) fn protocol(&self) -> &'static str {
        if self.listener_address.secure {
            "https"
        } else {
            "http"
        }
    }
}

/// What happens to a connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It waits for another request.
    Idle,
    /// Nothing had come after all: it waits on without buffers, until its old deadline.
    Nothing,
    /// It ends.
    Close,
}
