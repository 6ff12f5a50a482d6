//! Stage five: from a chosen target to a connection that can carry the request. (Which target is chosen by `node`.)

use crate::deadlines::{Deadline, Ended};
use crate::head::host_of;
use crate::proxy_protocol::{self, Ends, Origin};
use crate::session::Session;
use crate::tls::{self, TargetStream};
use crate::worker::Worker;
use forebay_model::TargetTls;
use forebay_model::limits::CONNECT_TIMEOUT_SECONDS;
use forebay_node::{ConnectError, Event, Reuse, TargetView};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// A connection, and whether it came from the pool.
pub(crate) struct Connection {
    pub(crate) stream: TargetStream,
    pub(crate) reused: bool,
}

/// Why there is no connection.
pub(crate) enum Missing {
    /// Connecting failed.
    Error(ConnectError),
    /// The wait was ended from outside.
    Ended(Ended),
}

/// Takes a pooled connection or makes one, for the request whose head is in `buffers.out`.
pub(crate) async fn connection<W>(
    session: &Session<'_, W>,
    target: &TargetView,
    reuse: Reuse,
) -> Result<Connection, Missing> {
    let (worker, deadline) = (session.worker, session.deadline);
    let now = worker.recent();
    // A TLS connection may be used again only under the name of its handshake.
    let name = match &target.tls {
        TargetTls::Plaintext => None,
        tls => tls::name_for(tls, host_of(&session.buffers.out)),
    };
    let ends = ends(session, target);
    let pooled = worker
        .pools
        .borrow_mut()
        .take(target.id, (name, ends), reuse, now);
    if let Some(stream) = pooled {
        return Ok(Connection { stream, reused: true });
    }
    let descriptors = &worker.descriptors;
    let held = descriptors.try_take_target();
    // An idle connection to another target is worth less than this request.
    let Some(held) = held.or_else(|| {
        let closed = worker.pools.borrow_mut().close_one();
        closed.then(|| descriptors.try_take_target()).flatten()
    }) else {
        worker.tell_of_shortage(&io::Error::other(
            "no connection to a target can be opened: raise the limit on open files",
        ));
        return Err(Missing::Error(ConnectError::OutOfResources));
    };
    // Functions have no address, and are not connected to.
    let Some(address) = target.address else {
        return Err(Missing::Error(ConnectError::Refused));
    };
    deadline.arm(now + Duration::from_secs(CONNECT_TIMEOUT_SECONDS), false);
    match deadline.until(TcpStream::connect(address)).await {
        Ok(Ok(stream)) => {
            let _ = stream.set_nodelay(true);
            let stream = match &target.tls {
                TargetTls::Plaintext if !target.proxy_protocol => TargetStream::plaintext(stream),
                // Boxed: what only such a new connection needs must not enlarge the future of every request.
                _ => Box::pin(prepare(session, target, address, stream, name)).await?,
            };
            Ok(Connection {
                stream: stream.holding(held),
                reused: false,
            })
        }
        Ok(Err(error)) => {
            let cause = connect_error(&error);
            if cause == ConnectError::OutOfResources {
                worker.tell_of_shortage(&error);
            }
            if cause == ConnectError::Refused {
                // Reported to the slow path, which takes the target out. If the channel is full, it is busy with that
                // already.
                let _ = worker.events.try_send(Event::Refused { target: target.id });
            }
            Err(Missing::Error(cause))
        }
        Err(Ended::Late) => Err(Missing::Error(ConnectError::TimedOut)),
        Err(ended) => Err(Missing::Ended(ended)),
    }
}

/// The client connection that a connection to this target belongs to, if the target is told about clients.
pub(crate) fn ends<'s, W>(session: &Session<'s, W>, target: &TargetView) -> Option<&'s Rc<Ends>> {
    let own = || session.connection.ends(&session.worker.snapshot());
    target.proxy_protocol.then(own)
}

/// Prepares a fresh connection: sends a PROXY header if the target expects one, and does the TLS handshake if it speaks
/// TLS.
async fn prepare<W>(
    session: &Session<'_, W>,
    target: &TargetView,
    address: SocketAddr,
    mut stream: TcpStream,
    name: Option<&str>,
) -> Result<TargetStream, Missing> {
    let (worker, deadline, ends) = (session.worker, session.deadline, ends(session, target));
    if let Some(ends) = ends {
        // In plaintext before the handshake, as the PROXY protocol demands.
        let header = proxy_protocol::header(Origin::Client(**ends));
        match deadline.until(stream.write_all(&header)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Missing::Error(connect_error(&error))),
            Err(Ended::Late) => return Err(Missing::Error(ConnectError::TimedOut)),
            Err(ended) => return Err(Missing::Ended(ended)),
        }
    }
    let stream = match &target.tls {
        TargetTls::Plaintext => TargetStream::plaintext(stream),
        _ => secure(worker, deadline, (target, address), stream, name).await?,
    };
    Ok(match ends {
        Some(ends) => stream.of(ends),
        None => stream,
    })
}

/// Does the TLS handshake with a target, with ten seconds of its own as in ALB.
async fn secure(
    worker: &Worker,
    deadline: &Deadline,
    (target, address): (&TargetView, SocketAddr),
    stream: TcpStream,
    name: Option<&str>,
) -> Result<TargetStream, Missing> {
    let failed = Missing::Error(ConnectError::Handshake);
    let config = worker.target_tls.borrow_mut().get(target);
    let Some(config) = config else {
        return Err(failed);
    };
    deadline.arm(worker.now() + Duration::from_secs(CONNECT_TIMEOUT_SECONDS), false);
    match deadline.until(tls::connect(stream, address, config, name)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, target = %address, "TLS handshake with a target failed");
            Err(failed)
        }
        Err(Ended::Late) => Err(Missing::Error(ConnectError::TimedOut)),
        Err(ended) => Err(Missing::Ended(ended)),
    }
}

pub(crate) fn connect_error(error: &io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::TimedOut => ConnectError::TimedOut,
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse | io::ErrorKind::OutOfMemory => {
            ConnectError::OutOfResources
        }
        // ENFILE, EMFILE and ENOBUFS have no `ErrorKind` of their own.
        _ if matches!(error.raw_os_error(), Some(23 | 24 | 105)) => ConnectError::OutOfResources,
        _ => ConnectError::Refused,
    }
}
