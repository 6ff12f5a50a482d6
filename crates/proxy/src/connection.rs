//! What is known of a client's connection.

use crate::head::Bounds;
use crate::place::Place;
use crate::tls::TlsFacts;
use forebay_node::journal::ConnectionId;
use forebay_node::{ListenerView, Picture};
use forebay_units::Mono;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// One client connection.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) place: Place,
    pub(crate) peer: SocketAddr,
    pub(crate) accepted: Mono,
    /// Its name in logs.
    pub(crate) id: ConnectionId,
    /// What its TLS handshake came to; none in clear.
    pub(crate) tls: Option<Rc<TlsFacts>>,
    /// It is one too many, let in only to be told so.
    pub(crate) spare: bool,
    /// A span was begun on it (kept only if spans are taken).
    pub(crate) spoke: Cell<bool>,
}

impl Visit {
    /// The listener it came to, while that is there and speaks the protocol that the connection came by.
    pub(crate) fn listener<'p>(&self, picture: &'p Picture) -> Option<&'p Arc<ListenerView>> {
        self.place.find(picture)
    }

    /// The same visit, paid to the load balancer with this name, if that is another one.
    pub(crate) fn to(&self, picture: &Picture, host: &[u8]) -> Option<Visit> {
        let place = self.place.named(picture, host)?;
        Some(Visit {
            place,
            ..self.clone()
        })
    }

    /// How long a request's head may be.
    pub(crate) fn bounds(&self) -> &'static Bounds {
        if self.place.sniffs {
            &Bounds::NODE
        } else {
            &Bounds::CLIENT
        }
    }

    /// `http` or `https`: how it came, whatever its listener has become since.
    pub(crate) fn protocol(&self) -> &'static str {
        if self.place.secure { "https" } else { "http" }
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
