//! Between `accept` and `secure`: reads the PROXY header with which connections from trusted proxies begin.

use crate::connection::ClientConnection;
use crate::deadlines::Ended;
use crate::log;
use crate::proxy_protocol::{HeaderReader, Origin};
use crate::secure::HANDSHAKE_TIMEOUT;
use crate::worker::Worker;
use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, recv};
use std::cell::OnceCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, ready};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

/// Bytes that are peeked at together; most headers are shorter.
const LOOK: usize = 256;

/// Whether a connection must begin with a header: its peer is in one of its load balancer's trusted networks.
pub(crate) fn is_due(worker: &Worker, connection: &ClientConnection) -> bool {
    let snapshot = worker.snapshot();
    let peer = connection.peer.ip();
    connection.listener(&snapshot).is_some_and(|listener| {
        let proxies = &listener.balancer.settings().proxies;
        proxies.iter().any(|network| network.contains(&peer))
    })
}

/// Reads the header, and adopts the client's address from it. False if there is none or it is invalid, which is counted.
pub(crate) async fn read_header(
    worker: &Worker,
    stream: &TcpStream,
    connection: &mut ClientConnection,
) -> bool {
    let within = {
        let snapshot = worker.snapshot();
        let Some(listener) = connection.listener(&snapshot) else {
            return false;
        };
        let settings = listener.balancer.settings();
        if connection.listener_address.secure {
            HANDSHAKE_TIMEOUT
        } else {
            settings.idle_timeout.min(settings.head_timeout)
        }
    };
    let deadline = worker.sweep.deadline(connection.listener_address);
    // One deadline for the whole header: a proxy that sends a byte now and then cannot extend it.
    deadline.arm(connection.accepted + within, true);
    let mut reader = HeaderReader::default();
    let read = deadline
        .until(poll_fn(|cx| {
            let mut look = [0; LOOK];
            let mut room = ReadBuf::new(&mut look);
            loop {
                room.clear();
                ready!(stream.poll_peek(cx, &mut room))?;
                if room.filled().is_empty() {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                let Ok((count, origin)) = reader.take(room.filled()) else {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                };
                // What follows the header must stay in the socket, for TLS or HTTP. These bytes were just peeked at, so
                // this does not block.
                let ours = &mut room.filled_mut()[..count];
                let (_, read) = retry_on_intr(|| recv(stream, &mut *ours, RecvFlags::empty()))?;
                if read != count {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                if let Some(origin) = origin {
                    return Poll::Ready(Ok(origin));
                }
            }
        }))
        .await;
    let error: io::Error = match read {
        Ok(Ok(Origin::Peer)) => return true,
        Ok(Ok(Origin::Client(ends))) => {
            connection.peer = ends.client;
            connection.ends = OnceCell::from(Rc::new(ends));
            return true;
        }
        Ok(Err(error)) => error,
        Err(Ended::Late) => io::ErrorKind::TimedOut.into(),
        // Its listener is gone.
        Err(_) => return false,
    };
    // A peer that connects and closes without a byte only checks whether the port is open.
    if reader.has_begun() || !is_end(&error) {
        tracing::debug!(%error, peer = %connection.peer, "no PROXY header");
        count_refused(worker, connection);
        log::log_connection(worker, connection, Some("UnmappedConnectionError"));
    }
    false
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset)
}

/// Counts a header that is invalid, missing, or not allowed.
pub(crate) fn count_refused(worker: &Worker, connection: &ClientConnection) {
    let snapshot = worker.snapshot();
    if let Some(listener) = connection.listener(&snapshot) {
        let zone = connection.listener_address.zone;
        let stats = listener.balancer.stats.of(zone, worker.state.borrow().index);
        stats.proxy_refused.fetch_add(1, Relaxed);
    }
}
