//! Stage one: accepts connections and serves each until it ends.

use crate::connection::{ClientConnection, Next};
use crate::deadlines::{Deadline, Ended};
use crate::descriptors::Held;
use crate::h2;
use crate::keep_alive::idle_deadline;
use crate::listener_address::ListenerAddress;
use crate::log;
use crate::proxied;
use crate::proxy_protocol::Ends;
use crate::read;
use crate::respond;
use crate::secure::{HANDSHAKE_TIMEOUT, secure};
use crate::socket::Socket;
use crate::task_pool::{self, Handoff};
use crate::tls;
use crate::wire::readable;
use crate::worker::{Job, Pooled, Worker};
use forebay_node::logging::ConnectionId;
use forebay_node::{BalancerStats, Reason, ZoneId, Zoned};
use std::cell::{Cell, OnceCell};
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Accepts connections until `closed` fires or is dropped.
pub(crate) async fn listen(
    worker: Rc<Worker>,
    socket: Rc<TcpListener>,
    listener_address: Rc<Cell<ListenerAddress>>,
    mut closed: oneshot::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = &mut closed => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let mut connection = ClientConnection {
                    listener_address: listener_address.get(),
                    peer,
                    ends: OnceCell::new(),
                    accepted: worker.now(),
                    id: ConnectionId(core::array::from_fn(|_| worker.state.borrow_mut().draw())),
                    tls: None,
                    spare: false,
                    spoke: Cell::new(false),
                };
                let Some(held) = take_in(&worker, &stream, &mut connection) else {
                    continue;
                };
                let (worker, open) = (Rc::clone(&worker), Open::new(&worker, &connection, held));
                if connection.listener_address.tells_clients
                    && let Ok(reached) = stream.local_addr()
                {
                    let client = peer;
                    connection.ends = OnceCell::from(Rc::new(Ends { client, reached }));
                }
                if connection.listener_address.proxied && proxied::is_due(&worker, &connection) {
                    tokio::task::spawn_local(proxied_connection(worker, stream, connection, open));
                } else {
                    begin(worker, stream, connection, open);
                }
            }
            // The client was gone before its connection was accepted.
            Err(error) if is_clients(&error) => {}
            Err(error) => {
                worker.tell_of_shortage(&error);
                // Out of descriptors or memory. Retrying at once would spin; by the next sweep some may be free.
                tokio::select! {
                    () = worker.swept.notified() => {}
                    _ = &mut closed => return,
                }
            }
        }
    }
}

fn begin(worker: Rc<Worker>, stream: TcpStream, connection: ClientConnection, open: Open) {
    if connection.listener_address.secure {
        tokio::task::spawn_local(secure_connection(worker, stream, connection, open));
    } else if connection.listener_address.sniffs {
        tokio::task::spawn_local(sniffed(worker, stream, connection, open));
    } else {
        tokio::task::spawn_local(plaintext_connection(worker, stream, connection, open));
    }
}

/// A connection that must begin with a PROXY header; it ends here if that is missing.
async fn proxied_connection(
    worker: Rc<Worker>,
    stream: TcpStream,
    mut connection: ClientConnection,
    open: Open,
) {
    if proxied::read_header(&worker, &stream, &mut connection).await {
        begin(worker, stream, connection, open);
    }
}

/// Takes a descriptor for a client's connection. A connection beyond the limit is told so and closed: at once if it is
/// plaintext, otherwise once the handshake makes that possible. Open connections keep their memory and descriptors.
fn take_in(worker: &Worker, stream: &TcpStream, connection: &mut ClientConnection) -> Option<Held> {
    let descriptors = &worker.descriptors;
    // An idle connection to a target is worth less than a client.
    if descriptors.has_room() || (worker.pools.borrow_mut().close_one() && descriptors.has_room()) {
        return Some(descriptors.take_client());
    }
    let spare = connection
        .listener_address
        .secure
        .then(|| descriptors.take_spare())
        .flatten();
    if spare.is_none() {
        refuse(worker, stream, connection);
    }
    connection.spare = spare.is_some();
    spare
}

fn refuse(worker: &Worker, stream: &TcpStream, connection: &ClientConnection) {
    let snapshot = worker.snapshot();
    if let Some(listener) = snapshot.listener(connection.listener_address.listener) {
        let zone = connection.listener_address.zone;
        let stats = listener.balancer.stats.of(zone, worker.state.borrow().index);
        stats.rejected.fetch_add(1, Relaxed);
        if !connection.listener_address.secure {
            let page = respond::page(worker, Reason::TooManyConnections, listener.settings());
            // The send buffer of a fresh socket has room for this.
            let _ = stream.try_write(&page);
        }
    }
    worker.tell_of_shortage(&io::Error::other(
        "connection limit reached: raise --max-connections or the limit on open files",
    ));
}

/// Errors of a single connection that accept(2) passes on; all others would come again at once.
fn is_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | HostUnreachable | NetworkUnreachable | TimedOut
    )
}

/// One plaintext connection, from accept to close. Its future is the cost of an idle connection, so everything that only an
/// active request needs is boxed.
async fn plaintext_connection(
    worker: Rc<Worker>,
    stream: TcpStream,
    connection: ClientConnection,
    _open: Open,
) {
    let _ = stream.set_nodelay(true);
    let deadline = worker.sweep.deadline(connection.listener_address);
    log::log_connection(&worker, &connection, None);
    keep(&worker, Socket(stream), connection, deadline).await;
}

/// What a connection begins with.
enum First {
    Tls,
    Http1,
    Http2,
    /// It ended before its first byte.
    Nothing,
}

/// One connection to an agent: plaintext or TLS, HTTP/1.1 or HTTP/2, according to its first bytes.
async fn sniffed(worker: Rc<Worker>, stream: TcpStream, mut connection: ClientConnection, open: Open) {
    let Some(until) = idle_deadline(&worker, &connection) else {
        return;
    };
    let deadline = worker.sweep.deadline(connection.listener_address);
    deadline.arm(until, true);
    let first = deadline.until(sniff(&worker, &stream)).await;
    // Each of the protocols below has a deadline of its own.
    drop(deadline);
    // The handshake's deadline counts from the first byte, not from accept.
    connection.accepted = worker.now();
    let http2 = {
        let snapshot = worker.snapshot();
        let listener = connection.listener(&snapshot);
        listener.is_some_and(|listener| listener.balancer.settings().http2)
    };
    match first {
        Ok(First::Tls) => Box::pin(secure_connection(worker, stream, connection, open)).await,
        Ok(First::Http2) if http2 => {
            let _ = stream.set_nodelay(true);
            let deadline = worker.sweep.deadline(connection.listener_address);
            log::log_connection(&worker, &connection, None);
            Box::pin(h2::serve(&worker, Socket(stream), connection, deadline)).await;
        }
        Ok(First::Http1 | First::Http2) => {
            Box::pin(plaintext_connection(worker, stream, connection, open)).await
        }
        Ok(First::Nothing) | Err(_) => {}
    }
}

async fn sniff(worker: &Worker, stream: &TcpStream) -> First {
    /// Content type of a TLS record with handshake messages (RFC 8446, section 5.1).
    const HANDSHAKE: u8 = 22;
    /// The connection preface of HTTP/2 (RFC 9113, section 3.4).
    const PREFACE: &[u8] = b"PRI * HTTP/2.0";
    loop {
        let mut first = [0; PREFACE.len()];
        match stream.peek(&mut first).await {
            Ok(0) | Err(_) => return First::Nothing,
            Ok(_) if first[0] == HANDSHAKE => return First::Tls,
            Ok(read) if first[..read] != PREFACE[..read] => return First::Http1,
            Ok(read) if read == PREFACE.len() => return First::Http2,
            // It may still become either. The socket stays readable, so waiting for it would spin: check again at the next
            // sweep.
            Ok(_) => worker.swept.notified().await,
        }
    }
}

/// One TLS connection, from accept to close.
async fn secure_connection(
    worker: Rc<Worker>,
    stream: TcpStream,
    mut connection: ClientConnection,
    _open: Open,
) {
    let _ = stream.set_nodelay(true);
    let deadline = worker.sweep.deadline(connection.listener_address);
    // Until its first byte a silent client costs no more than in plaintext: the TLS state is not allocated yet.
    deadline.arm(connection.accepted + HANDSHAKE_TIMEOUT, true);
    let spoke = deadline.until(stream.peek(&mut [0])).await;
    if !matches!(spoke, Ok(Ok(1..))) {
        log::log_connection(&worker, &connection, Some("UnmappedConnectionError"));
        return;
    }
    // Which certificate is served depends on the load balancer, so its name is read before the handshake.
    if connection.listener_address.shared
        && let Ok(Some(name)) = deadline.until(tls::server_name(&stream, &worker.swept)).await
        && let Some(own) = connection.to(&worker.snapshot(), name.as_bytes())
    {
        connection = own;
    }
    let Some(tls) = worker
        .tls
        .borrow()
        .get(connection.listener_address.listener)
        .cloned()
    else {
        return;
    };
    let shaken = Box::pin(secure(&worker, stream, &tls, &connection, &deadline)).await;
    // Dropped here: a certificate that was replaced must not stay in memory as long as its connections.
    drop(tls);
    let Some(shaken) = shaken else {
        log::log_connection(&worker, &connection, Some("UnmappedConnectionError"));
        return;
    };
    connection.tls = Some(Rc::new(shaken.facts));
    log::log_connection(&worker, &connection, None);
    if connection.tls.as_ref().is_some_and(|tls| tls.http2) {
        Box::pin(h2::serve(&worker, shaken.stream, connection, deadline)).await;
    } else {
        keep(&worker, shaken.stream, connection, deadline).await;
    }
}

/// Serves a connection's requests until it ends.
async fn keep<W: Pooled>(
    worker: &Rc<Worker>,
    mut stream: W,
    connection: ClientConnection,
    deadline: Deadline,
) {
    let (connection, deadline) = (Rc::new(connection), Rc::new(deadline));
    let (mut first, mut left) = (true, None);
    while let Some(fresh) = idle_deadline(worker, &connection) {
        // A client that sent nothing that counts must not extend its idle time.
        let until = left.take().unwrap_or(fresh);
        deadline.arm(until, true);
        match deadline.until(readable(&mut stream)).await {
            Ok(()) => {}
            Err(Ended::Late) if first => {
                Box::pin(read::silent(worker, &mut stream, &connection, &deadline)).await;
                return;
            }
            Err(_) => return stream.farewell(),
        }
        let job = Job {
            worker: Rc::clone(worker),
            stream,
            connection: Rc::clone(&connection),
            deadline: Rc::clone(&deadline),
        };
        let next;
        (stream, next) =
            task_pool::serve(W::task_pool(worker), job, |handoff| Box::pin(serve_jobs(handoff))).await;
        match next {
            Next::Idle if !worker.leaving.get() => first = false,
            Next::Nothing if !worker.leaving.get() => left = Some(until),
            Next::Idle | Next::Nothing => return stream.farewell(),
            Next::Close => return,
        }
    }
}

/// The loop of a pooled task: it serves the requests of job after job.
async fn serve_jobs<W: Pooled>(handoff: Rc<Handoff<Job<W>, (W, Next)>>) -> Infallible {
    loop {
        let Job {
            worker,
            mut stream,
            connection,
            deadline,
        } = handoff.job().await;
        let next = read::serve(&worker, &mut stream, &connection, &deadline).await;
        handoff.part((stream, next));
    }
}

/// Counts a connection as open until dropped.
struct Open {
    stats: Option<Arc<Zoned<BalancerStats>>>,
    zone: ZoneId,
    worker: usize,
    _held: Held,
}

impl Open {
    fn new(worker: &Worker, connection: &ClientConnection, held: Held) -> Open {
        let snapshot = worker.snapshot();
        let stats = snapshot
            .listener(connection.listener_address.listener)
            .map(|view| Arc::clone(&view.balancer.stats));
        let open = Open {
            stats,
            zone: connection.listener_address.zone,
            worker: worker.state.borrow().index,
            _held: held,
        };
        if let Some(stats) = &open.stats {
            let shard = stats.of(open.zone, open.worker);
            shard.connections.fetch_add(1, Relaxed);
            shard.open.fetch_add(1, Relaxed);
        }
        open
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(stats) = &self.stats {
            stats.of(self.zone, self.worker).open.fetch_sub(1, Relaxed);
        }
    }
}
