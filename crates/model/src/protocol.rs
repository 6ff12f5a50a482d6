//! What is spoken to clients and to targets.

/// A listener's or a group's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Plaintext.
    Http,
    /// TLS.
    Https,
}

/// The protocol in which requests are sent to targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolVersion {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// gRPC over HTTP/2.
    Grpc,
    /// Events: the targets are functions.
    Lambda,
}
