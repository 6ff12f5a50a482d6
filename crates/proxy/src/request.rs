//! What is known of a request once its head was read.

use crate::framing::Framing;
use crate::head::RequestHead;
use forebay_node::Speaks;

/// What a request is, besides its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming {
    pub(crate) head: RequestHead,
    pub(crate) framing: Framing,
    /// The client wants the connection kept.
    pub(crate) keep: bool,
    /// Its framing was claimed in two ways: others may read it differently, so both its connections end with it.
    pub(crate) doubtful: bool,
    /// The client waits for 100 before it sends its body.
    pub(crate) expects: bool,
    /// The method is HEAD: answers have no body.
    pub(crate) to_head: bool,
    /// What its client speaks.
    pub(crate) speaks: Speaks,
    /// The client asks for a WebSocket.
    pub(crate) upgrade: bool,
}
