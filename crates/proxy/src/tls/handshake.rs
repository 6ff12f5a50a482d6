//! A client's handshake.

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

/// A client's connection over TLS. Boxed: it is large, and a future that passes it on holds a copy for each step.
pub(crate) type Secured = Box<TlsStream<Server>>;

/// A client's stream, secured.
pub(crate) struct Shaken {
    pub(crate) stream: Secured,
    pub(crate) facts: TlsFacts,
}

/// Why it is not.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The client connected and left without a word: probes of ports do that.
    Silent,
    /// The client spoke HTTP in plaintext.
    Plaintext(TcpStream),
    /// No common ground, a broken message, or the client gave up.
    Handshake(io::Error),
}

/// The server name that a client's first message asks for; none if it asks for none, or is no such message. It is only looked at:
/// the handshake finds it where it was. `swept` tells of each sweep.
pub(crate) async fn server_name(stream: &TcpStream, swept: &Notify) -> Option<String> {
    /// Longer first messages belong to whoever is served without a name.
    const MOST: usize = 16 * 1024;
    loop {
        {
            // Not held while more is waited for: who sends a byte and no more must not cost a buffer.
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
        // It stays readable: looked at again with the next sweep.
        swept.notified().await;
    }
}

/// Shakes hands. `now` reads the time since the connection was accepted, `spoke` is set with the client's first byte.
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
        // A method's first letter. A ClientHello begins with 22.
        Ok(_) if first[0].is_ascii_uppercase() => return Err(Failed::Plaintext(stream)),
        Ok(_) => spoke.set(true),
    }
    let mut stream = Box::new(TlsStream::new(stream, Server(connection)));
    let mut chosen = None;
    poll_fn(|cx| {
        loop {
            let step = stream.poll_handshake(cx);
            // Set while a ClientHello was processed: read before any other connection of this thread gets its turn.
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
