//! What is known about a client's TLS connection, for headers and logs.

use super::policy::suite_name;
use rustls::{CommonState, HandshakeKind, ProtocolVersion};
use std::sync::Arc;
use std::time::Duration;

/// The result of a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub(crate) protocol: &'static str,
    /// The cipher in OpenSSL's spelling, as in ALB's logs.
    pub(crate) cipher: &'static str,
    /// The group of the key exchange, such as `X25519MLKEM768`; none in a session that was resumed without one.
    pub(crate) group: Option<&'static str>,
    /// The server name that the client asked for.
    pub(crate) sni: Option<Box<str>>,
    /// The certificate that was shown; none in a resumed session.
    pub(crate) certificate: Option<Arc<str>>,
    /// Time from accept to the end of the handshake.
    pub(crate) took: Duration,
    /// A session was resumed.
    pub(crate) resumed: bool,
    /// The client chose HTTP/2 (ALPN `h2`).
    pub(crate) http2: bool,
}

impl TlsFacts {
    pub(super) fn of(
        state: &CommonState,
        sni: Option<Box<str>>,
        certificate: Option<Arc<str>>,
        took: Duration,
    ) -> TlsFacts {
        let resumed = state.handshake_kind() == Some(HandshakeKind::Resumed);
        TlsFacts {
            protocol: match state.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "TLSv1.2",
            },
            cipher: state.negotiated_cipher_suite().map_or("-", suite_name),
            group: state
                .negotiated_key_exchange_group()
                .map(|group| group_name(group.name())),
            sni,
            certificate: certificate.filter(|_| !resumed),
            took,
            resumed,
            http2: state.alpn_protocol() == Some(b"h2"),
        }
    }
}

/// The group's name as in ALB's connection log.
fn group_name(group: rustls::NamedGroup) -> &'static str {
    use rustls::NamedGroup;
    match group {
        NamedGroup::secp256r1 => "secp256r1",
        NamedGroup::secp384r1 => "secp384r1",
        NamedGroup::X25519 => "x25519",
        NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        NamedGroup::secp256r1MLKEM768 => "SecP256r1MLKEM768",
        _ => "-",
    }
}
