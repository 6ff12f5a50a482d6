//! Room five: from a chosen target to a connection that can carry the request. (Which target: `node` says.)

use crate::sweep::{Ended, Slot};
use crate::worker::Worker;
use forebay_model::limits::CONNECT_TIMEOUT_SECONDS;
use forebay_node::{ConnectError, Event, Reuse, TargetView};
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// A connection, and whether it came from the pool.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) reused: bool,
}

/// Why there is none.
pub(crate) enum Missing {
    /// The connection failed.
    Error(ConnectError),
    /// The wait was ended from outside.
    Ended(Ended),
}

/// Takes a pooled connection or makes one.
pub(crate) async fn connection(
    worker: &Worker,
    slot: &Slot,
    target: &TargetView,
    reuse: Reuse,
) -> Result<Connection, Missing> {
    let now = worker.recent();
    let pooled = worker.pools.borrow_mut().take(target.id, reuse, now);
    if let Some(stream) = pooled {
        return Ok(Connection { stream, reused: true });
    }
    slot.arm(now + Duration::from_secs(CONNECT_TIMEOUT_SECONDS), false);
    match slot.until(TcpStream::connect(target.address)).await {
        Ok(Ok(stream)) => {
            let _ = stream.set_nodelay(true);
            Ok(Connection {
                stream,
                reused: false,
            })
        }
        Ok(Err(error)) => {
            let cause = connect_error(&error);
            if cause == ConnectError::OutOfResources {
                worker.tell_of_shortage(&error);
            }
            if cause == ConnectError::Refused {
                // Told to the slow path, which takes the target out. If the channel is full, it is busy doing that.
                let _ = worker.events.try_send(Event::Refused { target: target.id });
            }
            Err(Missing::Error(cause))
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
        // ENFILE, EMFILE and ENOBUFS have no kind of their own.
        _ if matches!(error.raw_os_error(), Some(23 | 24 | 105)) => ConnectError::OutOfResources,
        _ => ConnectError::Refused,
    }
}
