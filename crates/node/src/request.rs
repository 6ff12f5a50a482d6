//! A request, as far as decisions go.

use crate::ids::ZoneId;
use forebay_model::ProtocolVersion;
use forebay_routing::Facts;
use forebay_units::Wall;

/// A request, as far as decisions go.
pub struct Request<'a> {
    /// What rules see.
    pub facts: Facts<'a>,
    /// `http` or `https`: how the client came.
    pub protocol: &'a str,
    /// The zone of the node it came to.
    pub zone: ZoneId,
    /// What its client speaks.
    pub speaks: Speaks,
    /// When it came, as clocks on walls have it.
    pub wall: Wall,
    /// It asks for a WebSocket.
    pub upgrade: bool,
    /// The path that rules see, if it is not the facts' own (whose normal form they see otherwise).
    pub rule_path: Option<&'a [u8]>,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.
    Http1,
    /// HTTP/2.
    Http2 {
        /// Its content type is gRPC's.
        grpc: bool,
        /// Its method is POST.
        post: bool,
    },
}

impl Speaks {
    /// Whether a request may go to targets that speak `version` (ALB's table; otherwise 464).
    pub fn fits(self, version: ProtocolVersion) -> bool {
        match (self, version) {
            (
                Speaks::Http1 | Speaks::Http2 { grpc: false, .. },
                ProtocolVersion::Http1 | ProtocolVersion::Lambda,
            ) => true,
            (Speaks::Http2 { .. }, ProtocolVersion::Http2) => true,
            (Speaks::Http2 { grpc, post }, ProtocolVersion::Grpc) => grpc || post,
            (Speaks::Http1, _) | (Speaks::Http2 { .. }, ProtocolVersion::Http1 | ProtocolVersion::Lambda) => {
                false
            }
        }
    }
}
