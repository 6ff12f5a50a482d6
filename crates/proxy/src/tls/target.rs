//! Connections to targets, over plaintext or TLS.

use super::end::Client;
use super::stream::TlsStream;
use super::verify;
use crate::descriptors::Held;
use crate::proxy_protocol::Ends;
use crate::socket::Socket;
use forebay_model::{ProtocolVersion, TargetTls};
use forebay_node::{Snapshot, TargetId, TargetView};
use rustls::ClientConfig;
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use std::collections::{BTreeSet, HashMap};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Sessions that one worker keeps for one target: one per server name.
const SESSIONS: usize = 32;

/// A plaintext stream to a target.
pub(crate) struct TargetStream {
    transport: Transport,
    /// Its counted descriptor. (Those of probes are not counted.)
    held: Option<Held>,
    /// The client connection that its target was told about.
    ends: Option<Weak<Ends>>,
}

enum Transport {
    /// Without TLS.
    Plaintext(Socket),
    /// Over TLS. Boxed, so that requests to plaintext targets do not carry its size.
    Secure(Box<Secure>),
}

/// A TLS connection and the server name for which it was made.
pub(crate) struct Secure {
    stream: TlsStream<Client>,
    name: Option<Box<str>>,
}

impl TargetStream {
    /// A plaintext stream.
    pub(crate) fn plaintext(stream: TcpStream) -> TargetStream {
        TargetStream {
            transport: Transport::Plaintext(Socket(stream)),
            held: None,
            ends: None,
        }
    }

    /// Counts its descriptor as long as it is open.
    pub(crate) fn holding(mut self, held: Held) -> TargetStream {
        self.held = Some(held);
        self
    }

    /// Marks it as begun with a PROXY header: it carries only requests of this client connection.
    pub(crate) fn of(mut self, ends: &Rc<Ends>) -> TargetStream {
        self.ends = Some(Rc::downgrade(ends));
        self
    }

    /// Whether its target takes it for this client connection.
    pub(crate) fn is_of(&self, ends: &Rc<Ends>) -> bool {
        self.ends
            .as_ref()
            .is_some_and(|own| own.as_ptr() == Rc::as_ptr(ends))
    }

    /// Whether the client connection that it belongs to has ended.
    pub(crate) fn is_orphaned(&self) -> bool {
        self.ends.as_ref().is_some_and(|ends| ends.strong_count() == 0)
    }

    /// Whether an idle connection cannot be used any more: the target has closed it, or sends unexpected bytes.
    pub(crate) fn is_dead(&mut self) -> bool {
        match &mut self.transport {
            // Uses the result of the last poll; no system call.
            Transport::Plaintext(stream) => stream.0.try_io(Interest::READABLE, || Ok(())).is_ok(),
            Transport::Secure(secure) => secure.stream.is_dead(),
        }
    }

    /// Whether a request for `name` may use this connection: a target with several certificates may answer it with 421 (RFC
    /// 9110, section 15.5.20) on a connection that was made for another name.
    pub(crate) fn is_for(&self, name: Option<&str>) -> bool {
        match &self.transport {
            Transport::Plaintext(_) => true,
            Transport::Secure(secure) => secure.name.as_deref() == name,
        }
    }
}

/// The TLS configurations for targets: one per target, so that each has its own sessions.
#[derive(Debug, Default)]
pub(crate) struct TargetConfigs {
    by_target: HashMap<TargetId, Arc<ClientConfig>>,
}

impl TargetConfigs {
    /// None if verification is required and the machine trusts no authority.
    pub(crate) fn get(&mut self, target: &TargetView) -> Option<Arc<ClientConfig>> {
        if let Some(config) = self.by_target.get(&target.id) {
            return Some(Arc::clone(config));
        }
        let mut config = (*client_config(&target.tls, target.version != ProtocolVersion::Http1)?).clone();
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        let config = Arc::new(config);
        self.by_target.insert(target.id, Arc::clone(&config));
        Some(config)
    }

    /// Drops those of targets that are gone.
    pub(crate) fn forget(&mut self, snapshot: &Snapshot) {
        if self.by_target.is_empty() {
            return;
        }
        let targets = snapshot.groups.iter().flat_map(|group| &group.targets);
        let known: BTreeSet<TargetId> = targets.map(|target| target.id).collect();
        self.by_target.retain(|id, _| known.contains(id));
    }
}

/// The TLS configuration for connections to targets. Probes use it as it is: they resume no session, because each must prove on its own
/// that the target can be reached. None if verification is required and the machine trusts no authority.
pub(crate) fn client_config(tls: &TargetTls, http2: bool) -> Option<Arc<ClientConfig>> {
    let config = match tls {
        TargetTls::Verified(_) => verify::verifying(),
        TargetTls::Unverified | TargetTls::Plaintext => verify::trusting(),
    }?;
    if !http2 {
        return Some(config);
    }
    let mut config = (*config).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Some(Arc::new(config))
}

/// The server name for a connection: the one that verification requires, otherwise the request's Host, as ALB was seen to
/// do; none for an address.
pub(crate) fn name_for<'a>(tls: &'a TargetTls, host: Option<&'a str>) -> Option<&'a str> {
    match tls {
        TargetTls::Plaintext => None,
        TargetTls::Verified(name) => Some(name),
        TargetTls::Unverified => {
            host.filter(|host| matches!(ServerName::try_from(*host), Ok(ServerName::DnsName(_))))
        }
    }
}

/// Does the handshake on a fresh connection.
pub(crate) async fn connect(
    socket: TcpStream,
    address: SocketAddr,
    config: Arc<ClientConfig>,
    name: Option<&str>,
) -> io::Result<TargetStream> {
    // An address is not sent as a server name; it only identifies the session.
    let server = match name {
        Some(name) => ServerName::try_from(name.to_owned()).map_err(io::Error::other)?,
        None => ServerName::IpAddress(address.ip().into()),
    };
    let connection = UnbufferedClientConnection::new(config, server).map_err(io::Error::other)?;
    let mut stream = TlsStream::new(socket, Client(Box::new(connection)));
    poll_fn(|cx| {
        while !ready!(stream.poll_handshake(cx))? {}
        Poll::Ready(io::Result::Ok(()))
    })
    .await?;
    let secure = Secure {
        stream,
        name: name.map(Box::from),
    };
    Ok(TargetStream {
        transport: Transport::Secure(Box::new(secure)),
        held: None,
        ends: None,
    })
}

impl AsyncRead for TargetStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        reader: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plaintext(stream) => Pin::new(stream).poll_read(cx, reader),
            Transport::Secure(secure) => Pin::new(&mut secure.stream).poll_read(cx, reader),
        }
    }
}

impl AsyncWrite for TargetStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().transport {
            Transport::Plaintext(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Secure(secure) => Pin::new(&mut secure.stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().transport {
            Transport::Plaintext(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Secure(secure) => Pin::new(&mut secure.stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plaintext(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Secure(secure) => Pin::new(&mut secure.stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plaintext(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Secure(secure) => Pin::new(&mut secure.stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_targets_are_asked_for() {
        let any = TargetTls::Unverified;
        assert_eq!(name_for(&any, Some("a.test")), Some("a.test"));
        assert_eq!(name_for(&any, Some("10.0.0.1")), None);
        assert_eq!(name_for(&any, Some("[::1]")), None);
        assert_eq!(name_for(&any, Some("a b")), None);
        assert_eq!(name_for(&any, None), None);
        let verified = TargetTls::Verified("in.test".into());
        assert_eq!(name_for(&verified, Some("a.test")), Some("in.test"));
        assert_eq!(name_for(&TargetTls::Plaintext, Some("a.test")), None);
    }
}
