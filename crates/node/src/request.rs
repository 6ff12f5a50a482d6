//! A request, as far as decisions need it.

use crate::ids::ZoneId;
use forebay_model::ProtocolVersion;
use forebay_routing::Facts;
use forebay_units::Wall;

/// A request, as far as decisions need it.
pub struct Request<'a> {
    /// The facts that rules match on.
    pub facts: Facts<'a>,
    /// `http` or `https`, as the client connected.
    pub protocol: &'a str,
    /// The zone of the node that it arrived at.
    pub zone: ZoneId,
    /// The protocol that the client speaks.
    pub speaks: Speaks,
    /// When it arrived, by the wall clock.
    pub wall: Wall,
    /// Whether it asks for a WebSocket.
    pub upgrade: bool,
    /// The path that rules match on, if it differs from the facts' own: its normal form.
    pub rule_path: Option<&'a [u8]>,
}

/// The protocol that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.
    Http1,
    /// HTTP/2.
    Http2 {
        /// Whether its content type is gRPC's.
        grpc: bool,
        /// Whether its method is POST.
        post: bool,
    },
}

impl Speaks {
    /// Whether a request may go to targets that speak `version`, by ALB's rules; if not, the answer is 464.
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
