//! What is known about a request once its head was read.

use crate::framing::Framing;
use crate::head::RequestHead;
use forebay_node::Speaks;

/// A request's properties, besides its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming {
    pub(crate) head: RequestHead,
    pub(crate) framing: Framing,
    /// The client wants the connection kept.
    pub(crate) keep: bool,
    /// Its framing was given in two ways: others may read it differently, so both its connections end with it.
    pub(crate) doubtful: bool,
    /// The client waits for a 100 before it sends its body.
    pub(crate) expects: bool,
    /// The method is HEAD, so answers have no body.
    pub(crate) to_head: bool,
    /// The protocol that its client speaks.
    pub(crate) speaks: Speaks,
    /// The client asks for a WebSocket.
    pub(crate) upgrade: bool,
}
