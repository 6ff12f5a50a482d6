//! The TLS handshake with a client.

use super::end::Server;
use super::facts::TlsFacts;
use super::listeners::{ListenerTls, take_chosen};
use super::stream::TlsStream;
use rustls::server::{Acceptor, UnbufferedServerConnection};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// A client's TLS connection. Boxed, because it is large and each future that passes it on would hold a copy.
pub(crate) type Secured = Box<TlsStream<Server>>;

/// The result of a successful handshake.
pub(crate) struct Shaken {
    pub(crate) stream: Secured,
    pub(crate) facts: TlsFacts,
}

/// Why a handshake failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The client connected and left without a byte, as port scans do.
    Silent,
    /// The client spoke plaintext HTTP.
    Plaintext(TcpStream),
    /// No common parameters, an invalid message, or the client gave up.
    Handshake(io::Error),
}

/// The server name in a client's first message; none if there is none, or if it is not a ClientHello. The message is only
/// peeked at, so that the handshake can read it. `swept` is notified at each sweep.
pub(crate) async fn server_name(stream: &TcpStream, swept: &Notify) -> Option<String> {
    /// A longer first message is served as if it had no name.
    const MOST: usize = 16 * 1024;
    loop {
        {
            // Freed before each wait: a client that sends one byte and no more must not cost a buffer.
            let mut bytes = vec![0; MOST];
            let read = stream.peek(&mut bytes).await.ok().filter(|read| *read > 0)?;
            let (mut acceptor, mut message) = (Acceptor::default(), &bytes[..read]);
            while !message.is_empty() {
                acceptor.read_tls(&mut message).ok()?;
            }
            match acceptor.accept() {
                Ok(Some(accepted)) => return accepted.client_hello().server_name().map(str::to_owned),
                Ok(None) if read < MOST => {}
                Ok(None) | Err(_) => return None,
            }
        }
        // The socket stays readable, so waiting for it would spin: look again at the next sweep.
        swept.notified().await;
    }
}

/// Does the handshake. `now` reads the time since the connection was accepted; `spoke` is set with the client's first byte.
pub(crate) async fn accept(
    stream: TcpStream,
    tls: &ListenerTls,
    now: impl Fn() -> Duration,
    spoke: &Cell<bool>,
) -> Result<Shaken, Failed> {
    let broken = |error: rustls::Error| Failed::Handshake(io::Error::other(error));
    let connection = UnbufferedServerConnection::new(Arc::clone(&tls.config)).map_err(broken)?;
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(0) | Err(_) => return Err(Failed::Silent),
        // The first letter of a method. A ClientHello begins with 22.
        Ok(_) if first[0].is_ascii_uppercase() => return Err(Failed::Plaintext(stream)),
        Ok(_) => spoke.set(true),
    }
    let mut stream = Box::new(TlsStream::new(stream, Server(connection)));
    let mut chosen = None;
    poll_fn(|cx| {
        loop {
            let step = stream.poll_handshake(cx);
            // Set while the ClientHello was processed; read before any other connection of this thread is polled.
            if let Some(made) = take_chosen() {
                chosen = Some(made);
            }
            match ready!(step) {
                Ok(true) => return Poll::Ready(Ok(())),
                Ok(false) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    })
    .await
    .map_err(Failed::Handshake)?;
    let chosen = chosen.unwrap_or_default();
    let facts = TlsFacts::of(stream.state(), chosen.sni, chosen.arn, now());
    Ok(Shaken { stream, facts })
}
