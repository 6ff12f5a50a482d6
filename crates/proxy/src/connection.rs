//! What is known of a client's connection.

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
    /// The client's address: its peer's, or what a proxy that may say so says.
    pub(crate) peer: SocketAddr,
    /// That, and where the client connected to, for targets that are told of it. Their connections are for whoever holds this very
    /// value, and end when nobody does.
    pub(crate) ends: OnceCell<Rc<Ends>>,
    pub(crate) accepted: Mono,
    /// Its name in logs.
    pub(crate) id: ConnectionId,
    /// What its TLS handshake came to; none in plaintext.
    pub(crate) tls: Option<Rc<TlsFacts>>,
    /// It is one too many, let in only to be told so.
    pub(crate) spare: bool,
    /// A span was begun on it (kept only if spans are taken).
    pub(crate) spoke: Cell<bool>,
}

impl ClientConnection {
    /// The listener it came to, while that is there and speaks the protocol that the connection came by.
    pub(crate) fn listener<'p>(&self, snapshot: &'p Snapshot) -> Option<&'p Arc<ListenerView>> {
        self.listener_address.find(snapshot)
    }

    /// The same connection, as one to the load balancer with this name, if that is another one.
    pub(crate) fn to(&self, snapshot: &Snapshot, host: &[u8]) -> Option<ClientConnection> {
        let listener_address = self.listener_address.named(snapshot, host)?;
        Some(ClientConnection {
            listener_address,
            ..self.clone()
        })
    }

    /// Whose connection it is, as targets are told.
    pub(crate) fn ends(&self, snapshot: &Snapshot) -> &Rc<Ends> {
        // One that came before any target was to be told: its node's own address is the nearest that is known.
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

    /// How long a request's head may be.
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

/// What becomes of a connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It waits for another request.
    Idle,
    /// Nothing had come, though it looked so: it waits on, without buffers, for as long as it had.
    Nothing,
    /// It ends.
    Close,
}
